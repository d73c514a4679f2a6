import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OpenUpload } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { reportFault, spreadOf } from './report.js';

const ROUNDS = size('CONTESTS');
const UPLOADS = 20;
/** What comes after it is sent when all have their answers. */
const BEGINNING_BYTES = 2_000;
const NUMBERS = 'SELECT number FROM upload';

let build: Build;
let database: TestDatabase;
beforeAll(async () => {
  [build, database] = await Promise.all([buildServer(), TestDatabase.start()]);
});
afterAll(async () => {
  await database?.remove();
  await build?.remove();
});

describe.each([
  ['one server', 1],
  ['two servers on one database', 2],
])(`${UPLOADS} uploads to one chat at once, on %s`, (where, count) => {
  const servers: ServerProcess[] = [];

  beforeAll(async () => {
    const url = await database.createDatabase();
    const durable: Record<string, string> = count > 1 ? { DATABASE_URL: url, CREDENTIALS_KEYS: KEYS } : {};
    const env = { REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off', ...durable };
    while (servers.length < count) servers.push(await ServerProcess.start(build, env));
  });
  afterAll(() => Promise.all(servers.map((server) => server.shutDown())));

  interface Upload {
    readonly number: number;
    readonly server: ServerProcess;
    readonly open: OpenUpload;
    readonly code: unknown;
    readonly ms: number;
  }

  /** Has its answer before the rest of the body is sent. */
  async function begin(chatId: string, number: number): Promise<Upload> {
    const server = servers[number % count] as ServerProcess;
    const startedAt = performance.now();
    const open = server.client.openUpload(chatId);
    open.write(
      `CREATE TABLE upload (number integer);\nINSERT INTO upload VALUES (${number});\n`.padEnd(BEGINNING_BYTES, '\n'),
    );
    const { errors } = await open.answer;
    return { number, server, open, code: errors?.[0]?.extensions.code, ms: performance.now() - startedAt };
  }

  test(
    `${ROUNDS} times: one wins and is READY with its own data, the others have CONFLICT before they have sent theirs`,
    async () => {
      const losersMs: number[] = [];
      let chatId = '';
      for (let round = 0; round < ROUNDS; round += 1) {
        // Every second time to a chat that has a replica.
        if (round % 2 === 0) chatId = await (servers[0] as ServerProcess).client.createChat();
        const uploads = await Promise.all(
          Array.from({ length: UPLOADS }, (_, index) => begin(chatId, round * UPLOADS + index)),
        );
        const winner = uploads.find(({ code }) => code === undefined) as Upload;
        const losers = uploads.filter((upload) => upload !== winner);
        losersMs.push(...losers.map(({ ms }) => ms));
        expect(winner).toBeDefined();
        expect(losers.map(({ code }) => code)).toEqual(Array(UPLOADS - 1).fill('CONFLICT'));
        const { client } = winner.server;
        const watched = client.watch(chatId);
        for (const { open, number } of losers) {
          if (number % 3 === 0) open.disconnect();
          else open.finish();
        }
        winner.open.write('INSERT INTO upload VALUES (-1);\n');
        winner.open.finish();
        expect((await watched).at(-1)).toMatchObject({ state: 'READY', error: null });
        expect(await client.rows(chatId, NUMBERS)).toEqual([[winner.number], [-1]]);
      }
      await reportFault('together', {
        howOften: `${ROUNDS} times ${UPLOADS} uploads, on ${where}`,
        demanded: 'one wins and is READY with its own data; the others have CONFLICT before they have sent theirs',
        seen: `as demanded each time; CONFLICT after ${spreadOf(losersMs)}`,
      });
    },
    120_000 + ROUNDS * 30_000,
  );
});
