import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../src/domain/ids.js';
import { Random } from '../fuzz/random.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Inspector, type Usage } from '../support/inspector.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { expectNoLeak, growthOf, inMiB, inWords, usageAfter, usageAtRest } from './leaks.js';
import { reportFault } from './report.js';
import { MessageListener, ReplicationListener, Subscriber } from './subscriber.js';

const SUBSCRIBERS = size('SUBSCRIBERS');
const SECONDS = size('SUBSCRIBED_SECONDS');
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const MESSAGE_CHATS = 5;
const REPLICA_CHATS = 3;
/** Those that come and go, beside the others. */
const VISITORS = 10;
const LONGEST_VISIT_MS = 2_000;
/** Between two messages to a chat: 50 messages a second, which each is told to 50 subscribers. */
const PAUSE_MS = 100;
/** At the memory, while all of them listen. */
const LOOKS = SECONDS < 60 ? 2 : 6;
/** Of one that does not read: each message is told to him so many times, in 1,200 aliases. */
const SLOW_SUBSCRIPTIONS = 60;
/** From one drop to the next slow client: what such a one asks for is most of the server's work. */
const PATIENCE_MS = 10_000;
const SLOW = `subscription($id: ID!) { messageAdded(chatId: $id) { ${Array.from({ length: 1_200 }, (_, n) => `a${n}: chatId`).join(' ')} } }`;
/** Who does not read answers no ping either: after the second one, 30 s at most, he is dropped without a word. */
const UNANSWERED_MS = 45_000;
const DROPPED = 'a WebSocket client was dropped';
const LIBRARY = new URL('../../examples/library.sql', import.meta.url);
const MiB = 2 ** 20;
/**
 * While they listen, from the least of the first looks to the least of the last: the documents of a slow client, 1 MiB
 * each, and what is being restored are in the one or the other. What is kept for ever is found when all is over.
 */
const MAY_SWELL = 100 * MiB;

let build: Build;
let library: Buffer;
beforeAll(async () => {
  [build, library] = await Promise.all([buildServer(), readFile(LIBRARY)]);
});
afterAll(() => build?.remove());

describe.each([
  ['one server', false],
  ['two servers on one database, posted to and restored on the one, heard on the other', true],
])('%s', (where, isShared) => {
  const random = new Random(SEED);
  const servers: ServerProcess[] = [];
  const inspectors: Inspector[] = [];
  let database: TestDatabase | undefined;
  let telling: ServerProcess;
  let hearing: ServerProcess;

  beforeAll(async () => {
    const env: Record<string, string> = {
      REPLICA_ENGINE: 'embedded',
      GATEWAY_PORT: 'off',
      MAX_QUERY_ALIASES: '1200',
      MAX_SOCKET_BACKLOG_BYTES: '1m',
      NODE_OPTIONS: '--inspect=127.0.0.1:0',
    };
    if (isShared) {
      database = await TestDatabase.start();
      Object.assign(env, { DATABASE_URL: await database.createDatabase(), CREDENTIALS_KEYS: KEYS });
    }
    while (servers.length < (isShared ? 2 : 1)) servers.push(await ServerProcess.start(build, env));
    telling = servers[0] as ServerProcess;
    hearing = servers.at(-1) as ServerProcess;
    for (const server of servers) inspectors.push(await Inspector.connect(server));
  });
  afterAll(async () => {
    for (const inspector of inspectors) inspector.close();
    await Promise.all(servers.map((server) => server.shutDown()));
    await database?.remove();
  });

  test(
    `lose, double and disorder nothing for ${SUBSCRIBERS} subscribers in ${SECONDS} s, and their memory stays flat`,
    async () => {
      await new Life().run(1, 0);
      const before = await Promise.all(inspectors.map(usageAtRest));
      const life = new Life();
      const looks = await life.run(SECONDS, LOOKS);
      const after = await Promise.all(
        inspectors.map((inspector, index) => usageAfter(before[index] as Usage, inspector)),
      );
      await reportFault('subscribers', {
        howOften: `${SUBSCRIBERS} for ${SECONDS} s, beside ${life.visits} that came and left; ${where}`,
        demanded: `nothing is lost, doubled or out of order; memory swells by at most ${inMiB(MAY_SWELL)} meanwhile, and is given back`,
        seen:
          `${life.posted} messages heard ${life.messagesHeard} times, ${life.restored + life.interrupted} replications with ` +
          `${life.statusesHeard} snapshots heard; ${life.wrong.length} wrong; ${life.dropped} slow clients dropped; ` +
          `memory held meanwhile: ${looks.map((held) => held.map(inMiB).join(', ')).join('; ')}`,
        details: before
          .map(
            (usage, index) =>
              `Server ${index + 1} had ${inWords(usage)} before, and grew by ${inWords(growthOf(usage, after[index] as Usage))}.`,
          )
          .join('\n'),
      });
      expect(life.wrong).toEqual([]);
      expect(life.restored).toBeGreaterThan(0);
      expect(life.dropped).toBeGreaterThan(0);
      for (const held of looks) {
        const [first, last] = [held.slice(0, held.length / 2), held.slice(held.length / 2)];
        expect(Math.min(...last) - Math.min(...first)).toBeLessThan(MAY_SWELL);
      }
      before.forEach((usage, index) => {
        expectNoLeak(usage, after[index] as Usage);
      });
      for (const { output } of servers)
        expect(output.filter((line) => /Warning|"level":(50|60)/.test(line))).toEqual([]);
    },
    300_000 + SECONDS * 3_000,
  );

  /** Subscribers that stay, others that come and go, and what they hear of. */
  class Life {
    readonly wrong: string[] = [];
    visits = 0;
    dropped = 0;
    restored = 0;
    interrupted = 0;
    posted = 0;
    messagesHeard = 0;
    statusesHeard = 0;
    /** The latest message of each chat. */
    readonly #posted = new Map<string, number>();
    readonly #messageListeners: MessageListener[] = [];
    readonly #replicationListeners: ReplicationListener[] = [];
    readonly #subscribers: Subscriber[] = [];
    /** What the subscribers that stay are at. */
    readonly #listening: Promise<void>[] = [];
    messageChats: readonly string[] = [];
    replicaChats: readonly string[] = [];
    #isOver = false;

    /** Resolves with what each server held at each look. */
    async run(seconds: number, looks: number): Promise<number[][]> {
      this.messageChats = await many(MESSAGE_CHATS, () => telling.client.createChat());
      this.replicaChats = await many(REPLICA_CHATS, () => telling.client.createChat());
      for (let index = 0; index < SUBSCRIBERS; index += 50)
        await Promise.all(Array.from({ length: Math.min(50, SUBSCRIBERS - index) }, (_, n) => this.#join(index + n)));
      const working = Promise.all([
        ...this.messageChats.map((chatId) => this.#post(chatId)),
        this.#restore(),
        ...Array.from({ length: VISITORS }, (_, index) => this.#visit(index)),
        this.#beSlow(),
      ]);
      const allHear = async () => this.#messageListeners.every(({ last }) => last !== undefined);
      await Promise.race([eventually('all hear', allHear, 120_000), working]);
      const seen: number[][] = [];
      for (let look = 0; look <= looks; look += 1) {
        await Promise.race([sleep((seconds * 1000) / (looks + 1)), working]);
        if (look < looks) seen.push(await Promise.all(inspectors.map((inspector) => inspector.heldBytes())));
      }
      await Promise.race([
        eventually('a drop and a restore', async () => this.dropped > 0 && this.restored > 0, 120_000),
        working,
      ]);
      this.#isOver = true;
      await working;
      await this.#end();
      return looks === 0 ? [] : inspectors.map((_, index) => seen.map((each) => each[index] as number));
    }

    async #join(index: number): Promise<void> {
      const subscriber = await Subscriber.connect(hearing.client.port);
      this.#subscribers.push(subscriber);
      if (index % 2 === 0) {
        const chatId = this.messageChats[(index / 2) % MESSAGE_CHATS] as string;
        const listener = new MessageListener(chatId, `subscriber ${index}`);
        this.#messageListeners.push(listener);
        this.#listening.push(listener.listen(subscriber));
        return;
      }
      const chatId = this.replicaChats[((index - 1) / 2) % REPLICA_CHATS] as string;
      const sequence = (await hearing.client.status(chatId))?.sequence ?? 0;
      const listener = new ReplicationListener(chatId, sequence, `subscriber ${index}`);
      this.#replicationListeners.push(listener);
      this.#listening.push(listener.listen(subscriber));
    }

    async #post(chatId: string): Promise<void> {
      for (let number = 1; !this.#isOver; number += 1) {
        await say(chatId, number, newId());
        this.posted += 1;
        this.#posted.set(chatId, number);
        await sleep(PAUSE_MS);
      }
    }

    /** One after the other, each when all that listen know of the end of the one before. */
    async #restore(): Promise<void> {
      for (let index = 0; !this.#isOver; index += 1) {
        const chatId = this.replicaChats[index % REPLICA_CHATS] as string;
        const ended = await telling.client.replicate(chatId, library).catch(refusedAsGone);
        if (!ended) continue;
        const { state, sequence, error } = ended;
        if (state === 'READY') this.restored += 1;
        else if (error?.code === 'INTERRUPTED') this.interrupted += 1;
        else throw new Error(`a restore ended as ${state}: ${JSON.stringify(error)}`);
        const listeners = this.#replicationListeners.filter((listener) => listener.chatId === chatId);
        await eventually(
          'all know of the end',
          async () => listeners.every(({ histories }) => histories.has(sequence)),
          60_000,
          () => `${listeners.filter(({ histories }) => !histories.has(sequence)).length} of ${listeners.length} do not`,
        );
        // Who had subscribed by the beginning has heard everything, the others all from then on.
        const heard = listeners.map(({ histories }) => histories.get(sequence)?.join(', ') ?? '');
        const all = heard.reduce((longest, each) => (each.length > longest.length ? each : longest), '');
        this.wrong.push(...heard.filter((each) => !all.endsWith(each)).map((each) => `${each} instead of ${all}`));
      }
    }

    async #visit(index: number): Promise<void> {
      while (!this.#isOver) {
        const visitor = await Subscriber.connect(hearing.client.port);
        const listener = new MessageListener(random.pick(this.messageChats), `visitor ${index}`);
        const listening = listener.listen(visitor);
        await sleep(random.below(LONGEST_VISIT_MS));
        if (random.oneIn(3)) visitor.complete();
        if (random.oneIn(2)) visitor.socket.terminate();
        await Promise.all([visitor.close(), listening]);
        this.wrong.push(...listener.wrong, ...visitor.errors);
        this.visits += 1;
      }
    }

    /** Stops reading, and begins again when it has been dropped. */
    async #beSlow(): Promise<void> {
      while (!this.#isOver) {
        const slow = await Subscriber.connect(hearing.client.port);
        const chatId = random.pick(this.messageChats);
        for (let count = 0; count < SLOW_SUBSCRIPTIONS; count += 1) void slow.subscribe(SLOW, { id: chatId }, () => {});
        slow.socket.pause();
        const drops = () => hearing.output.filter((line) => line.includes(DROPPED)).length;
        const before = drops();
        const unansweredAt = Date.now() + UNANSWERED_MS;
        const isDropped = () => drops() > before || Date.now() > unansweredAt;
        await eventually('the drop', async () => this.#isOver || isDropped(), 120_000);
        if (isDropped()) this.dropped += 1;
        slow.socket.resume();
        await slow.close();
        for (const until = Date.now() + PATIENCE_MS; !this.#isOver && Date.now() < until; ) await sleep(100);
      }
    }

    /** Everybody has heard everything, and leaves. */
    async #end(): Promise<void> {
      for (const chatId of this.messageChats) {
        const listeners = this.#messageListeners.filter((listener) => listener.chatId === chatId);
        await eventually(
          'all have heard the last message',
          async () => listeners.every(({ last }) => last === this.#posted.get(chatId)),
          60_000,
        );
      }
      await Promise.all(this.#subscribers.map((subscriber) => subscriber.close()));
      await Promise.all(this.#listening);
      const deletion = 'mutation($id: ID!) { deleteChat(id: $id) }';
      for (const id of [...this.messageChats, ...this.replicaChats]) await telling.client.graphql(deletion, { id });
      for (const { errors } of this.#subscribers) this.wrong.push(...errors);
      for (const { wrong, heard } of this.#messageListeners) {
        this.wrong.push(...wrong);
        this.messagesHeard += heard;
      }
      for (const { wrong, heard } of this.#replicationListeners) {
        this.wrong.push(...wrong);
        this.statusesHeard += heard;
      }
    }
  }

  /** A server that has been looked at for seconds may end connections that have waited meanwhile. */
  async function say(chatId: string, number: number, clientId: string): Promise<void> {
    const post = 'mutation($input: PostMessageInput!) { postMessage(input: $input) { id } }';
    const input = { chatId, role: 'USER', content: { text: `${number}` }, clientId };
    const answer = () => telling.client.graphql(post, { input });
    const { errors } = await answer().catch(answer);
    if (errors) throw new Error(JSON.stringify(errors));
  }
});

/** A server that stands still for seconds, as when it is looked at, is taken for gone by the other one. */
function refusedAsGone(error: Error): undefined {
  if (!error.message.includes('shutting down')) throw error;
}

/** One after the other. */
async function many<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  while (made.length < count) made.push(await make());
  return made;
}
