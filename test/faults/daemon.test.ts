import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Status } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { DockerDaemon } from '../support/docker-daemon.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { canMount } from '../support/volumes.js';
import { size } from './faults.js';
import { inSeconds, reportFault, spreadOf } from './report.js';

const STOPS = size('DAEMON_STOPS');
const DUMP = 'create table t (a int); insert into t values (42);\n';
/** Whatever is asked meanwhile is answered within this time. */
const ANSWERED_MS = 20_000;
/** When the daemon is stopped: the upload's that has just begun, and one ahead of need. */
const STARTED_AT_ONCE = 2;
/** After the daemon is back. */
const CLEAN_MS = 60_000;
/** As an operator stops it, and as nobody should. */
const SIGNALS = ['SIGTERM', 'SIGKILL'] as const;
/** What a replication, or what it has made, may end with whose Engine goes. */
const ENDINGS = ['SERVER_STOPPED', 'ENGINE_UNAVAILABLE', 'EXITED'];

const describeWithDaemon = (await dockerAvailable()) && (await canMount()) ? describe : describe.skip;

describeWithDaemon('a Docker daemon that is stopped and started', () => {
  let build: Build;
  let daemon: DockerDaemon;
  let database: TestDatabase;
  let stops = 0;
  /** Volumes without labels, which daemons that ended have left: nobody can tell whose they are, and nobody removes them. */
  const forgotten = new Set<string>();

  beforeAll(async () => {
    const image = (await testImage()) as string;
    [build, daemon, database] = await Promise.all([buildServer(), DockerDaemon.start(image), TestDatabase.start()]);
  });
  afterAll(async () => {
    await daemon?.remove();
    await database?.remove();
    await build?.remove();
  });

  describe.each(['memory', 'PostgreSQL'] as const)('under a server with its store in %s', (store) => {
    let tempFolder: string;
    let server: ServerProcess;
    let longestAnswerMs = 0;

    beforeAll(async () => {
      tempFolder = await mkdtemp(join(tmpdir(), 'daemon-'));
      const durable = { DATABASE_URL: await database.createDatabase(), CREDENTIALS_KEYS: KEYS };
      server = await ServerProcess.start(build, {
        ...(store === 'PostgreSQL' ? durable : {}),
        REPLICA_ENGINE: 'docker',
        REPLICA_IMAGE: (await testImage()) as string,
        REPLICA_MEMORY: '256m',
        GATEWAY_PORT: 'off',
        DOCKER_HOST: daemon.host,
        TMPDIR: tempFolder,
      });
    });
    afterAll(async () => {
      await server?.shutDown();
      if (tempFolder) await rm(tempFolder, { recursive: true, force: true });
    });

    async function readyz(): Promise<{ status: number; body: unknown }> {
      const response = await fetch(`http://127.0.0.1:${server.client.port}/readyz`);
      return { status: response.status, body: await response.json() };
    }

    async function inTime<T>(what: string, work: Promise<T>): Promise<T> {
      const startedAt = performance.now();
      const said = await work;
      const ms = performance.now() - startedAt;
      longestAnswerMs = Math.max(longestAnswerMs, ms);
      if (ms > ANSWERED_MS) throw new Error(`${what} took ${inSeconds(ms)}`);
      return said;
    }

    /** Its upload has not ended: where it ends is the restore's or, sooner, the provision's business. */
    async function underWay(until: (status: Status | null) => boolean) {
      const chatId = await server.client.createChat();
      const upload = server.client.openUpload(chatId);
      upload.write(DUMP.padEnd(2000, '\n'));
      expect((await upload.answer).errors).toBeUndefined();
      await eventually('the replication', async () => until(await server.client.status(chatId)));
      return { chatId, upload, watched: server.client.watch(chatId) };
    }

    /** It is READY and can be queried, or has ended and says why. */
    async function isTrue(chatId: string): Promise<boolean> {
      const { data, errors } = await server.client.runQuery(chatId, 'select a from t', { record: false });
      const status = await server.client.status(chatId);
      if (!errors) return status?.state === 'READY' && data.runQuery.rows[0].a === 42;
      return status?.state === 'FAILED' && ENDINGS.includes(String(status.error?.code));
    }

    /** What has been asked while it was away, and what is said afterwards. */
    async function once(signal: (typeof SIGNALS)[number]): Promise<Round> {
      const { client } = server;
      const [ready, fresh] = [await client.createChat(), await client.createChat()];
      expect(await client.replicate(ready, DUMP)).toMatchObject({ state: 'READY' });
      const underway = [await underWay((status) => status?.state === 'RESTORING'), await underWay(() => true)];

      await daemon.stop(signal);
      stops += 1;
      let isUsable: boolean;
      try {
        expect(await inTime('readyz', readyz())).toMatchObject({ status: 503, body: { engine: 'unavailable' } });
        const refused = await inTime('an upload', client.upload(fresh, DUMP));
        expect(refused.errors).toMatchObject([{ extensions: { code: 'ENGINE_UNAVAILABLE' } }]);
        // Killed, it leaves its containers alone, and their sockets are reached without it.
        const { data, errors } = await inTime('a query', client.runQuery(ready, 'select a from t'));
        isUsable = !errors;
        if (errors) expect(errors).toMatchObject([{ extensions: { code: 'REPLICA_NOT_READY' } }]);
        else expect(data.runQuery.rows).toEqual([{ a: 42 }]);
      } finally {
        await daemon.resume();
      }
      const resumedAt = performance.now();
      for (const { upload } of underway) upload.finish();
      // What goes on without a daemon may be READY, until that ends its container.
      for (const { watched } of underway) expect((await watched).at(-1)?.state).toMatch(/^(FAILED|READY)$/);
      await eventually('it is ready', async () => (await readyz()).status === 200);
      const made = [ready, ...underway.map(({ chatId }) => chatId)];
      for (const chatId of made) await eventually(`the truth about ${chatId}`, () => isTrue(chatId));
      const toldMs = performance.now() - resumedAt;
      const chats = [...made, fresh];
      await Promise.all(
        chats.map(async (chatId) => {
          expect(await client.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
          expect(await client.rows(chatId, 'select a from t')).toEqual([[42]]);
        }),
      );
      const readyMs = performance.now() - resumedAt;
      const deletion = 'mutation($id: ID!) { deleteChat(id: $id) }';
      for (const id of chats) expect((await client.graphql(deletion, { id })).errors).toBeUndefined();
      let left: string[] = [];
      const isClean = async () => {
        left = await orphans();
        return left.length === 0;
      };
      await eventually('only warm servers are left', isClean, CLEAN_MS, () => left.join(', '));
      return { signal, isUsable, toldMs, readyMs, cleanMs: performance.now() - resumedAt };
    }

    /** The daemon has nothing but ours: containers of no warm server, and volumes of no container, with labels. */
    async function orphans(): Promise<string[]> {
      const containers = await daemon.docker.listContainers({ all: true });
      const { Volumes } = await daemon.docker.listVolumes();
      const used = containers.flatMap(({ Mounts }) => Mounts.map(({ Name }) => Name));
      const unused = Volumes.filter(({ Name }) => !used.includes(Name));
      for (const { Name, Labels } of unused) if (Object.keys(Labels ?? {}).length === 0) forgotten.add(Name);
      return [
        ...containers.flatMap(({ Names }) => Names).filter((name) => !name.startsWith('/replichat-warm-')),
        ...unused.filter(({ Name }) => !forgotten.has(Name)).map((volume) => `volume ${JSON.stringify(volume)}`),
      ];
    }

    test(
      `${STOPS} times: what needs it says so meanwhile, everything goes on afterwards, and nothing is left`,
      async () => {
        const rounds: Round[] = [];
        for (let stop = 0; stop < STOPS; stop += 1) {
          rounds.push(await once(SIGNALS[(stop + (store === 'memory' ? 1 : 0)) % 2] as (typeof SIGNALS)[number]));
        }
        const times = (pick: (round: Round) => number) => spreadOf(rounds.map(pick));
        const killed = rounds.filter(({ signal }) => signal === 'SIGKILL');
        await reportFault('daemon', {
          howOften: `${STOPS} times, ${killed.length} of them by kill -9, store in ${store}`,
          demanded:
            'meanwhile /readyz is 503 and an upload ENGINE_UNAVAILABLE; what was under way is FAILED and says why, what ' +
            'was READY is usable or says that it has ended; afterwards uploads to all chats are READY, with the same ' +
            `server; no container and no volume that says whose it is is left after ${CLEAN_MS / 1000} s`,
          seen:
            `the slowest answer took ${inSeconds(longestAnswerMs)}; while it was away, ` +
            `${rounds.filter(({ isUsable }) => isUsable).length} READY replicas could be queried. From its return on: all ` +
            `states true after ${times(({ toldMs }) => toldMs)}, four uploads READY after ` +
            `${times(({ readyMs }) => readyMs)}, nothing left after ${times(({ cleanMs }) => cleanMs)}, but for ` +
            `${forgotten.size} volumes without labels on this daemon, which stay`,
        });
        expect(forgotten.size).toBeLessThanOrEqual(stops * STARTED_AT_ONCE);
        expect(server.output.filter((line) => /"level":(50|60)/.test(line))).toEqual([]);
      },
      120_000 + STOPS * 120_000,
    );
  });
});

interface Round {
  readonly signal: (typeof SIGNALS)[number];
  /** What was READY, while the daemon was away. */
  readonly isUsable: boolean;
  /** All from its return on. */
  readonly toldMs: number;
  readonly readyMs: number;
  readonly cleanMs: number;
}
