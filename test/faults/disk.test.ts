import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { dockerAvailable, testImage } from '../support/docker.js';
import { DockerDaemon } from '../support/docker-daemon.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { canMount, mountMemory, unmountAll } from '../support/volumes.js';
import { size } from './faults.js';
import { reportFault, spreadOf } from './report.js';

const MiB = 2 ** 20;
const FILLS = size('DISK_FILLS');
const DUMP = 'create table t (a int); insert into t values (42);\n';
/** What was written in vain is free again within this time; an earlier replica writes a little meanwhile. */
const FREED_MS = 60_000;
const SLACK = 20 * MiB;

const ROW = `${'x'.repeat(1000)}\n`;
const table = (megabytes: number) =>
  `CREATE TABLE big (v text);\nCOPY big (v) FROM stdin;\n${ROW.repeat((megabytes * MiB) / ROW.length)}\\.\n`;
/** About four megabytes, which stay in the log only. */
const CHANGE = "insert into big select repeat('x', 1000) from generate_series(1, 4000);\ntruncate big;\n";

/** What does not fit onto a disk of so many megabytes, each in its own way. */
const FILLINGS: Record<string, (megabytes: number) => string> = {
  'rows of COPY': table,
  // PostgreSQL does not survive that.
  'the write-ahead log': (megabytes) => `create table big (v text);\n${CHANGE.repeat(megabytes / 4)}`,
  // Nothing is restored before it has slept, and all the rest waits on disk.
  'rows that wait': (megabytes) => `select pg_sleep(60);\n${table(megabytes)}`,
};

const canHaveDisks = await canMount();
const describeWithDisks = canHaveDisks ? describe : describe.skip;
const describeWithDocker = canHaveDisks && (await dockerAvailable()) ? describe : describe.skip;

let build: Build;
let server: ServerProcess;

beforeAll(async () => {
  build = await buildServer();
});
afterAll(() => build?.remove());

function start(env: Record<string, string>): Promise<ServerProcess> {
  return ServerProcess.start(build, { REPLICA_WARM: '0', GATEWAY_PORT: 'off', ...env });
}

interface Disk {
  readonly engine: string;
  readonly megabytes: number;
  readonly folder: () => string;
}

describeWithDocker('on engine docker', () => {
  const MEGABYTES = 256;
  let daemon: DockerDaemon;

  beforeAll(async () => {
    const image = (await testImage()) as string;
    daemon = await DockerDaemon.start(image, MEGABYTES * MiB);
    server = await start({ REPLICA_ENGINE: 'docker', REPLICA_IMAGE: image, DOCKER_HOST: daemon.host });
  });
  afterAll(async () => {
    await server?.shutDown();
    await daemon?.remove();
  });

  const disk = { engine: 'docker', megabytes: MEGABYTES, folder: () => daemon.volumes };
  testFilling(disk, 'rows of COPY', 'DISK_FULL');
  testFilling(disk, 'the write-ahead log', 'DISK_FULL');
});

describeWithDisks('on engine embedded', () => {
  const MEGABYTES = 400;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'disk-'));
    await mountMemory(folder, MEGABYTES * MiB);
    server = await start({ REPLICA_ENGINE: 'embedded', TMPDIR: folder });
  });
  afterAll(async () => {
    await server?.shutDown();
    await unmountAll(folder);
    await rm(folder, { recursive: true });
  });

  const disk = { engine: 'embedded', megabytes: MEGABYTES, folder: () => folder };
  testFilling(disk, 'the write-ahead log', 'DISK_FULL');
  testFilling(disk, 'rows that wait', 'SPOOL_FULL');
});

interface Fill {
  readonly message: string;
  readonly failedMs: number;
  readonly freedMs: number;
}

function testFilling({ engine, megabytes, folder }: Disk, kind: keyof typeof FILLINGS, code: string): void {
  async function freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(folder());
    return bavail * bsize;
  }

  /** The chat has an earlier replica. */
  async function fill(chatId: string): Promise<Fill> {
    const { client } = server;
    const before = await freeBytes();
    const startedAt = performance.now();
    const { state, error } = await client.replicate(chatId, FILLINGS[kind]?.(megabytes) as string);
    const failedAt = performance.now();
    const message = [error?.message, error?.hint].filter(Boolean).join('; ');
    expect({ state, code: error?.code, message }).toEqual({
      state: 'FAILED',
      code,
      message: expect.stringMatching(/free some/i),
    });
    expect(await client.rows(chatId, 'select a from t')).toEqual([[42]]);
    let free = 0;
    const isFree = async () => {
      free = await freeBytes();
      return free > before - SLACK;
    };
    await eventually('the space is free again', isFree, FREED_MS, () => `${free} of ${before} bytes`);
    return { message, failedMs: failedAt - startedAt, freedMs: performance.now() - failedAt };
  }

  test(
    `${FILLS} times ${kind} fill the disk: it says so, the earlier replica stays, and the space is free again`,
    async () => {
      const { client } = server;
      const chatId = await client.createChat();
      const fills: Fill[] = [];
      for (let count = 0; count < FILLS; count += 1) {
        // The first one, and what follows each that was too large.
        expect(await client.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
        fills.push(await fill(chatId));
      }
      expect(await client.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
      expect(await client.rows(chatId, 'select a from t')).toEqual([[42]]);
      await client.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      await reportFault('disk', {
        howOften: `${FILLS} times, by ${kind}, ${megabytes} MiB, engine ${engine}`,
        demanded:
          `FAILED with ${code} and what to do; the earlier replica answers; what was written is free again after ` +
          `${FREED_MS / 1000} s; the next, smaller upload is READY`,
        seen:
          `FAILED after ${spreadOf(fills.map(({ failedMs }) => failedMs))}, free again ` +
          `${spreadOf(fills.map(({ freedMs }) => freedMs))} later: "${fills[0]?.message}"`,
      });
    },
    120_000 + FILLS * 120_000,
  );
}
