import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { processesOf } from '../../src/engines/processes.js';
import type { ReplicaServer } from '../../src/ports.js';
import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

const DUMP = `
create table t (a int);
insert into t select generate_series(1, 100);
grant select on t to reader;
do $$ begin
  execute 'comment on database shop is ''as the dump''''s author says''';
  execute 'revoke temporary on database shop from public';
  execute 'grant create, connect on database shop to reader with grant option';
  execute 'alter database shop set work_mem = ''5MB''';
end $$;
`;
/** Everything about a database that is not in it, and about its owner. */
const PROPERTIES = `
  select datname, pg_get_userbyid(datdba) as owner, datistemplate, datallowconn, datconnlimit,
         (select string_agg(item::text, ' ' order by item::text) from unnest(datacl) item) as grants,
         shobj_description(pg_database.oid, 'pg_database') as comment,
         (select string_agg(setrole::regrole || setconfig::text, ' ') from pg_db_role_setting
          where setdatabase in (0, pg_database.oid)) as settings,
         current_setting('work_mem') as work_mem, current_setting('search_path') as search_path,
         (select string_agg(relname, ' ') from pg_class where relnamespace = 'public'::regnamespace) as relations
  from pg_database where datname = current_database()`;

describe('resetReplica', () => {
  let app: TestApp;
  const servers = new Map<string, ReplicaServer>();

  beforeAll(async () => {
    app = await startWatched({});
  });
  afterAll(() => app?.app.close());

  /** An app whose servers the test knows, by chat. */
  async function startWatched(env: Record<string, string>): Promise<TestApp> {
    const started = await startApp({ REPLICA_ENGINE: 'embedded', ...env });
    const { engine } = started.app;
    const provision = engine.provision.bind(engine);
    engine.provision = async (request) => {
      const server = await provision(request);
      servers.set(request.chatId as string, server);
      return server;
    };
    return started;
  }

  async function newReplica(): Promise<string> {
    const chatId = await app.createChat();
    expect(await app.replicate(chatId, DUMP)).toMatchObject({ state: 'READY', error: null });
    return chatId;
  }

  function reset(chatId: string) {
    return app.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { queryable sizeBytes } }', { id: chatId });
  }

  async function write(chatId: string, ...statements: string[]): Promise<void> {
    for (const sql of statements) await app.rows(chatId, sql, { access: 'READ_WRITE' });
  }

  test('brings back settings, grants, comment and owner of the database with what is in it, again and again', async () => {
    const chatId = await newReplica();
    const [restored] = await app.rows(chatId, PROPERTIES);
    expect(String(restored)).toMatch(/reader=C\*c\*.*as the dump's author says/);
    expect(String(restored)).not.toMatch(/[ ,]=Tc/);
    for (let round = 0; round < 3; round++) {
      await write(
        chatId,
        'delete from t',
        'create table u (a int)',
        "comment on database shop is 'mine'",
        'revoke create on database shop from reader cascade',
        'grant all on database shop to public',
        'alter database shop set search_path = nowhere',
        "alter role app in database shop set work_mem = '1MB'",
        'alter role app set default_transaction_read_only = off',
        'alter database shop connection limit 7',
        'alter database shop is_template true',
      );
      expect((await app.rows(chatId, PROPERTIES))[0]).not.toEqual(restored);
      const { data, errors } = await reset(chatId);
      expect(errors).toBeUndefined();
      expect(data.resetReplica).toMatchObject({ queryable: true, sizeBytes: expect.any(Number) });
      expect((await app.rows(chatId, PROPERTIES))[0]).toEqual(restored);
      expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[100]]);
    }
    const databases = 'select datname from pg_database where not datistemplate order by 1';
    await eventually('what was there before is dropped', async () => {
      return String(await app.rows(chatId, databases)) === 'shop';
    });
  });

  test('ends the queries that run and those that wait for their turn, and tells them why', async () => {
    const chatId = await newReplica();
    await write(chatId, 'delete from t');
    // More than a replica has sessions for.
    const queries = Array.from({ length: 12 }, () =>
      app.runQuery(chatId, 'select pg_sleep(60)', { timeoutMs: 60_000 }),
    );
    await eventually('they run', async () => {
      const { rows } = await administer(
        chatId,
        "select count(*)::int as n from pg_stat_activity where query ~ 'pg_sleep'",
      );
      return rows[0].n >= 8;
    });
    expect((await reset(chatId)).errors).toBeUndefined();
    for (const { errors } of await Promise.all(queries)) {
      expect(errors?.[0]).toMatchObject({
        message: 'the query was stopped: the replica was reset; try again',
        extensions: { code: 'REPLICA_NOT_READY' },
      });
    }
    expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[100]]);
  });

  test('may be called at the same time as itself, queries and uploads', async () => {
    const chatId = await newReplica();
    const insert = () => app.runQuery(chatId, 'insert into t values (0)', { access: 'READ_WRITE', record: false });
    const count = () => app.runQuery(chatId, 'select count(*) from t', { record: false });
    await insert();
    const calls = Array.from({ length: 30 }, (_, index) => [insert, count, () => reset(chatId)][index % 3]?.());
    for (const answer of await Promise.all(calls)) {
      // Stopped, or never begun; nothing else.
      expect(answer?.errors?.[0]?.extensions.code ?? 'REPLICA_NOT_READY').toBe('REPLICA_NOT_READY');
    }
    expect((await reset(chatId)).errors).toBeUndefined();
    expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[100]]);
    const [, swapped] = await Promise.all([reset(chatId), app.replicate(chatId, 'create table newer (a int);')]);
    expect(swapped).toMatchObject({ state: 'READY' });
    expect(await app.rows(chatId, 'select count(*) from newer')).toEqual([[0]]);
  });

  test('that fails changes nothing, and works when it is called again', async () => {
    const chatId = await newReplica();
    await write(chatId, 'delete from t');
    const server = servers.get(chatId) as ReplicaServer;
    const open = server.open.bind(server);
    server.open = () => Promise.reject(new Error('no way in'));
    expect((await reset(chatId)).errors?.[0]).toMatchObject({
      message: 'the replica could not be reset: no way in; try again, or upload the dump again',
      extensions: { code: 'REPLICA_NOT_READY' },
    });
    server.open = open;
    expect((await app.status(chatId))?.state).toBe('READY');
    expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[0]]);
    await write(chatId, 'insert into t values (1)');
    await reset(chatId);
    expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[100]]);
  });

  test('is not kept from its way by what a broken attempt has left', async () => {
    const chatId = await newReplica();
    for (const sql of [
      'create database replichat_growing',
      'create database replichat_used',
      // As a DROP DATABASE leaves it that has failed half way, on a full disk, say.
      "update pg_database set datconnlimit = -2 where datname = 'replichat_used'",
    ]) {
      await administer(chatId, sql);
    }
    await write(chatId, 'delete from t');
    expect((await reset(chatId)).errors).toBeUndefined();
    expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[100]]);
  });

  test('says what became of a replica that dies meanwhile, and so does its state', async () => {
    const chatId = await newReplica();
    await write(chatId, 'delete from t');
    const server = servers.get(chatId) as ReplicaServer;
    const open = server.open.bind(server);
    server.open = async () => {
      const stream = await open();
      const [postmaster] = (await processesOf(server.id)).sort((a, b) => a - b);
      process.kill(postmaster as number, 'SIGKILL');
      return stream;
    };
    const { errors } = await reset(chatId);
    expect(errors?.[0]).toMatchObject({
      message: expect.stringMatching(/^the replica could not be reset: .*SIGKILL.*upload the dump again$/),
      extensions: { code: 'REPLICA_NOT_READY' },
    });
    await eventually('its state says so', async () => (await app.status(chatId))?.state === 'FAILED');
    expect((await app.status(chatId))?.error).toMatchObject({
      code: 'EXITED',
      message: expect.stringContaining('SIGKILL'),
    });
  });

  test('has its way back refused when there is no room for it; who only reads goes on', async () => {
    const small = await startWatched({ REPLICA_DISK: '110m' });
    try {
      const chatId = await small.createChat();
      const filling = `${DUMP} insert into t select generate_series(1, 500000);`;
      expect(await small.replicate(chatId, filling)).toMatchObject({ state: 'READY' });
      const { errors } = await small.runQuery(chatId, 'delete from t', { access: 'READ_WRITE' });
      expect(errors?.[0]).toMatchObject({
        message: expect.stringContaining('twice the disk'),
        extensions: { code: 'QUOTA_EXCEEDED', quota: 'disk' },
      });
      expect(await small.rows(chatId, 'select count(*) from t')).toEqual([[500_100]]);
      const { data } = await small.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { queryable } }', {
        id: chatId,
      });
      expect(data.resetReplica.queryable).toBe(true);
    } finally {
      await small.app.close();
    }
  });

  async function administer(chatId: string, sql: string) {
    const { Admin } = await import('../../src/postgres/tenant.js');
    const admin = await Admin.connect(servers.get(chatId) as ReplicaServer);
    try {
      return await admin.client.query(sql);
    } finally {
      await admin.end();
    }
  }
});
