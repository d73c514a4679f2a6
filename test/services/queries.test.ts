import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { type Answer, startApp, type TestApp } from '../support/app.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';

const SCRIPT = `
CREATE TABLE t (id int PRIMARY KEY, v text, CONSTRAINT short CHECK (length(v) < 10));
INSERT INTO t SELECT i, i::text FROM generate_series(1, 100) i;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (n int, "a b" text, moods mood[]);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE typed (p pair, ps pair[], m mood, d positive, ds positive[], v varchar(20), vs varchar(20)[], n numeric(8, 2));
INSERT INTO typed VALUES ('(1,"x, ""y""",{sad})', ARRAY['(2,,)'::pair, NULL], 'ok', 3, '{4}', 'v', '{w}', 5);
CREATE SEQUENCE s;
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO t VALUES (1001); COMMIT; INSERT INTO t VALUES (1002); ROLLBACK; END $$;
CREATE PROCEDURE adds(INOUT a int, b int) LANGUAGE plpgsql AS $$ BEGIN a := a + b; END $$;
CREATE FUNCTION escapes() RETURNS int LANGUAGE plpgsql SET transaction_read_only = off AS $$ BEGIN
  DELETE FROM t; RETURN 1; END $$;
CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'no' USING ERRCODE = 'P0099', DETAIL = 'why', HINT = 'what then'; END $$;
`;
const STUBBORN = `do $$ begin loop begin perform pg_sleep(60);
  exception when query_canceled then null; end; end loop; end $$`;
const RUN = 'mutation($input: RunQueryInput!) { runQuery(input: $input) { rowCount } }';

const WRITE = { access: 'READ_WRITE', record: false };
const MESSAGE_BYTES = 100_000;
/** Of an answer that is larger than it may be: MAX_RESULT_BYTES, and a chunk or two. */
const MOST_READ = 20_000_000;
const env: Record<string, string> = (await dockerAvailable())
  ? { REPLICA_ENGINE: 'docker', REPLICA_IMAGE: (await testImage()) as string }
  : { REPLICA_ENGINE: 'embedded' };

describe('a query', () => {
  let app: TestApp;
  let chatId: string;
  /** From the replica, in all. */
  let bytesRead = 0;

  /** It is read as before. */
  function counted(stream: Duplex): Duplex {
    const push = stream.push.bind(stream);
    stream.push = (chunk, ...rest) => {
      bytesRead += chunk?.length ?? 0;
      return push(chunk, ...rest);
    };
    return stream;
  }

  beforeAll(async () => {
    app = await startApp({ ...env, MAX_MESSAGE_BYTES: String(MESSAGE_BYTES) });
    const { engine } = app.app;
    const provision = engine.provision.bind(engine);
    engine.provision = async (request) => {
      const server = await provision(request);
      const open = server.open.bind(server);
      server.open = async () => counted(await open());
      return server;
    };
    chatId = await app.createChat();
    expect(await app.replicate(chatId, SCRIPT)).toMatchObject({ state: 'READY' });
  });
  afterAll(() => app?.app.close());

  const read = (sql: string, options = {}) => app.runQuery(chatId, sql, { record: false, ...options });
  const write = (sql: string, options = {}) => read(sql, { access: 'READ_WRITE', ...options });
  const rows = (sql: string, options = {}) => app.rows(chatId, sql, options);
  const reset = () => app.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId });
  const problem = (answer: Answer) => answer.errors?.[0]?.extensions;
  const running = (mark: string) =>
    rows(`select count(*)::int from pg_stat_activity where query like '%${mark}%' and pid <> pg_backend_pid()
      and state = 'active'`).then(([row]) => row?.[0] as number);
  const gone = (mark: string) => eventually(`${mark} has ended`, async () => (await running(mark)) === 0);
  const begun = (mark: string) => eventually(`${mark} runs`, async () => (await running(mark)) > 0);

  describe('of any kind is one statement', () => {
    test.each<[string, unknown]>([
      ['select 1 as a;', { columns: ['a'], rows: [{ a: 1 }], rowCount: 1 }],
      ['/* so */ select 1 as a -- and so;', { columns: ['a'], rows: [{ a: 1 }] }],
      ["values (1, 'x')", { columns: ['column1', 'column2'], rows: [{ column1: 1, column2: 'x' }] }],
      ['table t', { columns: ['id', 'v'], rowCount: 100, truncated: false }],
      ['show transaction_read_only', { rows: [{ transaction_read_only: 'on' }] }],
      [
        'explain (format json) select 1',
        { columnTypes: ['json'], rows: [{ 'QUERY PLAN': [{ Plan: expect.anything() }] }] },
      ],
      ['explain analyze select 1', { columns: ['QUERY PLAN'] }],
      ['call adds(1, 2)', { columns: ['a'], rows: [{ a: 3 }] }],
      ['do $$ begin end $$', { columns: [], rows: [], rowCount: 0 }],
      ['select', { columns: [], rows: [{}], rowCount: 1 }],
      ['select 1 as a, 2 as a, 3 as "__proto__"', { columns: ['a', 'a_2', '__proto__'] }],
    ])('that reads: %s', async (sql, answer) => {
      expect((await read(sql)).data?.runQuery).toMatchObject(answer as object);
    });

    test('that writes', async () => {
      const expected: [string, unknown][] = [
        ["insert into t values (101, 'x'), (102, 'y')", { columns: [], rowCount: 2 }],
        ['insert into t values (103) returning id', { columns: ['id'], rows: [{ id: 103 }], rowCount: 1 }],
        ['with gone as (delete from t where id = 103 returning *) table gone', { rows: [{ id: 103, v: null }] }],
        ["update t set v = 'z' where id > 100", { rowCount: 2 }],
        ['create table made as select generate_series(1, 5) as a', { rowCount: 5 }],
        ['create index concurrently on made (a)', { rowCount: 0 }],
        ['vacuum full made', { rowCount: 0 }],
        ['call commits()', { rowCount: 0 }],
        ['do $$ begin insert into made values (6); commit; insert into made values (7); rollback; end $$', {}],
        ['drop table made', { rowCount: 0 }],
        ['insert into t select generate_series(2001, 3000) returning id', { rowCount: 2, truncated: true }],
      ];
      for (const [sql, answer] of expected) {
        const { data, errors } = await write(sql, { maxRows: 2 });
        expect([sql, errors]).toEqual([sql, undefined]);
        expect(data.runQuery).toMatchObject(answer as object);
      }
      // All of them, not only those that were asked for.
      expect(await rows('select count(*) from t where id > 2000')).toEqual([[1000]]);
      expect(await rows('select id from t where id between 1000 and 2000')).toEqual([[1001]]);
      await reset();
      expect(await rows('select count(*) from t')).toEqual([[100]]);
    });

    test.each([
      ['', /is empty/],
      ['-- nothing', /holds no statement/],
      [' ; ;', /holds no statement/],
      ['select 1 \0', /contains a NUL character/],
      ["select '\ud83d'", /contains half a character/],
      ['begin', /BEGIN has no effect/],
      ['commit', /COMMIT has no effect/],
      ['rollback', /ROLLBACK has no effect/],
      ['copy t to stdout', /COPY .* is not possible here/],
      ['copy (select generate_series(1, 1000000000)) to stdout', /COPY .* is not possible here/],
    ])('or is told what is wrong: %j', async (sql, message) => {
      for (const answer of [await read(sql), await write(sql)]) {
        expect(problem(answer)).toMatchObject({ code: 'BAD_USER_INPUT', field: 'sql' });
        expect(answer.errors?.[0]?.message).toMatch(message);
      }
    });

    test.each(['a\0', '\ud83d'])('for tables is not made of %j, which no name can hold', async (search) => {
      for (const field of ['tables(search: $search) { name }', 'schemaText(search: $search)']) {
        const query = `query($id: ID!, $search: String) { chat(id: $id) { replica { ${field} } } }`;
        expect(problem(await app.graphql(query, { id: chatId, search }))).toMatchObject({
          code: 'BAD_USER_INPUT',
          field: 'search',
        });
      }
    });

    test('that copies from the client is refused, and the session stays', async () => {
      expect(problem(await write('copy t from stdin'))).toMatchObject({ code: 'BAD_USER_INPUT', field: 'sql' });
      expect(problem(await read('copy t from stdin'))).toMatchObject({ code: 'SQL_ERROR', sqlstate: '25006' });
    });
  });

  describe('that is READ_ONLY', () => {
    test.each([
      ['with gone as (delete from t returning *) select * from gone', '25006'],
      ['explain analyze delete from t', '25006'],
      ["select nextval('s')", '25006'],
      ['truncate t', '25006'],
      ['select escapes()', '25001'],
      ["select set_config('transaction_read_only', 'off', true), escapes()", '25001'],
      ['do $$ begin set transaction read write; delete from t; end $$', '25001'],
      ['do $$ begin commit; delete from t; end $$', '2D000'],
      [
        "do $$ begin perform set_config('default_transaction_read_only', 'off', false); commit; delete from t; end $$",
        '2D000',
      ],
      ['do $$ begin execute $x$ commit $x$; delete from t; end $$', '0A000'],
      ['call commits()', '25006'],
      ['vacuum', '25001'],
      ['alter role app superuser', '25006'],
      ['set role pg_write_all_data', '42501'],
      ["copy t to program 'id'", '42501'],
      ["select pg_read_file('/etc/passwd')", '42501'],
    ])('cannot write by %s', async (sql, sqlstate) => {
      const { errors } = await read(sql);
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'SQL_ERROR', sqlstate });
      if (sqlstate.startsWith('25')) expect(errors?.[0]?.extensions.hint).toContain('READ_WRITE');
      expect(await rows('select count(*) from t')).toEqual([[100]]);
    });

    test.each([
      'set transaction read write',
      'set session characteristics as transaction read write',
      "select set_config('default_transaction_read_only', 'off', false)",
      'prepare kept as delete from t',
      "do $$ begin execute 'prepare kept as delete from t'; end $$",
      'select lo_create(4711)',
      'lock table t',
      'listen x',
      'select pg_advisory_lock(1)',
    ])('leaves nothing behind: %s', async (sql) => {
      expect((await read(sql)).errors).toBeUndefined();
      // Whichever session it was.
      const others = Array.from({ length: 8 }, () => read('execute kept'));
      for (const other of await Promise.all(others)) expect(problem(other)).toMatchObject({ sqlstate: '26000' });
      expect(problem(await read('delete from t'))).toMatchObject({ sqlstate: '25006' });
      expect(
        await rows(`select (select count(*) from pg_largeobject_metadata), (select count(*) from pg_locks
        where locktype = 'advisory' or mode = 'AccessExclusiveLock')`),
      ).toEqual([[0, 0]]);
    });
  });

  test('has values as JSON, and types as PostgreSQL writes them', async () => {
    const { data } = await read('select *, null as nothing from typed');
    expect(data.runQuery).toMatchObject({
      columnTypes: [
        'pair',
        'pair[]',
        'mood',
        'integer',
        'positive[]',
        'character varying(20)',
        'character varying(20)[]',
        'numeric(8,2)',
        'text',
      ],
      rows: [
        {
          p: { n: 1, 'a b': 'x, "y"', moods: ['sad'] },
          ps: [{ n: 2, 'a b': null, moods: null }, null],
          m: 'ok',
          d: 3,
          ds: [4],
          v: 'v',
          vs: ['w'],
          n: '5.00',
          nothing: null,
        },
      ],
    });
    // As the type is now.
    await write('alter type pair add attribute extra mood');
    expect(await rows('select p from typed')).toEqual([[{ n: 1, 'a b': 'x, "y"', moods: ['sad'], extra: null }]]);
    await reset();
  });

  test.each([
    "interval '1 year -2 mons +3 days 04:05:06.7'",
    "interval '-1 year 2 mons'",
    "interval '0'",
    "interval '-00:00:01.5'",
    "interval '100 years 200 days -300:00:00'",
    'make_interval(secs => 1e9)',
  ])('has an %s as PostgreSQL writes it in ISO 8601', async (sql) => {
    const iso = `set local intervalstyle = iso_8601; perform set_config('iso.text', (${sql})::text, true)`;
    const [[value] = []] = await rows(`select ${sql}`);
    const { errors } = await read(`do $$ begin ${iso}; raise exception '%', current_setting('iso.text'); end $$`);
    expect(errors?.[0]?.message).toBe(value);
  });

  test('reads output in the settings that it expects, whatever the role has been given', async () => {
    await write("alter role app set datestyle = 'German'");
    await write("alter role app set intervalstyle = 'sql_standard'");
    await write('alter role app set extra_float_digits = -15');
    await write('alter role app set bytea_output = escape');
    await write('alter role app set default_transaction_read_only = on');
    // Sessions that begin with all of that.
    await rows(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'replichat' and pid <> pg_backend_pid()",
    );
    const sql = `select timestamp '2022-02-15 01:02:03', interval '1 day', 0.1::float8 + 0.2, '\\x41'::bytea`;
    const answers = await Promise.all(Array.from({ length: 8 }, () => rows(sql)));
    for (const answer of answers) expect(answer).toEqual([['2022-02-15T01:02:03', 'P1D', 0.1 + 0.2, '\\x41']]);
    expect((await write('delete from t')).data.runQuery.rowCount).toBe(100);
    await reset();
  });

  describe('that fails tells a model how to mend it', () => {
    test.each<[string, object]>([
      ["select '🙂🙂', idd from t", { sqlstate: '42703', position: 14, hint: expect.stringContaining('t.id') }],
      ['select 1; select 2', { sqlstate: '42601', hint: 'Run one statement per call.' }],
      ['select $1', { sqlstate: '08P01', hint: expect.stringContaining('no parameters') }],
      [
        'insert into t values (1)',
        {
          sqlstate: '23505',
          detail: 'Key (id)=(1) already exists.',
          schema: 'public',
          table: 't',
          constraint: 't_pkey',
        },
      ],
      [
        "insert into t values (0, 'much too long')",
        { sqlstate: '23514', table: 't', constraint: 'short', detail: expect.stringContaining('much too long') },
      ],
      [
        'select fails()',
        {
          sqlstate: 'P0099',
          detail: 'why',
          hint: 'what then',
          where: expect.stringContaining('function fails() line 2'),
        },
      ],
    ])('%s', async (sql, facts) => {
      expect(problem(await write(sql))).toMatchObject({ code: 'SQL_ERROR', ...facts });
    });
  });

  describe('beyond its limits', () => {
    test.each([
      "select repeat('x', 200000000)",
      "select repeat('x', 1000000) from generate_series(1, 1000)",
      "do $$ begin loop raise notice '%', repeat('x', 100000); end loop; end $$",
    ])('of bytes never enters the memory: %s', async (sql) => {
      const before = bytesRead;
      expect(problem(await read(sql, { maxRows: 10_000 }))).toMatchObject({ code: 'QUOTA_EXCEEDED' });
      expect(bytesRead - before).toBeLessThan(MOST_READ);
      await gone('repeat');
    });

    test('of bytes changes nothing', async () => {
      const sql = "insert into t select i, repeat('x', 9) from generate_series(1001, 6000) i returning repeat(v, 1000)";
      expect(problem(await write(sql, { maxRows: 10_000 }))).toMatchObject({ code: 'QUOTA_EXCEEDED' });
      await gone('returning');
      expect(await rows('select count(*) from t')).toEqual([[100]]);
    });

    test('of rows stops at the source', async () => {
      for (const access of ['READ_ONLY', 'READ_WRITE']) {
        const { data } = await read('select generate_series(1, 1000000000) as n', { maxRows: 2, access });
        expect(data.runQuery).toMatchObject({ rows: [{ n: 1 }, { n: 2 }], rowCount: 2, truncated: true });
      }
      expect((await read('select generate_series(1, 2)', { maxRows: 2 })).data.runQuery.truncated).toBe(false);
    });

    test.each(['READ_ONLY', 'READ_WRITE'])('of time is stopped, %s', async (access) => {
      const answers = await Promise.all(
        ['select pg_sleep(60), 1 as too_long', STUBBORN].map((sql) => read(sql, { timeoutMs: 200, access })),
      );
      for (const answer of answers) expect(problem(answer)).toMatchObject({ code: 'QUERY_TIMEOUT', timeoutMs: 200 });
      await gone('pg_sleep');
    });
  });

  describe('that nobody waits for any more is stopped in the replica', () => {
    test.each([
      ['select pg_sleep(60), 1 as over_http', 'over_http'],
      [STUBBORN, 'pg_sleep'],
    ])('over HTTP: %s', async (sql, mark) => {
      const client = new AbortController();
      const answer = fetch(app.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: RUN, variables: { input: { chatId, sql, record: false } } }),
        signal: client.signal,
      });
      answer.catch(() => {});
      await begun(mark);
      client.abort();
      await gone(mark);
    });

    test.each(['unsubscribes', 'disconnects'])('over WebSocket, when the client %s', async (how) => {
      const client = createClient({ url: app.url.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: 0 });
      const input = { chatId, sql: 'select pg_sleep(60), 1 as over_websocket', record: false };
      const leave = client.subscribe({ query: RUN, variables: { input } }, { next() {}, error() {}, complete() {} });
      await begun('over_websocket');
      if (how === 'unsubscribes') leave();
      else client.terminate();
      await gone('over_websocket');
      await client.dispose();
    });
  });

  test('that another session cancels is no timeout', async () => {
    const sleeping = read('select pg_sleep(60), 1 as of_another');
    await begun('of_another');
    await rows(`select pg_cancel_backend(pid) from pg_stat_activity
      where query like '%of_another%' and pid <> pg_backend_pid()`);
    expect(problem(await sleeping)).toMatchObject({ code: 'SQL_ERROR', sqlstate: '57014' });
  });

  test('is ended by a reset, and those that wait for their turn run after it', async () => {
    const sleep = () => read('select pg_sleep(60), 1 as before_reset');
    const sleeping = Array.from({ length: 7 }, sleep);
    await eventually('seven run', async () => (await running('before_reset')) === 7);
    sleeping.push(sleep());
    const waiting = Array.from({ length: 12 }, () => read('select 1', { timeoutMs: 60_000 }));
    await reset();
    for (const answer of await Promise.all(sleeping)) expect(problem(answer)?.code).toBe('REPLICA_NOT_READY');
    for (const answer of await Promise.all(waiting)) {
      expect(['REPLICA_NOT_READY', 1]).toContain(problem(answer)?.code ?? answer.data.runQuery.rowCount);
    }
    expect(await rows('select 1')).toEqual([[1]]);
  });

  test('is recorded as two messages or not at all', async () => {
    const messages = async (id: string) => {
      const { data } = await app.graphql('query($id: ID!) { chat(id: $id) { messages { nodes { contentType } } } }', {
        id,
      });
      return data.chat.messages.nodes.map(({ contentType }: { contentType: string }) => contentType);
    };
    const before = await messages(chatId);
    await read('selekt', { record: true });
    await read("select repeat('x', 200000000)", { record: true });
    const long = `select 1 -- ${'x'.repeat(MESSAGE_BYTES)}`;
    expect(problem(await read(long, { record: true }))).toMatchObject({ code: 'BAD_USER_INPUT', field: 'sql' });
    expect((await read(long)).data.runQuery.rowCount).toBe(1);
    expect(await messages(chatId)).toEqual(before);
    await read('select 1', { record: true });
    expect(await messages(chatId)).toEqual([...before, 'QUERY', 'TABLE']);
  });

  test('is read by what its own replica says of types, of PostgreSQL’s and of those with the same number elsewhere', async () => {
    const [one, other] = [await app.createChat(), await app.createChat()];
    // A composite has a number more, of its relation.
    const scripts = [
      `CREATE SEQUENCE before; CREATE TYPE text AS ENUM ('a', 'b');`,
      'CREATE TYPE text AS (n int, "of" date);',
    ];
    for (const [index, chat] of [one, other].entries()) {
      expect(await app.replicate(chat, scripts[index] as string)).toMatchObject({ state: 'READY' });
    }
    const number = `SELECT 'public.text'::regtype::oid::int`;
    expect(await app.rows(one, number)).toEqual(await app.rows(other, number));
    // What PostgreSQL calls its own type there, in sessions that begin after this, it would not call so elsewhere.
    await app.runQuery(one, 'ALTER ROLE CURRENT_USER SET search_path = public, pg_catalog', WRITE);
    await app.runQuery(
      one,
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user',
      WRITE,
    );
    const values = async (chat: string, sql: string) => {
      const { data } = await app.runQuery(chat, sql, { record: false });
      return [data.runQuery.columnTypes, Object.values(data.runQuery.rows[0])];
    };
    for (let round = 0; round < 2; round += 1) {
      expect(await values(one, `SELECT 'b'::public.text, 'c'::pg_catalog.text`)).toEqual([
        ['text', 'pg_catalog.text'],
        ['b', 'c'],
      ]);
      expect(await values(other, `SELECT '(1,2024-02-29)'::public.text, 'c'::pg_catalog.text`)).toEqual([
        ['public.text', 'text'],
        [{ n: 1, of: '2024-02-29' }, 'c'],
      ]);
    }
  });

  test('is ended when the replica is deleted', async () => {
    const chat = await app.createChat();
    await app.replicate(chat, 'create table t (a int);');
    const sleeping = app.runQuery(chat, 'select pg_sleep(60)');
    await eventually('it runs', async () => {
      const active =
        "select count(*)::int from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active'";
      return ((await app.rows(chat, active))[0]?.[0] as number) > 1;
    });
    await app.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chat });
    expect(problem(await sleeping)).toMatchObject({ code: 'REPLICA_NOT_READY' });
  });
});
