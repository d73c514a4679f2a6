import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import type { Status } from '../support/app.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { Remains } from './remains.js';
import { reportFault, spreadOf } from './report.js';

const KILLS = size('CONTAINER_KILLS');
const BOMBS = size('MEMORY_BOMBS');
const MEMORY_MB = 160;
const DUMP = 'create table t (a int); insert into t values (42);\n';
const BOMB = "select length(string_agg(repeat('x', 1000), '')) from generate_series(1, 900000)";
const ROW = `${'x'.repeat(1000)}\n`;
/** Much waits on disk. */
const WAITING = `select pg_sleep(60);\ncreate table big (v text);\ncopy big (v) from stdin;\n${ROW.repeat(20_000)}`;
/** From the kill on. */
const TOLD_MS = 10_000;
const GONE_MS = 60_000;

((await dockerAvailable()) ? describe : describe.skip)('a server of which', () => {
  const docker = new Dockerode();
  let build: Build;
  let tempFolder: string;
  let remains: Remains;
  let server: ServerProcess;

  beforeAll(async () => {
    build = await buildServer();
    tempFolder = await mkdtemp(join(tmpdir(), 'containers-'));
    remains = new Remains(tempFolder, docker);
    server = await ServerProcess.start(build, {
      REPLICA_ENGINE: 'docker',
      REPLICA_IMAGE: (await testImage()) as string,
      REPLICA_MEMORY: `${MEMORY_MB}m`,
      REPLICA_WARM: '0',
      GATEWAY_PORT: 'off',
      TMPDIR: tempFolder,
    });
  });
  afterAll(async () => {
    await server?.shutDown();
    await build?.remove();
    if (tempFolder) await rm(tempFolder, { recursive: true, force: true });
  });

  async function readyChat(): Promise<string> {
    const chatId = await server.client.createChat();
    expect(await server.client.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
    return chatId;
  }

  /** The newest of the chat's. */
  async function containerOf(chatId: string): Promise<Dockerode.Container> {
    const [info] = await docker.listContainers({ filters: { label: [`replichat.chat=${chatId}`] } });
    return docker.getContainer(info?.Id as string);
  }

  /** Files without a name that the server has open: spools. */
  async function spools(): Promise<string[]> {
    const folder = `/proc/${server.pid}/fd`;
    const files = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')));
    return files.filter((file) => file.startsWith(tempFolder) && file.endsWith(' (deleted)'));
  }

  /** Of everything but the server itself, which has a socket. */
  async function untilNothingIsLeft(): Promise<void> {
    let left: string[] = [];
    await eventually(
      'nothing is left',
      async () => {
        left = [...(await remains.look()), ...(await spools())].filter((what) => !what.endsWith('.sock'));
        return left.length === 0;
      },
      GONE_MS,
      () => left.join(', '),
    );
  }

  async function deleteChat(id: string): Promise<void> {
    const { errors } = await server.client.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id });
    expect(errors).toBeUndefined();
  }

  interface Kill {
    readonly toldMs: number;
    readonly goneMs: number;
  }

  /** Resolves when it has taken a new upload. */
  async function killOf(chatId: string, container: Dockerode.Container, code: string): Promise<Kill> {
    const { client } = server;
    const { sequence } = (await client.status(chatId)) as Status;
    const watched = client.watch(chatId, sequence);
    const killedAt = performance.now();
    await container.kill();
    expect((await watched).at(-1)).toMatchObject({ state: 'FAILED', error: { code } });
    const toldMs = performance.now() - killedAt;
    await untilNothingIsLeft();
    const goneMs = performance.now() - killedAt;
    expect(await client.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
    await deleteChat(chatId);
    await untilNothingIsLeft();
    return { toldMs, goneMs };
  }

  async function reportKills(what: string, code: string, kills: readonly Kill[]): Promise<void> {
    await reportFault('container', {
      howOften: `${KILLS} times, ${what}`,
      demanded:
        `FAILED with ${code} within ${TOLD_MS / 1000} s; no container, volume or spooled byte after ` +
        `${GONE_MS / 1000} s; the next upload is READY`,
      seen:
        `FAILED after ${spreadOf(kills.map(({ toldMs }) => toldMs))}; ` +
        `all gone after ${spreadOf(kills.map(({ goneMs }) => goneMs))}`,
    });
    for (const { toldMs } of kills) expect(toldMs).toBeLessThan(TOLD_MS);
  }

  const timeout = (times: number) => 60_000 + times * 60_000;

  test(
    `${KILLS} containers of READY replicas are killed says so, and takes new uploads`,
    async () => {
      const kills: Kill[] = [];
      for (let count = 0; count < KILLS; count += 1) {
        const chatId = await readyChat();
        kills.push(await killOf(chatId, await containerOf(chatId), 'EXITED'));
      }
      await reportKills('of a READY replica', 'EXITED', kills);
    },
    timeout(KILLS),
  );

  test(
    `${KILLS} containers are killed in the middle of a restore says so, and takes new uploads`,
    async () => {
      const kills: Kill[] = [];
      for (let count = 0; count < KILLS; count += 1) {
        const chatId = await server.client.createChat();
        const upload = server.client.openUpload(chatId);
        upload.write(WAITING);
        expect((await upload.answer).errors).toBeUndefined();
        await eventually('rows wait on disk', async () => (await spools()).length > 0);
        await eventually('it sleeps', async () => (await server.client.status(chatId))?.state === 'RESTORING');
        kills.push(await killOf(chatId, await containerOf(chatId), 'SERVER_STOPPED'));
        upload.disconnect();
      }
      await reportKills('in the middle of a restore', 'SERVER_STOPPED', kills);
    },
    timeout(KILLS),
  );

  test(
    `${BOMBS} dumps and queries take too much memory says so, and goes on`,
    async () => {
      const { client } = server;
      const toldMs: number[] = [];
      const backMs: number[] = [];
      for (let count = 0; count < BOMBS; count += 1) {
        const chatId = await readyChat();
        const startedAt = performance.now();
        expect(await client.replicate(chatId, `${DUMP}${BOMB};\n`)).toMatchObject({
          state: 'FAILED',
          error: { code: 'OUT_OF_MEMORY', message: expect.stringContaining('(REPLICA_MEMORY)') },
        });
        toldMs.push(performance.now() - startedAt);
        expect(await client.rows(chatId, 'select a from t')).toEqual([[42]]);

        const { errors } = await client.runQuery(chatId, BOMB, { record: false });
        const queriedAt = performance.now();
        expect(errors).toMatchObject([{ message: expect.stringMatching(/out of memory/) }]);
        await eventually('it answers again', async () => {
          const { data } = await client.runQuery(chatId, 'select a from t', { record: false });
          return data?.runQuery.rows[0].a === 42;
        });
        backMs.push(performance.now() - queriedAt);
        await deleteChat(chatId);
        await untilNothingIsLeft();
      }
      await reportFault('memory', {
        howOften: `${BOMBS} dumps and ${BOMBS} queries, replicas of ${MEMORY_MB} MiB`,
        demanded:
          'the dump is FAILED with OUT_OF_MEMORY and the limit, the earlier replica answers; the query says so, and the ' +
          `replica goes on with all that was in it; nothing is left after ${GONE_MS / 1000} s`,
        seen:
          `FAILED ${spreadOf(toldMs)} from the upload on; after the query, the replica answers again ` +
          `within ${spreadOf(backMs)}; nothing left`,
      });
    },
    timeout(BOMBS),
  );
});
