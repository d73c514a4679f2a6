import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { startApp, type TestApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';

const DUMP = 'CREATE TABLE book (title text);\n';
/** A server is taken for gone after 6 seconds; the rest is for a busy machine. */
const NOTICED_MS = 30_000;

let database: TestDatabase;
let env: Record<string, string>;

beforeAll(async () => {
  database = await TestDatabase.start();
  const url = await database.createDatabase();
  env = { DATABASE_URL: url, CREDENTIALS_KEYS: KEYS, REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };
});
afterAll(() => database?.remove());

describe('of two servers on one database', () => {
  let one: TestApp;
  let other: TestApp;

  beforeAll(async () => {
    [one, other] = [await startApp(env), await startApp(env)];
  });
  afterAll(async () => {
    await one?.app.close();
    await other?.app.close();
  });

  /** A replication that waits for the rest of its upload. */
  async function underWay(app: TestApp, chatId: string) {
    const upload = app.openUpload(chatId);
    upload.write(DUMP.padEnd(2000, '\n'));
    expect((await upload.answer).errors).toBeUndefined();
    return upload;
  }

  test('one says CONFLICT while the other is busy with the chat, and may end that', async () => {
    const chatId = await one.createChat();
    const upload = await underWay(one, chatId);
    expect((await other.upload(chatId, DUMP)).errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
    const cancelled = await other.graphql(
      'mutation($id: ID!) { cancelReplication(chatId: $id) { status { state } } }',
      { id: chatId },
    );
    expect(cancelled).toEqual({ data: { cancelReplication: { status: { state: 'CANCELLED' } } } });
    expect(await one.status(chatId)).toMatchObject({ state: 'CANCELLED' });
    upload.disconnect();
    expect(await other.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
    expect(await one.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
  });

  test('one deletes the chat that the other is busy with', async () => {
    const chatId = await one.createChat();
    const upload = await underWay(one, chatId);
    const watched = one.watch(chatId);
    const deleted = await other.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    expect(deleted).toEqual({ data: { deleteChat: chatId } });
    expect((await watched).at(-1)).toMatchObject({ state: 'CANCELLED' });
    upload.disconnect();
  });

  test('both delete a chat: it is deleted once, and nobody waits', async () => {
    const chatId = await one.createChat();
    const started = Date.now();
    const answers = await Promise.all(
      [one, other, one].map((app) => app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId })),
    );
    const outcomes = answers.map(({ data, errors }) => data?.deleteChat ?? errors?.[0]?.extensions.code);
    expect(outcomes.sort()).toEqual([chatId, 'NOT_FOUND', 'NOT_FOUND'].sort());
    expect(Date.now() - started).toBeLessThan(15_000);
  });

  test('what ends on one just when the other accepts an upload stays ended', async () => {
    const chatId = await one.createChat();
    await one.replicate(chatId, DUMP);
    const client = new pg.Client(env.DATABASE_URL);
    await client.connect();
    await client.query('BEGIN');
    // As an expiry does it.
    await client.query('UPDATE replichat.replica SET server_id = NULL, instance = NULL WHERE chat_id = $1', [chatId]);
    const upload = other.openUpload(chatId);
    upload.write(DUMP.padEnd(2000, '\n'));
    await eventually('the upload waits for its row', async () => {
      const { rows } = await client.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
      return rows.length > 0;
    });
    await client.query('COMMIT');
    expect((await upload.answer).errors).toBeUndefined();
    const { rows } = await client.query('SELECT server_id FROM replichat.replica WHERE chat_id = $1', [chatId]);
    expect(rows).toEqual([{ server_id: null }]);
    await client.end();
    upload.finish();
    expect((await other.watch(chatId)).at(-1)).toMatchObject({ state: 'READY' });
  });

  test('only one of many uploads to both of them at once is accepted', async () => {
    const chatId = await one.createChat();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => (index % 2 ? one : other).upload(chatId, DUMP)),
    );
    const refused = answers.filter(({ errors }) => errors);
    expect(refused).toHaveLength(9);
    for (const { errors } of refused) expect(errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
    expect((await one.watch(chatId)).at(-1)).toMatchObject({ state: 'READY' });
  });
});

describe('when a server is killed', () => {
  let build: Build;

  beforeAll(async () => {
    build = await buildServer();
  });
  afterAll(() => build?.remove());

  test('another one says so to those who watch its replications, within seconds', async () => {
    const killed = await ServerProcess.start(build, { ...env, REPLICA_WARM: '0' });
    const other = await startApp(env);
    try {
      const [making, ready, idle] = [
        await killed.client.createChat(),
        await other.createChat(),
        await other.createChat(),
      ];
      expect(await killed.client.replicate(ready, DUMP)).toMatchObject({ state: 'READY' });
      const upload = killed.client.openUpload(making);
      upload.write(DUMP.padEnd(2000, '\n'));
      await upload.answer;
      const watched = other.watch(making);
      await killed.kill();
      const startedAt = Date.now();
      expect((await watched).at(-1)).toMatchObject({ state: 'FAILED', error: { code: 'INTERRUPTED' } });
      expect(Date.now() - startedAt).toBeLessThan(NOTICED_MS);
      await eventually('the end of the READY one', async () => (await other.status(ready))?.state === 'FAILED');
      expect(await other.status(ready)).toMatchObject({ error: { code: 'INTERRUPTED' } });
      expect(await other.status(idle)).toBeNull();
      for (const chatId of [making, ready]) {
        expect(await other.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
      }
    } finally {
      await other.app.close();
    }
  });
});
