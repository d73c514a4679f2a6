import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { Random } from '../fuzz/random.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { Inspector } from '../support/inspector.js';
import { connected } from '../support/postgres-clients.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { expectNoLeak, growthOf, inWords, MAY_GROW, usageAfter, usageAtRest } from './leaks.js';
import { Remains } from './remains.js';
import { reportFault } from './report.js';

const REPLICAS = size('SOAK_REPLICAS');
const SECONDS = size('SOAK_SECONDS');
/** Repeats the order. */
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** Of what is done at a time. */
const HANDS = 4;
const LIBRARY = new URL('../../examples/library.sql', import.meta.url);

((await dockerAvailable()) ? describe : describe.skip)(`${REPLICAS} replicas side by side`, () => {
  const docker = new Dockerode();
  const random = new Random(SEED);
  const done = new Map<string, number>();
  let build: Build;
  let tempFolder: string;
  let remains: Remains;
  let server: ServerProcess;
  let inspector: Inspector;
  let dump: string;
  /** Chats with a READY replica that nobody has in hand. */
  const idle: string[] = [];
  let alive = 0;

  beforeAll(async () => {
    dump = await readFile(LIBRARY, 'utf8');
    build = await buildServer();
    tempFolder = await mkdtemp(join(tmpdir(), 'many-'));
    await chmod(tempFolder, 0o755);
    remains = new Remains(tempFolder, docker);
    server = await ServerProcess.start(build, {
      REPLICA_ENGINE: 'docker',
      REPLICA_IMAGE: (await testImage()) as string,
      REPLICA_MEMORY: '192m',
      MAX_REPLICAS: String(REPLICAS),
      GATEWAY_PORT: '0',
      TMPDIR: tempFolder,
      NODE_OPTIONS: '--inspect=127.0.0.1:0',
    });
    inspector = await Inspector.connect(server);
  });
  afterAll(async () => {
    inspector?.close();
    await server?.shutDown();
    await build?.remove();
    if (tempFolder) await rm(tempFolder, { recursive: true, force: true });
  });

  async function ask(query: string, variables: Record<string, unknown>): Promise<Record<string, unknown>> {
    const { data, errors } = await server.client.graphql(query, variables);
    if (errors) throw new Error(`${query}: ${JSON.stringify(errors)}`);
    return data;
  }

  async function replicate(chatId: string): Promise<void> {
    const { state, error } = await server.client.replicate(chatId, dump);
    if (state !== 'READY') throw new Error(`${state}: ${JSON.stringify(error)}`);
  }

  const onReplica: Record<string, (chatId: string) => Promise<void>> = {
    async read(chatId) {
      await Promise.all([1, 2, 3].map(() => server.client.rows(chatId, 'select count(*) from loan')));
    },
    async write(chatId) {
      await server.client.rows(chatId, 'truncate loan cascade', { access: 'READ_WRITE' });
    },
    async reset(chatId) {
      await ask('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId });
      const [[count]] = (await server.client.rows(chatId, 'select count(*) from loan')) as [[number]];
      if (count === 0) throw new Error('a reset has brought nothing back');
    },
    async connect(chatId) {
      const credentials = 'query($id: ID!) { credentials(chatId: $id, target: REPLICA) { uri } }';
      const { uri } = (await ask(credentials, { id: chatId })).credentials as { uri: string };
      const client = await connected(uri);
      await client.query('select count(*) from loan');
      if (random.oneIn(2)) await client.end();
      else (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    },
    replace: replicate,
    async fail(chatId) {
      await server.client.replicate(chatId, 'selekt;');
    },
    async cancel(chatId) {
      const watching = server.client.watch(chatId);
      await server.client.upload(chatId, dump);
      await ask('mutation($id: ID!) { cancelReplication(chatId: $id) { chatId } }', { id: chatId });
      await watching;
    },
    async time(chatId) {
      const slow = await server.client.runQuery(chatId, 'select pg_sleep(60)', { timeoutMs: 50 });
      if (!slow.errors) throw new Error('a query was not stopped');
    },
  };

  async function create(): Promise<void> {
    alive += 1;
    const chatId = await server.client.createChat({ user: 'librarian', database: 'library' });
    await replicate(chatId);
    idle.push(chatId);
  }

  async function remove(chatId: string): Promise<void> {
    if (random.oneIn(2)) await ask('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
    await ask('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    alive -= 1;
  }

  async function act(): Promise<void> {
    const [chatId] = idle.splice(random.below(idle.length), 1);
    if (chatId === undefined || (alive < REPLICAS && random.oneIn(3))) {
      if (chatId !== undefined) idle.push(chatId);
      return alive < REPLICAS ? counted('create', create()) : sleep(100);
    }
    if (random.oneIn(6)) return counted('delete', remove(chatId));
    const kind = random.pick(Object.keys(onReplica));
    await counted(kind, onReplica[kind]?.(chatId));
    idle.push(chatId);
  }

  async function counted(kind: string, work: Promise<void> | undefined): Promise<void> {
    await work;
    done.set(kind, (done.get(kind) ?? 0) + 1);
  }

  async function live(seconds: number): Promise<void> {
    const end = Date.now() + seconds * 1000;
    const hand = async () => {
      while (Date.now() < end) await act();
    };
    await Promise.all(Array.from({ length: HANDS }, hand));
    await Promise.all(idle.splice(0).map(remove));
  }

  test(
    `created, queried, written to, reset, replaced and deleted in random order for ${SECONDS} s, leak nothing`,
    async () => {
      // What is made once is there afterwards: pools, compiled code, a server that is kept started.
      await live(Math.min(SECONDS, 15));
      await settle();
      const before = await usageAtRest(inspector);
      await live(SECONDS);
      await settle();
      // What a call to Docker holds on to goes with its time limit, a minute later.
      const after = await usageAfter(before, inspector);
      const grown = growthOf(before, after);
      process.stdout.write(`\nseed ${SEED}: ${summaryOf(done)}\nbefore ${inWords(before)}\ngrowth ${inWords(grown)}\n`);
      const complaints = server.output.filter((line) => /Warning|"level":(50|60)/.test(line));
      await reportFault('many', {
        howOften: `${REPLICAS} for ${SECONDS} s: ${summaryOf(done)}`,
        demanded: `nothing fails, nothing is left, and the server grows by at most ${inWords(MAY_GROW)}`,
        seen: `${complaints.length} warnings and errors in its log; it had ${inWords(before)}, and grew by ${inWords(grown)}`,
      });
      expectNoLeak(before, after);
      expect(complaints).toEqual([]);
    },
    300_000 + 3 * SECONDS * 1000,
  );

  /** With one server that is kept started, and nothing else of any chat. */
  async function settle(): Promise<void> {
    let left: string[] = [];
    await eventually(
      'only the warm server is left',
      async () => {
        left = await remains.look();
        const [warm, ...others] = namesOf('container ', left);
        if (!warm?.startsWith('/replichat-warm-') || others.length > 0) return false;
        const { Mounts } = await docker.getContainer(warm.slice(1)).inspect();
        return namesOf('volume ', left).length === Mounts.filter(({ Name }) => Name).length;
      },
      60_000,
      () => left.join(', '),
    );
  }
});

function namesOf(kind: string, left: readonly string[]): string[] {
  return left.filter((what) => what.startsWith(kind)).map((what) => what.slice(kind.length));
}

function summaryOf(done: ReadonlyMap<string, number>): string {
  return [...done].map(([what, count]) => `${count} ${what}`).join(', ');
}
