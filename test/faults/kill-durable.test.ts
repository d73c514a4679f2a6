import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import type { Status } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { columns, type Moment, momentOf, momentsOf, restoreUntil } from './killing.js';
import { Remains } from './remains.js';
import { inSeconds, reportFault, spreadOf } from './report.js';

const KILLS = size('DURABLE_KILLS');
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const DONE_WITHIN_MS = 60_000;
const LIBRARY = new URL('../../examples/library.sql', import.meta.url);

interface Kill extends Moment {
  readonly moment: string;
  readonly became: string;
  /** All from the kill on. */
  readonly restartMs: number;
  readonly toldMs: number;
  readonly goneMs: number;
}

((await dockerAvailable()) ? describe : describe.skip)('a server with DATABASE_URL on engine docker', () => {
  let build: Build;
  let database: TestDatabase;
  let env: Record<string, string>;
  let tempFolder: string;
  let remains: Remains;
  let server: ServerProcess;
  let dump: string;
  let books: unknown[][];

  beforeAll(async () => {
    dump = await readFile(LIBRARY, 'utf8');
    [build, database] = await Promise.all([buildServer(), TestDatabase.start()]);
    tempFolder = await mkdtemp(join(tmpdir(), 'kill-'));
    remains = new Remains(tempFolder, new Dockerode());
    env = {
      DATABASE_URL: await database.createDatabase(),
      CREDENTIALS_KEYS: KEYS,
      REPLICA_ENGINE: 'docker',
      REPLICA_IMAGE: (await testImage()) as string,
      REPLICA_WARM: '0',
      GATEWAY_PORT: 'off',
      TMPDIR: tempFolder,
    };
    server = await ServerProcess.start(build, env);
  });
  afterAll(async () => {
    await server?.shutDown();
    await database?.remove();
    await build?.remove();
    if (tempFolder) await rm(tempFolder, { recursive: true, force: true });
  });

  /** The chat has a READY replica, and so it has afterwards, whatever becomes of the one that is being restored. */
  async function killIn(chatId: string, { phase, afterMs }: Moment): Promise<Kill> {
    const when = `${phase} + ${afterMs} ms, seed ${SEED}`;
    const earlier = (await server.client.status(chatId)) as Status;
    const seen = await restoreUntil(server, { chatId, dump, phase, afterMs });
    await server.kill();
    const killedAt = performance.now();
    const since = () => performance.now() - killedAt;
    server = await ServerProcess.start(build, env);
    const restartMs = since();
    const { client } = server;
    const query = 'select count(*) from loan';
    expect(await client.rows(chatId, query)).toEqual(books);

    // Without an end, this would not return.
    const end = (await client.watch(chatId)).at(-1) as Status;
    const toldMs = since();
    if (end.state !== 'READY') expect(end).toMatchObject({ state: 'FAILED', error: { code: 'INTERRUPTED' } });
    expect(toldMs).toBeLessThan(DONE_WITHIN_MS);
    expect(await client.rows(chatId, query)).toEqual(books);
    let left: string[] = [];
    const isAllGone = async () => {
      left = await remains.look();
      return onlyOneReplica(left);
    };
    await eventually(`one replica is left of ${when}`, isAllGone, DONE_WITHIN_MS, () => left.join(', '));
    const goneMs = since();
    expect(await client.replicate(chatId, dump)).toMatchObject({ state: 'READY' });
    const isNew = end.sequence !== earlier.sequence;
    const became = isNew ? [end.state, end.error?.code].filter(Boolean).join(' ') : 'not accepted';
    return { phase, afterMs, moment: momentOf(seen), became, restartMs, toldMs, goneMs };
  }

  test(
    `is killed ${KILLS} times in the middle of a restore: the chat is told its end, keeps its replica and takes new uploads`,
    async () => {
      const chatId = await server.client.createChat({ user: 'librarian', database: 'library' });
      expect(await server.client.replicate(chatId, dump)).toMatchObject({ state: 'READY' });
      books = await server.client.rows(chatId, 'select count(*) from loan');
      const kills: Kill[] = [];
      for (const moment of momentsOf(KILLS, SEED)) kills.push(await killIn(chatId, moment));
      const table = tableOf(kills);
      process.stdout.write(`\n${table}\n\n`);
      const times = (pick: (kill: Kill) => number) => spreadOf(kills.map(pick));
      const interrupted = kills.filter(({ became }) => became.startsWith('FAILED'));
      await reportFault('kill', {
        howOften: `${KILLS} times, engine docker, store in PostgreSQL`,
        demanded:
          `the replication has an end within ${DONE_WITHIN_MS / 1000} s and a subscriber hears it, the earlier replica ` +
          'answers, nothing else is left, and the next upload is READY',
        seen:
          `${interrupted.length} ended as INTERRUPTED, the others were READY or not accepted; the end was told after ` +
          `${times(({ toldMs }) => toldMs)}, and what was left gone after ${times(({ goneMs }) => goneMs)}`,
        details: `\`\`\`\n${table}\n\`\`\``,
      });
      const { errors } = await server.client.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      expect(errors).toBeUndefined();
    },
    120_000 + KILLS * (DONE_WITHIN_MS + 30_000),
  );
});

/** A container with its volume, and the server's own socket. */
function onlyOneReplica(left: readonly string[]): boolean {
  const count = (kind: string) => left.filter((what) => what.startsWith(kind)).length;
  return count('container ') === 1 && count('volume ') <= 1 && count('file ') <= 1 && count('process ') === 0;
}

function tableOf(kills: readonly Kill[]): string {
  const head = ['killed in', 'seen last', 'became', 'listens again', 'its end is told', 'all gone'];
  const rows = kills.map(({ phase, afterMs, moment, became, restartMs, toldMs, goneMs }) => [
    `${phase} + ${afterMs} ms`,
    moment,
    became,
    inSeconds(restartMs),
    inSeconds(toldMs),
    inSeconds(goneMs),
  ]);
  return `engine docker, store in PostgreSQL, seed ${SEED}\n${columns([head, ...rows])}`;
}
