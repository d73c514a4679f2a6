import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { TestApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { reportFault, spreadOf } from './report.js';
import { Subscriber } from './subscriber.js';

const RESTARTS = size('DATABASE_RESTARTS');
/** Each to a chat of his own. */
const WRITERS = 4;
const SUBSCRIBERS = 20;
/** Between two posts, so that some are under way at any moment. */
const PAUSE_MS = 20;
const AWAY_MS = 1_000;
/** What is refused when the database does not answer is refused at once; the rest is for a busy machine. */
const REFUSED_WITHIN_MS = 30_000;
const MESSAGES = 'subscription($id: ID!) { messageAdded(chatId: $id) { id } }';
const DUMP = 'CREATE TABLE book (title text);\n';

interface Chat {
  readonly id: string;
  /** Of its messages, in the order of their acknowledgement. */
  readonly acknowledged: string[];
}

interface Listener {
  readonly chat: Chat;
  readonly subscriber: Subscriber;
  readonly heard: string[];
}

describe('two servers whose database is restarted', () => {
  const servers: ServerProcess[] = [];
  let build: Build;
  let database: TestDatabase;
  let isOver = false;

  beforeAll(async () => {
    [build, database] = await Promise.all([buildServer(), TestDatabase.start()]);
    const url = await database.createDatabase();
    const env = { DATABASE_URL: url, CREDENTIALS_KEYS: KEYS, REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };
    for (let count = 0; count < 2; count += 1) servers.push(await ServerProcess.start(build, env));
  });
  afterAll(async () => {
    isOver = true;
    await Promise.all(servers.map((server) => server.shutDown()));
    await database?.remove();
    await build?.remove();
  });

  test(
    `${RESTARTS} times lose and double nothing that was acknowledged, miss no event, say it on /readyz and refuse quickly`,
    async () => {
      const refusedMs: number[] = [];
      const codes = new Map<string, number>();
      const readyMs: number[] = [];
      const client = clientOf(0);
      const chats: Chat[] = [];
      while (chats.length < WRITERS) chats.push({ id: await client.createChat(), acknowledged: [] });
      const listeners = await Promise.all(Array.from({ length: SUBSCRIBERS }, (_, index) => listen(chats, index)));
      const restored = await client.createChat();

      /** Posts what was refused again, with the same id, until it is acknowledged. */
      const write = async (chat: Chat, index: number) => {
        for (let count = 0; !isOver; count += 1) {
          const clientId = `${index}-${count}`;
          let tries = 0;
          await eventually(`${clientId} is acknowledged`, async () => {
            const startedAt = performance.now();
            const answer = await post(clientOf(index + tries++), chat.id, clientId).catch(() => undefined);
            // A connection that has been idle may end as it is used again.
            if (!answer) return false;
            const { data, errors } = answer;
            if (!errors) return chat.acknowledged.push(data.postMessage.id) > 0;
            refusedMs.push(performance.now() - startedAt);
            const code = String(errors[0]?.extensions.code);
            codes.set(code, (codes.get(code) ?? 0) + 1);
            return false;
          });
          await sleep(PAUSE_MS);
        }
      };
      const writing = Promise.all(chats.map(write));
      const acknowledgedCount = () => chats.map(({ acknowledged }) => acknowledged.length);
      const moreFrom = async (before: number[]) =>
        eventually('each writer goes on', async () =>
          acknowledgedCount().every((n, index) => n > (before[index] ?? 0)),
        );

      for (let restart = 0; restart < RESTARTS; restart += 1) {
        await moreFrom(acknowledgedCount());
        // A restore that is under way meanwhile is not ended by it.
        const upload = client.openUpload(restored);
        upload.write(DUMP.padEnd(2_000, '\n'));
        expect((await upload.answer).errors).toBeUndefined();
        await database.suspend(restart % 2 === 0 ? 'SIGQUIT' : 'SIGINT');
        await eventually('/readyz says so', async () => (await readiness()).every((status) => status === 503));
        await sleep(AWAY_MS);
        const backAt = performance.now();
        await database.resume();
        await eventually('/readyz says so', async () => (await readiness()).every((status) => status === 200));
        readyMs.push(performance.now() - backAt);
        upload.finish();
        await eventually(
          'the restore is READY',
          async () => (await client.status(restored))?.state === 'READY',
          120_000,
        );
      }
      await moreFrom(acknowledgedCount());
      isOver = true;
      await writing;

      const stored = new Map(await Promise.all(chats.map(async (chat) => [chat, await messagesOf(chat)] as const)));
      const count = (list: readonly string[][]) => list.reduce((sum, { length }) => sum + length, 0);
      const all = chats.map(({ acknowledged }) => acknowledged);
      const toHear = listeners.map(({ chat, heard }) => ({ heard, expected: expectedOf(chat, heard) }));
      await eventually(
        'all is heard',
        async () => listeners.every(({ chat, heard }) => heard.at(-1) === chat.acknowledged.at(-1)),
        60_000,
      ).catch(() => {});
      const missed = toHear.filter(({ heard, expected }) => heard.join() !== expected.join()).length;
      await reportFault('database', {
        howOften: `${RESTARTS} times, without a word and as an operator does; ${WRITERS} clients post to two servers, ${SUBSCRIBERS} listen`,
        demanded:
          'nothing acknowledged is lost or doubled, subscribers miss nothing, /readyz says it, errors are clear and quick, a restore under way goes on',
        seen:
          `${count(all)} acknowledged, ${count([...stored.values()])} stored; ${missed} of ${SUBSCRIBERS} subscribers missed anything; ` +
          `refused: ${[...codes].map(([code, times]) => `${times} ${code}`).join(', ')} after ${spreadOf(refusedMs)}; ` +
          `ready again ${spreadOf(readyMs)} after its start`,
      });
      for (const [chat, messages] of stored) expect(messages).toEqual(chat.acknowledged);
      for (const { chat, heard } of listeners) expect(heard).toEqual(expectedOf(chat, heard));
      expect([...codes.keys()]).toEqual(['STORE_UNAVAILABLE']);
      expect(Math.max(...refusedMs)).toBeLessThan(REFUSED_WITHIN_MS);
      for (const { subscriber } of listeners) expect(subscriber.errors).toEqual([]);
      await Promise.all(listeners.map(({ subscriber }) => subscriber.close()));
    },
    180_000 + RESTARTS * 60_000,
  );

  function clientOf(index: number): ServerProcess['client'] {
    return (servers[index % servers.length] as ServerProcess).client;
  }

  async function listen(chats: readonly Chat[], index: number): Promise<Listener> {
    const chat = chats[index % chats.length] as Chat;
    // Each chat is listened to on both servers.
    const subscriber = await Subscriber.connect(clientOf(Math.floor(index / chats.length)).port);
    const heard: string[] = [];
    void subscriber.subscribe(MESSAGES, { id: chat.id }, ({ messageAdded }) => heard.push(messageAdded.id));
    return { chat, subscriber, heard };
  }

  async function readiness(): Promise<number[]> {
    const statusOf = async ({ client: { port } }: ServerProcess) =>
      (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
    // A connection that has been idle may end as it is used again.
    return Promise.all(servers.map((server) => statusOf(server).catch(() => 0)));
  }

  async function messagesOf({ id }: Chat): Promise<string[]> {
    const found: string[] = [];
    for (let after: string | null = null; ; ) {
      const { data } = await clientOf(0).graphql(
        `query($id: ID!, $after: String) { chat(id: $id) { messages(first: 500, after: $after) {
          nodes { id } pageInfo { hasNextPage endCursor } } } }`,
        { id, after },
      );
      const { nodes, pageInfo } = data.chat.messages;
      found.push(...nodes.map((node: { id: string }) => node.id));
      if (!pageInfo.hasNextPage) return found;
      after = pageInfo.endCursor;
    }
  }
});

/** From the first that was heard on. */
function expectedOf({ acknowledged }: Chat, heard: readonly string[]): string[] {
  return acknowledged.slice(acknowledged.indexOf(heard[0] as string));
}

function post({ graphql }: Pick<TestApp, 'graphql'>, chatId: string, clientId: string) {
  return graphql('mutation($input: PostMessageInput!) { postMessage(input: $input) { id } }', {
    input: { chatId, role: 'USER', content: { text: clientId }, clientId },
  });
}
