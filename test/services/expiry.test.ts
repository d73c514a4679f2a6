import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type Status, startApp, type TestApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { connected } from '../support/postgres-clients.js';

const DUMP = 'create table t (a int); insert into t values (42);';

describe('a replica that is not used', () => {
  let app: TestApp;

  beforeAll(async () => {
    app = await startApp({ REPLICA_ENGINE: 'embedded', REPLICA_TTL: '6s', GATEWAY_PORT: '0' });
  });
  afterAll(() => app?.app.close());

  interface Times {
    lastUsedAt: string;
    expiresAt: string | null;
  }

  async function times(chatId: string, of = app): Promise<{ lastUsed: number; expires: number | null }> {
    const { data } = await of.graphql('query($id: ID!) { chat(id: $id) { replica { lastUsedAt expiresAt } } }', {
      id: chatId,
    });
    const { lastUsedAt, expiresAt } = data.chat.replica as Times;
    return { lastUsed: Date.parse(lastUsedAt), expires: expiresAt === null ? null : Date.parse(expiresAt) };
  }

  test('expires after REPLICA_TTL, tells who watches, and its chat stays and can be uploaded to again', async () => {
    const chatId = await app.createChat();
    const ready = await app.replicate(chatId, DUMP);
    expect(await app.rows(chatId, 'select a from t', { record: true })).toEqual([[42]]);
    const { lastUsed, expires } = await times(chatId);
    expect(expires).toBe(lastUsed + 6000);
    const heard: { status: Status; at: number }[] = [];
    await app.watch(chatId, ready.sequence, (status) => heard.push({ status, at: Date.now() }));
    expect(heard.map(({ status }) => [status.state, status.sequence])).toEqual([['EXPIRED', ready.sequence + 1]]);
    expect(heard[0]?.at).toBeGreaterThanOrEqual(expires as number);
    expect(await app.status(chatId)).toEqual(heard[0]?.status);

    const { errors } = await app.runQuery(chatId, 'select a from t');
    expect(errors?.[0]).toMatchObject({
      message: 'this chat has no replica (the last one is EXPIRED); upload a dump with uploadReplica',
      extensions: { code: 'REPLICA_NOT_READY', state: 'EXPIRED' },
    });
    const { data } = await app.graphql(
      'query($id: ID!) { chat(id: $id) { messages { totalCount } replica { queryable } } }',
      { id: chatId },
    );
    expect(data.chat).toEqual({ messages: { totalCount: 2 }, replica: { queryable: false } });
    const again = await app.replicate(chatId, DUMP);
    expect(again.state).toBe('READY');
    expect(again.sequence).toBeGreaterThan(ready.sequence + 1);
    expect(await app.rows(chatId, 'select a from t')).toEqual([[42]]);
  });

  test('has its end put off by every use', async () => {
    const chatId = await app.createChat();
    await app.replicate(chatId, DUMP, { ttlSeconds: 600 });
    const credentials = 'query($id: ID!) { credentials(chatId: $id, target: REPLICA) { uri } }';
    const client = await connected((await app.graphql(credentials, { id: chatId })).data.credentials.uri);
    const uses: [string, () => Promise<unknown>][] = [
      ['reading', () => app.rows(chatId, 'select a from t')],
      ['failing', () => app.runQuery(chatId, 'selekt')],
      ['writing', () => app.rows(chatId, 'insert into t values (1)', { access: 'READ_WRITE' })],
      ['a query of a client', () => client.query('select 1')],
      [
        'its tables',
        () => app.graphql('query($id: ID!) { chat(id: $id) { replica { tables { name } } } }', { id: chatId }),
      ],
      ['a reset', () => app.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId })],
    ];
    for (const [what, use] of uses) {
      const before = await times(chatId);
      await use();
      let after = before;
      await eventually(`${what} counts`, async () => {
        after = await times(chatId);
        return after.lastUsed > before.lastUsed;
      });
      expect(after.expires).toBe(after.lastUsed + 600_000);
    }
  });

  test('has its uses written to the database once a second, however many there are', async () => {
    const database = await TestDatabase.start();
    const url = await database.createDatabase();
    const durable = { DATABASE_URL: url, CREDENTIALS_KEYS: KEYS };
    const own = await startApp({ REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off', ...durable });
    const client = new pg.Client(url);
    client.on('error', () => {});
    await client.connect();
    try {
      const chatId = await own.createChat();
      await own.replicate(chatId, DUMP);
      await client.query(`CREATE SEQUENCE writes;
        CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('writes'); RETURN NEW; END $$;
        CREATE TRIGGER note_write BEFORE UPDATE ON replichat.replica FOR EACH ROW EXECUTE FUNCTION note_write()`);
      const begun = Date.now();
      for (let use = 0; use < 200; use += 1) await own.rows(chatId, 'select a from t');
      const { lastUsed } = await times(chatId, own);
      const stored = 'SELECT last_used_at FROM replichat.replica';
      await eventually(
        'the last one is written',
        async () => (await client.query(stored)).rows[0].last_used_at.getTime() === lastUsed,
      );
      const { rows } = await client.query('SELECT last_value::int FROM writes');
      expect(rows[0].last_value).toBeLessThanOrEqual(Math.min(100, (Date.now() - begun) / 1_000 + 2));
    } finally {
      await client.end();
      await own.app.close();
      await database.remove();
    }
  });

  test('never expires with REPLICA_TTL=0, unless its upload says so', async () => {
    const own = await startApp({ REPLICA_ENGINE: 'embedded', REPLICA_TTL: '0' });
    try {
      const [kept, gone] = [await own.createChat(), await own.createChat()];
      await Promise.all([own.replicate(kept, DUMP), own.replicate(gone, DUMP, { ttlSeconds: 1 })]);
      expect((await times(kept, own)).expires).toBeNull();
      await eventually('the other one expires', async () => (await own.status(gone))?.state === 'EXPIRED');
      expect(await own.rows(kept, 'select a from t')).toEqual([[42]]);
    } finally {
      await own.app.close();
    }
  });

  test.each([0, -1, 31_536_001])('cannot be given %d s', async (ttlSeconds) => {
    const chatId = await app.createChat();
    const { errors } = await app.upload(chatId, DUMP, { ttlSeconds });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'ttlSeconds' });
    expect(await app.status(chatId)).toBeNull();
  });
});
