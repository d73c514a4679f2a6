import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Status, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { storedFrame } from '../support/zstd.js';

export interface Setting {
  /** Of the environment, to choose the engine. */
  readonly env: Record<string, string>;
  /** What an instance runs or keeps at the moment: containers, volumes, processes, files. */
  leftovers(instance: string): Promise<string[]>;
  /** Archives of a database with the script in it, in these formats; only where the engine takes them. */
  archivesOf?(script: Buffer, ...formats: string[]): Promise<Buffer[]>;
}

const LIBRARY = new URL('../../examples/library.sql', import.meta.url);
const REAL_DUMPS = new URL('../../../shared/dumps/', import.meta.url);

const HEADER = '--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.2\n';
const FOOTER = '\n--\n-- PostgreSQL database dump complete\n--\n';
/** A subscriber that comes while they pass has missed some at the beginning, never any after its first. */
const STATES = ['QUEUED', 'STARTING', 'RESTORING', 'READY'];
/** Never ends by itself. */
const ENDLESS = 'create table t (a int);\nselect pg_sleep(3600);\n';

const MYSQL = '-- MySQL dump 10.13  Distrib 8.0.36\n';

/** From an upload to answers, through the API alone, on one engine. */
export function describeJourney(engine: string, setting: Setting): void {
  let app: TestApp;
  let library: string;

  beforeAll(async () => {
    app = await startApp(setting.env);
    library = await readFile(LIBRARY, 'utf8');
  });
  afterAll(async () => {
    await app?.app.close();
    await gone();
  });

  async function gone(instance = app.app.instance): Promise<void> {
    await eventually('nothing is left', async () => (await setting.leftovers(instance)).length === 0);
  }

  describe(`a dump on engine ${engine}`, () => {
    test('becomes a replica that answers queries', async () => {
      const chatId = await app.createChat();
      const end = await app.replicate(chatId, library);
      expect(end).toMatchObject({ state: 'READY', percent: 100, error: null, bytesTotal: Buffer.byteLength(library) });
      expect(end.bytesRestored).toBe(end.bytesTotal);
      expect(end.tablesDone).toBe(end.tablesTotal);
      expect(end.indexesDone).toBe(end.indexesTotal);
      const { data } = await app.graphql(
        'query($id: ID!) { chat(id: $id) { replica { engine serverVersion sizeBytes expiresAt } } }',
        { id: chatId },
      );
      const { replica } = data.chat;
      expect(replica.engine).toBe(engine);
      expect(replica.serverVersion).toMatch(/^\d+\.\d+/);
      expect(replica.sizeBytes).toBeGreaterThan(1_000_000);
      await expectLibrary(chatId);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      await gone();
    });

    test('is watched: the present first, nothing out of order, no state or step lost, the end last', async () => {
      const chatId = await app.createChat();
      const early = app.watch(chatId);
      await app.upload(chatId, library);
      const [first, second] = await Promise.all([early, app.watch(chatId)]);
      for (const statuses of [first, second]) {
        expectHistory(statuses);
        const seen = states(statuses);
        expect(seen).toEqual(STATES.slice(STATES.indexOf(seen[0] as string)));
      }
      // What is left of a step may end beside the steps before it.
      expect(
        ['SCHEMA', 'DATA', 'INDEXES', 'CONSTRAINTS', 'FINISHING'].filter((step) => steps(first).includes(step)),
      ).toEqual(steps(first));
      expect(steps(first).slice(0, 2)).toEqual(['SCHEMA', 'DATA']);
      expect(steps(first).at(-1)).toBe('FINISHING');
      const late = await app.watch(chatId);
      expect(late).toEqual([first.at(-1)]);
      expect(await app.status(chatId)).toEqual(late[0]);
      await app.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
      expect(await app.status(chatId)).toBeNull();
      await gone();
    });

    test.each([
      ['pagila.sql', 'rental', 16044],
      ['northwind.sql', 'orders', 830],
    ])('made elsewhere, %s, restores without an error', async (file, table, count) => {
      const dump = await readFile(new URL(file, REAL_DUMPS)).catch(() => undefined);
      if (!dump) {
        process.stderr.write(`skipped: ${file} is not here\n`);
        return;
      }
      const chatId = await app.createChat({ database: 'postgres', user: 'postgres' });
      expect(await app.replicate(chatId, dump)).toMatchObject({ state: 'READY', warnings: [] });
      expect(await app.rows(chatId, `select count(*) from public.${table}`)).toEqual([[count]]);
      const { data } = await app.graphql(
        'query($id: ID!) { chat(id: $id) { replica { all: schemaText(maxChars: 100000) few: schemaText(maxChars: 4000) } } }',
        { id: chatId },
      );
      const { all, few } = data.chat.replica;
      expect(all).toMatch(new RegExp(`^CREATE TABLE ${table} \\(\n( .*\n)+  PRIMARY KEY \\(`, 'm'));
      expect(few.length).toBeLessThanOrEqual(4000);
      expect(few).toContain(`CREATE TABLE ${table} (`);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });

    test('arriving in single bytes and pieces is restored while it arrives', async () => {
      const chatId = await app.createChat();
      const upload = app.openUpload(chatId);
      upload.write(`${HEADER}create table slow (a int, b text);\n`.padEnd(2000, '\n'));
      const { data } = await upload.answer;
      expect(data.uploadReplica.status.state).toBe('QUEUED');
      await eventually('the table is there', async () => (await app.status(chatId))?.tablesTotal === 1);
      for (const byte of 'copy slow from stdin;\n1\tone\n2\t\\\\.\n\\.\n') upload.write(byte);
      upload.write(FOOTER);
      upload.finish();
      const end = (await app.watch(chatId)).at(-1);
      expect(end).toMatchObject({ state: 'READY', error: null });
      expect(await app.rows(chatId, 'select * from slow order by a')).toEqual([
        [1, 'one'],
        [2, '\\.'],
      ]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });
  });

  describe(`a compressed dump on engine ${engine}`, () => {
    const zstd = (data: Buffer) => storedFrame(data);
    const gzip = (data: Buffer) => gzipSync(data);

    test.each([
      ['gzip', gzip],
      ['zstd', zstd],
    ])('%s becomes the same replica', async (_what, pack) => {
      const chatId = await app.createChat();
      const packed = pack(Buffer.from(library));
      const end = await app.replicate(chatId, packed);
      expect(end).toMatchObject({
        state: 'READY',
        error: null,
        bytesTotal: packed.length,
        bytesReceived: packed.length,
      });
      expect(end.bytesRestored).toBe(Buffer.byteLength(library));
      await expectLibrary(chatId);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      await gone();
    });

    test('is restored while it arrives, and accepted as soon as it can be seen what it is', async () => {
      const chatId = await app.createChat();
      const upload = app.openUpload(chatId);
      upload.write(gzip(Buffer.from(`${HEADER}create table slow (a int);\n`.padEnd(2000, '\n'))));
      const { data } = await upload.answer;
      expect(data.uploadReplica.status.state).toBe('QUEUED');
      await eventually('the table is there', async () => (await app.status(chatId))?.tablesTotal === 1);
      for (const byte of gzip(Buffer.from('copy slow from stdin;\n1\n2\n\\.\n'))) upload.write(Buffer.of(byte));
      upload.write(gzip(Buffer.from(FOOTER)));
      upload.finish();
      expect((await app.watch(chatId)).at(-1)).toMatchObject({ state: 'READY', error: null });
      expect(await app.rows(chatId, 'select sum(a) from slow')).toEqual([[3]]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });

    test.each([
      ['gzip', gzip, -5],
      ['gzip', gzip, -2000],
      ['zstd', zstd, -1],
      ['zstd', zstd, -200_000],
    ])('%s that is cut off is FAILED, never READY', async (_what, pack, end) => {
      const chatId = await app.createChat();
      const cut = pack(Buffer.from(library)).subarray(0, end);
      expect(await app.replicate(chatId, cut)).toMatchObject({ state: 'FAILED', error: { code: 'CUT_OFF' } });
      await gone();
    });

    test('that is a bomb is FAILED with the limit', async () => {
      const chatId = await app.createChat();
      const bomb = gzip(Buffer.concat([Buffer.from('create table t (a int);\n'), Buffer.alloc(200 * 2 ** 20, '\n')]));
      const { state, error, bytesRestored } = await app.replicate(chatId, bomb);
      expect({ state, code: error?.code }).toEqual({ state: 'FAILED', code: 'PAYLOAD_TOO_LARGE' });
      expect(error?.message).toMatch(/200 times/);
      expect(bytesRestored).toBeLessThan(100 * 2 ** 20);
      await gone();
      const own = await startApp({ ...setting.env, MAX_UNPACKED_BYTES: '100k' });
      try {
        const chat = await own.createChat();
        const large = await own.replicate(chat, gzip(Buffer.from(library)));
        expect(large).toMatchObject({ state: 'FAILED', error: { code: 'PAYLOAD_TOO_LARGE' } });
        expect(large.error).toMatchObject({
          message: expect.stringMatching(/102400 bytes/),
          hint: expect.stringMatching(/MAX_UNPACKED_BYTES/),
        });
        await gone(own.app.instance);
      } finally {
        await own.app.close();
      }
    });

    test.each([
      ['gzip', gzip],
      ['zstd', zstd],
    ])('%s is cancelled in the middle', async (_what, pack) => {
      const chatId = await app.createChat();
      const upload = app.openUpload(chatId);
      upload.write(pack(Buffer.from(ENDLESS.padEnd(2000))));
      await upload.answer;
      await eventually('it runs', async () => (await app.status(chatId))?.state === 'RESTORING');
      await app.graphql('mutation($id: ID!) { cancelReplication(chatId: $id) { chatId } }', { id: chatId });
      expect((await app.status(chatId))?.state).toBe('CANCELLED');
      await gone();
      expect(process.getActiveResourcesInfo()).not.toContain('MessagePort');
    });

    test('that contains a statement that fails leaves nothing', async () => {
      const chatId = await app.createChat();
      const { error } = await app.replicate(chatId, zstd(Buffer.from(`selekt 1;\n${library}`)));
      expect(error).toMatchObject({ code: 'SQL_ERROR', line: 1 });
      await gone();
      await eventually('no thread is left', async () => !process.getActiveResourcesInfo().includes('MessagePort'));
    });
  });

  const { archivesOf } = setting;
  if (archivesOf) {
    describe(`an archive on engine ${engine}`, () => {
      let custom: Buffer;
      let tar: Buffer;

      beforeAll(async () => {
        [custom, tar] = (await archivesOf(Buffer.from(library), 'custom', 'tar')) as [Buffer, Buffer];
      });

      test.each([
        ['in custom format', () => custom],
        ['in tar format', () => tar],
        ['in custom format in a gzip file', () => gzipSync(custom)],
        ['in tar format in a zstd file', () => storedFrame(tar)],
      ])('%s becomes the same replica', async (_what, archive) => {
        const chatId = await app.createChat();
        const file = archive();
        const end = await app.replicate(chatId, file);
        expect(end).toMatchObject({ state: 'READY', error: null, bytesTotal: file.length, bytesReceived: file.length });
        await expectLibrary(chatId);
        await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
        await gone();
      });

      test.each([
        ['in custom format', () => custom.subarray(0, -5_000)],
        ['in tar format', () => tar.subarray(0, tar.length >> 1)],
        ['in tar format', () => tar.subarray(0, -8_192)],
        ['in custom format in a gzip file', () => gzipSync(custom).subarray(0, -100)],
      ])('%s that is cut off is FAILED, never READY', async (_what, archive) => {
        const chatId = await app.createChat();
        expect(await app.replicate(chatId, archive())).toMatchObject({ state: 'FAILED', error: { code: 'CUT_OFF' } });
        await gone();
      });

      test.each([
        ['in custom format', () => Buffer.concat([custom.subarray(0, 4_000), Buffer.alloc(50_000, 0xab)])],
        ['in tar format', () => Buffer.concat([tar.subarray(0, 100_000), Buffer.alloc(500_000, 0xab)])],
        [
          'in custom format, of a newer pg_dump',
          () => Buffer.concat([Buffer.from('PGDMP\x01\x63'), custom.subarray(7)]),
        ],
      ])('%s that cannot be read is FAILED, in words', async (_what, archive) => {
        const chatId = await app.createChat();
        const { state, error } = await app.replicate(chatId, archive());
        expect({ state, code: error?.code }).toEqual({
          state: 'FAILED',
          code: expect.stringMatching(/UNSUPPORTED_DUMP|CUT_OFF/),
        });
        expect(error?.message).toMatch(/cannot read the archive: |is damaged|is cut off/);
        expect(error?.hint).toMatch(/\w+/);
        await gone();
      });

      test('with a psql command smuggled into it is FAILED, and the command is not run', async () => {
        const mark = 'x'.repeat(60);
        const smuggled = "';\n\\! touch /tmp/pwned\n".padEnd(mark.length, '-');
        const [archive] = (await archivesOf(
          Buffer.from(`create table t (a int); comment on table t is '${mark}';`),
          'custom',
        )) as [Buffer];
        const at = archive.indexOf(mark);
        expect(at).toBeGreaterThan(0);
        archive.write(smuggled, at, 'latin1');
        const chatId = await app.createChat();
        const { state, error } = await app.replicate(chatId, archive);
        expect({ state, code: error?.code }).toEqual({ state: 'FAILED', code: 'UNSUPPORTED_DUMP' });
        expect(error?.message).toMatch(/psql command \\!/);
        await gone();
      });

      test('is cancelled in the middle, and given up with its upload', async () => {
        for (const how of ['cancel', 'disconnect']) {
          const chatId = await app.createChat();
          const upload = app.openUpload(chatId);
          upload.write(custom.subarray(0, custom.length >> 1));
          await upload.answer;
          const watching = app.watch(chatId);
          await eventually('it runs', async () => (await app.status(chatId))?.state === 'RESTORING');
          if (how === 'disconnect') upload.disconnect();
          else await app.graphql('mutation($id: ID!) { cancelReplication(chatId: $id) { chatId } }', { id: chatId });
          const end = (await watching).at(-1);
          expect(end?.error?.code).toBe(how === 'cancel' ? 'CANCELLED' : 'UPLOAD_ABORTED');
          await gone();
        }
      });
    });
  } else {
    test(`an archive is refused at once on engine ${engine}, with both remedies`, async () => {
      const chatId = await app.createChat();
      const archive = Buffer.from('PGDMP\x01\x0e\x00\x04\x08\x01rest');
      for (const file of [archive, gzipSync(archive)]) {
        const { errors } = await app.upload(chatId, file);
        expect(errors?.[0]?.extensions.code).toBe('UNSUPPORTED_DUMP');
        expect(errors?.[0]?.message).toMatch(/custom format.*pg_restore --file=dump.sql.*REPLICA_ENGINE=docker/);
      }
      expect(await app.status(chatId)).toBeNull();
    });
  }

  async function queryable(chatId: string): Promise<boolean> {
    const { data } = await app.graphql('query($id: ID!) { chat(id: $id) { replica { queryable } } }', { id: chatId });
    return data.chat.replica.queryable;
  }

  async function expectLibrary(chatId: string): Promise<void> {
    const { data } = await app.graphql('query($id: ID!) { chat(id: $id) { replica { tables { name kind } } } }', {
      id: chatId,
    });
    const tables = data.chat.replica.tables as { name: string; kind: string }[];
    expect(tables.length).toBeGreaterThan(5);
    for (const { name, kind } of tables) {
      if (kind !== 'TABLE' && kind !== 'PARTITIONED_TABLE') continue;
      const [[count]] = (await app.rows(chatId, `select count(*) from ${name}`)) as [[number]];
      expect([name, count]).toEqual([name, rowsInDump(library, name)]);
    }
  }

  describe(`what is no good dump on engine ${engine}`, () => {
    test('is refused at once, saying what it looks like, and the earlier replica stays', async () => {
      const chatId = await app.createChat();
      await app.replicate(chatId, 'create table kept (a int); insert into kept values (42);');
      const before = await app.status(chatId);
      for (const [file, looksLike] of [
        [Buffer.from('PGDMP\x01\x0e\x00\x04\x08\x03rest'), /directory format.*pg_restore --file=dump.sql/],
        [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]), /a gzip file, but.*cut off/],
        [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff]), /a zstd file, but.*cannot be unpacked/],
        [gzipSync(MYSQL), /a MySQL or MariaDB dump in a gzip file/],
        [storedFrame(Buffer.from(MYSQL)), /a MySQL or MariaDB dump in a zstd file/],
        [gzipSync(gzipSync(MYSQL)), /a gzip file in a gzip file.*gunzip/],
        [gzipSync(''), /an empty file in a gzip file/],
        [Buffer.from('\xfd7zXZ\0', 'latin1'), /unxz/],
        [Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>'), /HTML/],
        [Buffer.alloc(0), /empty/],
        [Buffer.alloc(5000), /binary/],
      ] as const) {
        const { errors } = await app.upload(chatId, file);
        expect(errors?.[0]?.extensions.code).toBe('UNSUPPORTED_DUMP');
        expect(errors?.[0]?.message).toMatch(looksLike);
      }
      expect(await app.status(chatId)).toEqual(before);
      expect(await app.rows(chatId, 'select a from kept')).toEqual([[42]]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });

    test.each([
      ['in the middle of COPY data', 'create table t (a int);\ncopy t from stdin;\n1\n2\n', 'CUT_OFF'],
      ['in the middle of a statement', 'create table t (a int);\ninsert into t values (1', 'CUT_OFF'],
      ['without its last semicolon', 'create table t (a int);\ninsert into t values (1)', 'CUT_OFF'],
      ['before the end that pg_dump writes', `${HEADER}create table t (a int);\n`, 'CUT_OFF'],
    ])('is FAILED, never READY, when it is cut off: %s', async (_what, dump, code) => {
      const chatId = await app.createChat();
      expect(await app.replicate(chatId, dump)).toMatchObject({ state: 'FAILED', error: { code } });
      await gone();
      const { errors } = await app.runQuery(chatId, 'select 1');
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'REPLICA_NOT_READY', state: 'FAILED' });
    });

    test('fails with line, statement, SQLSTATE and object', async () => {
      const chatId = await app.createChat();
      const dump = `-- a script\ncreate table t (a int);\n\ninsert into t\n  values (1),\n  ('x');\ncreate table u (b int);\n`;
      const { state, error } = await app.replicate(chatId, dump);
      expect(state).toBe('FAILED');
      expect(error).toMatchObject({ code: 'SQL_ERROR', sqlstate: '22P02', line: 6, object: 't' });
      expect(await queryable(chatId)).toBe(false);
      expect(error?.statement).toContain("('x')");
      const copy = 'create table t (a int);\ncopy public.t (a)\n  from stdin;\n1\n2\nthree\n4\n\\.\n';
      const failed = await app.replicate(chatId, copy);
      expect(failed.error).toMatchObject({ code: 'SQL_ERROR', sqlstate: '22P02', line: 6, object: 'public.t' });
      await gone();
    });

    test('does not end the server by one long value or by endless notices', async () => {
      const chatId = await app.createChat();
      const value = await app.replicate(chatId, "select repeat('x', 560000000);");
      // Where memory is limited, PostgreSQL itself may not live to send it.
      expect(['CONNECTION_LOST', 'OUT_OF_MEMORY']).toContain(value.error?.code);
      const flood = "do $$ begin loop raise warning '%', repeat('x', 100000); end loop; end $$;";
      const notices = await app.replicate(chatId, flood);
      expect(notices).toMatchObject({ state: 'FAILED', error: { code: 'CONNECTION_LOST' } });
      expect(notices.error?.message).toMatch(/larger than 64 MiB/);
      await gone();
    });

    test('goes on with onError: CONTINUE, and lists what failed', async () => {
      const chatId = await app.createChat();
      const dump = [
        'create table t (a int);',
        'create table t (a int);',
        'copy t from stdin;',
        '1',
        'x',
        '\\.',
        'copy missing from stdin;',
        'x',
        '\\.',
        'insert into t values (7);',
      ].join('\n');
      const { state, warnings } = await app.replicate(chatId, dump, { onError: 'CONTINUE' });
      expect(state).toBe('READY');
      expect(warnings.map(({ code, line, sqlstate }) => [code, line, sqlstate])).toEqual([
        ['SQL_ERROR', 2, '42P07'],
        ['SQL_ERROR', 5, '22P02'],
        ['SQL_ERROR', 7, '42P01'],
      ]);
      expect(await app.rows(chatId, 'select a from t')).toEqual([[7]]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });
  });

  describe(`what a plain role may not do on engine ${engine}`, () => {
    test('is treated with a warning: owners, missing roles, grants, policies, settings, publications', async () => {
      const chatId = await app.createChat();
      const dump = [
        `${HEADER}`,
        '\\restrict abc123',
        'SET transaction_timeout_of_tomorrow = 0;',
        "SET client_encoding = 'UTF8';",
        'CREATE EXTENSION IF NOT EXISTS not_there WITH SCHEMA public;',
        "COMMENT ON EXTENSION not_there IS 'x';",
        'CREATE TABLE public.t (a int);',
        'ALTER TABLE public.t OWNER TO "the owner";',
        'COPY public.t (a) FROM stdin;\n1\n\\.\n',
        'CREATE POLICY p ON public.t TO reader USING (a = 1);',
        'ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;',
        'GRANT SELECT ON TABLE public.t TO reader, "Odd ""role""";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE writer IN SCHEMA public GRANT SELECT ON TABLES TO reader;',
        'CREATE PUBLICATION pub FOR ALL TABLES;',
        'CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f();',
        'ALTER DATABASE shop SET work_mem = 1;',
        '\\unrestrict abc123',
        FOOTER,
      ].join('\n');
      const { state, error, warnings } = await app.replicate(chatId, dump);
      expect({ state, error }).toEqual({ state: 'READY', error: null });
      expect(warnings.map(({ code }) => code).sort()).toEqual([
        'DATABASE_SKIPPED',
        'EVENT_TRIGGER_SKIPPED',
        'EXTENSION_DETAIL_SKIPPED',
        'EXTENSION_SKIPPED',
        'OWNERSHIP_SKIPPED',
        'PUBLICATION_SKIPPED',
        'ROLE_CREATED',
        'ROLE_CREATED',
        'ROLE_CREATED',
        'SETTING_SKIPPED',
      ]);
      expect(
        await app.rows(
          chatId,
          `select polroles::regrole[]::text, has_table_privilege('reader', 't', 'select')
          from pg_policy where polrelid = 't'::regclass`,
        ),
      ).toEqual([['{reader}', true]]);
      expect(
        await app.rows(
          chatId,
          'select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_roles where rolname = current_user',
        ),
      ).toEqual([[false, false, false, false, false]]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });

    test('of a newer PostgreSQL than the replica is restored with a warning', async () => {
      const chatId = await app.createChat();
      const dump = `${HEADER.replace('15.2', '97.1')}create table t (a int);${FOOTER}`;
      const { state, warnings } = await app.replicate(chatId, dump);
      expect([state, warnings.map(({ code }) => code)]).toEqual(['READY', ['NEWER_SOURCE']]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });
  });

  describe(`text on engine ${engine}`, () => {
    test('in another encoding arrives as it was', async () => {
      const chatId = await app.createChat();
      const dump = Buffer.concat([
        Buffer.from("SET client_encoding = 'LATIN1';\n"),
        Buffer.from('create table "stra\xdfe" (a text);\ncopy "stra\xdfe" from stdin;\n', 'latin1'),
        Buffer.from('K\xf6ln\n\\.\ninsert into "stra\xdfe" values (\'\xe9t\xe9\');\n', 'latin1'),
      ]);
      expect(await app.replicate(chatId, dump)).toMatchObject({ state: 'READY', error: null });
      expect(await app.rows(chatId, 'select a from "straße" order by a')).toEqual([['Köln'], ['été']]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });

    test('with every kind of quote is split where psql splits it', async () => {
      const chatId = await app.createChat();
      const dump = [
        '\ufeffcreate table q (id serial, v text);\r',
        "insert into q (v) values ('semi;colon'), (E'back\\'slash;'), ('it''s'), (U&'\\0041;'), ($$dollar;$$), ($x$;$$;$x$);\r",
        "insert into q (v) values ('a' /* ; /* nested; */ */ 'b'); -- comment; here",
        'set standard_conforming_strings = off;',
        "insert into q (v) values ('off\\';');",
        'create function f() returns int begin atomic select 1; select case when true then 2 end; end;',
        "create rule r as on delete to q do also (insert into q (v) values ('x;'); insert into q (v) values ('y'));",
        'insert into q (v) values (f()::text);',
      ].join('\n');
      expect(await app.replicate(chatId, dump.replace("'a' /* ; /* nested; */ */ 'b'", "'ab'"))).toMatchObject({
        state: 'READY',
        error: null,
      });
      expect((await app.rows(chatId, 'select v from q order by id')).flat()).toEqual([
        'semi;colon',
        "back'slash;",
        "it's",
        'A;',
        'dollar;',
        ';$$;',
        'ab',
        "off';",
        '2',
      ]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });
  });

  describe(`ending a replication on engine ${engine}`, () => {
    test('a second upload while one runs is a CONFLICT, and cancelling ends it', async () => {
      const chatId = await app.createChat();
      await app.upload(chatId, ENDLESS);
      const { errors } = await app.upload(chatId, library);
      expect(errors?.[0]?.extensions.code).toBe('CONFLICT');
      await eventually('the restore is under way', async () => (await app.status(chatId))?.state === 'RESTORING');
      let seen: Status | undefined;
      const watching = app.watch(chatId, undefined, (status) => {
        seen = status;
      });
      await eventually('it is watched', async () => seen !== undefined);
      const { data } = await app.graphql('mutation($id: ID!) { cancelReplication(chatId: $id) { status { state } } }', {
        id: chatId,
      });
      expect(data.cancelReplication.status.state).toBe('CANCELLED');
      expect((await watching).at(-1)).toMatchObject({ state: 'CANCELLED', error: { code: 'CANCELLED' } });
      await gone();
    });

    test('a client that disconnects in the middle of its upload leaves nothing', async () => {
      const chatId = await app.createChat();
      const upload = app.openUpload(chatId);
      upload.write(`create table t (a text);\ncopy t from stdin;\n${'row\n'.repeat(100_000)}`);
      await upload.answer;
      const watching = app.watch(chatId);
      await eventually('rows arrive', async () => ((await app.status(chatId))?.bytesRestored ?? 0) > 100);
      upload.disconnect();
      expect((await watching).at(-1)).toMatchObject({ state: 'FAILED', error: { code: 'UPLOAD_ABORTED' } });
      await gone();
    });

    test.each(['deleteReplica(chatId: $id)', 'deleteChat(id: $id)'])('%s ends and removes it', async (mutation) => {
      const chatId = await app.createChat();
      await app.upload(chatId, ENDLESS);
      let seen: Status | undefined;
      const watching = app.watch(chatId, undefined, (status) => {
        seen = status;
      });
      await eventually('it is watched, and has begun', async () => seen !== undefined && seen.state !== 'QUEUED');
      const { errors } = await app.graphql(`mutation($id: ID!) { ${mutation} }`, { id: chatId });
      expect(errors).toBeUndefined();
      expect((await watching).at(-1)?.state).toBe('CANCELLED');
      expect(await app.status(chatId)).toBeNull();
      await gone();
    });

    test('at every moment leaves nothing', async () => {
      for (const moment of ['QUEUED', 'STARTING', 'SCHEMA', 'DATA', 'INDEXES', 'FINISHING']) {
        const chatId = await app.createChat();
        await app.upload(chatId, library);
        await eventually(moment, async () => {
          const now = await app.status(chatId);
          return now?.state === moment || now?.step === moment || now?.state === 'READY';
        });
        await app.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
      }
      await gone();
    });

    test('shutting down stops a restore cleanly', async () => {
      const own = await startApp(setting.env);
      const chatId = await own.createChat();
      await own.upload(chatId, ENDLESS);
      await eventually('it runs', async () => (await own.status(chatId))?.state === 'RESTORING');
      await own.app.close();
      expect(own.log.some((line) => line.includes('INTERRUPTED'))).toBe(true);
      await gone(own.app.instance);
    });

    test('an upload that comes while a replica is being removed gets its own, or is told', async () => {
      const chatId = await app.createChat();
      await app.replicate(chatId, 'create table t (a int);');
      const before = (await app.status(chatId)) as Status;
      const removal = app.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
      const { errors } = await app.upload(chatId, 'create table u (a int);');
      expect((await removal).errors).toBeUndefined();
      if (errors) expect(errors[0]?.extensions.code).toBe('CONFLICT');
      // Whichever comes first: an upload that does is cancelled and removed with the rest.
      const isThere = !errors && (await app.status(chatId)) !== null;
      const again = isThere ? (await app.watch(chatId)).at(-1) : await app.replicate(chatId, 'create table u (a int);');
      expect(again?.state).toBe('READY');
      expect(again?.sequence).toBeGreaterThan(before.sequence);
      expect(await app.rows(chatId, 'select count(*) from u')).toEqual([[0]]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      await gone();
    });

    test('a chat that is deleted while its upload is looked at leaves nothing', async () => {
      const chatId = await app.createChat();
      const upload = app.openUpload(chatId);
      upload.write('create table t (a int);\n');
      await eventually('the upload is being looked at', async () => {
        const { errors } = await app.upload(chatId, 'select 1;');
        return errors?.[0]?.extensions.code === 'CONFLICT';
      });
      const { errors } = await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      expect(errors).toBeUndefined();
      expect((await upload.answer).errors?.[0]?.extensions.code).toBe('CONFLICT');
      await gone();
    });

    test('a replica does not expire while a query runs', async () => {
      const chatId = await app.createChat();
      await app.replicate(chatId, 'create table t (a int);', { ttlSeconds: 5 });
      expect(await app.rows(chatId, 'select pg_sleep(8)')).toEqual([['']]);
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      await gone();
    });

    test('a replica that fills its disk is ended, during the restore and after it', async () => {
      const own = await startApp({ ...setting.env, REPLICA_DISK: '150m' });
      try {
        const fill = 'insert into t select repeat(md5(i::text), 100) from generate_series(1, 150000) i';
        const chatId = await own.createChat();
        const slow = `create table t (a text);\nalter table t alter a set storage plain;\n${fill};\nselect pg_sleep(60);\n`;
        expect(await own.replicate(chatId, slow)).toMatchObject({ state: 'FAILED', error: { code: 'DISK_LIMIT' } });
        await own.replicate(chatId, 'create table t (a text); alter table t alter a set storage plain;');
        await own.runQuery(chatId, fill, { access: 'READ_WRITE' });
        await eventually('it has been ended', async () => (await own.status(chatId))?.state === 'FAILED');
        expect((await own.status(chatId))?.error?.code).toBe('DISK_LIMIT');
        await gone(own.app.instance);
      } finally {
        await own.app.close();
      }
    });

    test('a replica that nobody uses expires', async () => {
      const chatId = await app.createChat();
      await app.replicate(chatId, 'create table t (a int);', { ttlSeconds: 1 });
      await eventually('it expires', async () => (await app.status(chatId))?.state === 'EXPIRED');
      const { errors } = await app.runQuery(chatId, 'select 1');
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'REPLICA_NOT_READY', state: 'EXPIRED' });
      await gone();
    });
  });

  describe(`a READY replica on engine ${engine}`, () => {
    let chatId: string;

    beforeAll(async () => {
      chatId = await app.createChat();
      await app.replicate(
        chatId,
        'create table t (id int primary key, v text); insert into t select i, i::text from generate_series(1, 2000) i;',
      );
    });
    afterAll(async () => {
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    });

    test('answers a query and records it in the chat', async () => {
      const { data } = await app.runQuery(chatId, 'select id, v from t order by id', { maxRows: 3 });
      expect(data.runQuery).toMatchObject({
        columns: ['id', 'v'],
        columnTypes: ['integer', 'text'],
        rows: [
          { id: 1, v: '1' },
          { id: 2, v: '2' },
          { id: 3, v: '3' },
        ],
        rowCount: 3,
        truncated: true,
      });
      const messages = await app.graphql(
        `query($id: ID!) { chat(id: $id) { messages { nodes { contentType content {
          ... on QueryContent { sql } ... on TableContent { columns rows rowCount truncated } } } } } }`,
        { id: chatId },
      );
      expect(messages.data.chat.messages.nodes).toEqual([
        { contentType: 'QUERY', content: { sql: 'select id, v from t order by id' } },
        {
          contentType: 'TABLE',
          content: { ...data.runQuery, columnTypes: undefined, durationMs: undefined, messages: undefined },
        },
      ]);
      const unrecorded = await app.runQuery(chatId, 'select 1', { record: false });
      expect(unrecorded.data.runQuery.messages).toEqual([]);
    });

    test.each([
      ['insert into t values (0)', '25006'],
      ['create table u (a int)', '25006'],
      ["select set_config('transaction_read_only', 'off', false)", '25001'],
      ['select 1; delete from t', '42601'],
      ['commit; delete from t', '42601'],
      ['selekt 1', '42601'],
    ])('refuses by default: %s', async (sql, sqlstate) => {
      const { errors } = await app.runQuery(chatId, sql);
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'SQL_ERROR', sqlstate });
      expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[2000]]);
    });

    test('tells where a statement is wrong', async () => {
      const { errors } = await app.runQuery(chatId, 'select idd from t');
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'SQL_ERROR', sqlstate: '42703', position: 8 });
      expect(errors?.[0]?.extensions.hint).toContain('t.id');
    });

    test('lets one statement leave nothing behind for the next', async () => {
      await app.runQuery(chatId, 'set session characteristics as transaction read write');
      await app.runQuery(chatId, "set search_path = 'nowhere'");
      for (let query = 0; query < 10; query += 1) {
        expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[2000]]);
      }
    });

    test('stops a query when its time is up, also one that resists', async () => {
      const { errors } = await app.runQuery(chatId, 'select pg_sleep(60)', { timeoutMs: 100 });
      expect(errors?.[0]?.extensions.code).toBe('QUERY_TIMEOUT');
      const stubborn = `do $$ begin loop begin perform pg_sleep(60);
        exception when query_canceled then null; end; end loop; end $$`;
      const resisted = await app.runQuery(chatId, stubborn, { timeoutMs: 100, access: 'READ_WRITE' });
      expect(resisted.errors?.[0]?.extensions.code).toBe('QUERY_TIMEOUT');
      expect(await app.rows(chatId, 'select 1')).toEqual([[1]]);
    });

    test('stops at its limits of rows and bytes', async () => {
      const { data } = await app.runQuery(chatId, 'select generate_series(1, 1000000000)', { maxRows: 10 });
      expect(data.runQuery).toMatchObject({ rowCount: 10, truncated: true });
      const large = await app.runQuery(chatId, "select repeat('x', 200000000)");
      expect(large.errors?.[0]?.extensions.code).toBe('QUOTA_EXCEEDED');
      expect(await app.rows(chatId, 'select 1')).toEqual([[1]]);
    });

    test.each(['copy (select 1) to stdout', 'copy t to stdout', 'copy t from stdin'])('refuses %s', async (sql) => {
      const { errors } = await app.runQuery(chatId, sql, { access: 'READ_WRITE' });
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'sql' });
      expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[2000]]);
    });

    test('stops what a client asked for that has gone, also while it waits for its turn', async () => {
      const [leaving, gone] = [new AbortController(), new AbortController()];
      const ask = (name: string, sql: string, { signal }: AbortController) => {
        const input = { chatId, sql, access: 'READ_WRITE', timeoutMs: 600_000 };
        const query = `mutation ${name}($input: RunQueryInput!) { runQuery(input: $input) { rowCount } }`;
        const headers = { 'content-type': 'application/json' };
        const body = JSON.stringify({ query, variables: { input } });
        const answer = fetch(app.url, { method: 'POST', headers, body, signal });
        answer.catch(() => {});
        return answer;
      };
      const ended = (name: string) => app.log.filter((line) => line.includes(name) && line.includes('"aborted":true'));
      for (let session = 0; session < 8; session += 1) ask('Busy', 'select pg_sleep(600)', leaving);
      const waits = async () => {
        const late = await app.runQuery(chatId, 'select 1', { timeoutMs: 1000, record: false });
        return late.errors?.[0]?.extensions.code === 'QUERY_TIMEOUT';
      };
      await eventually('all sessions are busy', waits);
      const write = ask('Ghost', 'create table from_a_ghost (a int)', gone);
      expect(await waits()).toBe(true);
      gone.abort();
      await expect(write).rejects.toThrow();
      await eventually('the server knows', async () => ended('Ghost').length === 1);
      leaving.abort();
      await eventually('the others have ended, too', async () => ended('Busy').length === 8);
      expect(await app.rows(chatId, "select to_regclass('from_a_ghost')")).toEqual([[null]]);
    });

    test('lets its role back in after a reset, whatever it did to itself', async () => {
      for (const sql of [
        "alter role app password 'mine'",
        'alter role app set default_transaction_read_only = on',
        'revoke connect on database shop from public, app',
      ]) {
        await app.runQuery(chatId, sql, { access: 'READ_WRITE' });
      }
      await Promise.all(
        [1, 2].map(() => app.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId })),
      );
      expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[2000]]);
      expect(await app.rows(chatId, 'show default_transaction_read_only')).toEqual([['off']]);
    });

    test('can be written to and reset', async () => {
      const { data } = await app.runQuery(chatId, 'delete from t where id > 10', { access: 'READ_WRITE' });
      expect(data.runQuery).toMatchObject({ columns: [], rows: [], rowCount: 1990, truncated: false });
      expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[10]]);
      await app.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId });
      expect(await app.rows(chatId, 'select count(*) from t')).toEqual([[2000]]);
      const again = await app.runQuery(chatId, 'insert into t values (0)', { access: 'READ_WRITE' });
      expect(again.data.runQuery.rowCount).toBe(1);
    });

    test('stays in use while another upload runs and when that one fails, and is swapped when it succeeds', async () => {
      const upload = app.openUpload(chatId);
      upload.write('create table other (a int);\n'.padEnd(2000));
      await upload.answer;
      expect(await app.rows(chatId, 'select count(*) > 0 from t')).toEqual([[true]]);
      await eventually('it restores', async () => (await app.status(chatId))?.state === 'RESTORING');
      expect(await queryable(chatId)).toBe(true);
      upload.write('selekt;');
      upload.finish();
      expect((await app.watch(chatId)).at(-1)?.state).toBe('FAILED');
      expect(await app.rows(chatId, 'select count(*) > 0 from t')).toEqual([[true]]);
      expect(await queryable(chatId)).toBe(true);
      expect(await app.replicate(chatId, 'create table other (a int);')).toMatchObject({ state: 'READY' });
      expect(await app.rows(chatId, 'select count(*) from other')).toEqual([[0]]);
      const { errors } = await app.runQuery(chatId, 'select * from t');
      expect(errors?.[0]?.extensions.sqlstate).toBe('42P01');
      expect((await setting.leftovers(app.app.instance)).length).toBeGreaterThan(0);
    });
  });
}

/** Counted in the file itself: lines between `COPY table` (its partitions' too) and `\.`. */
function rowsInDump(dump: string, table: string): number {
  const blocks = dump.matchAll(
    new RegExp(`^COPY public\\.${table}(?:_\\d+|_other)? \\([^)]*\\) FROM stdin;\\n([^]*?)^\\\\\\.$`, 'gm'),
  );
  return [...blocks].reduce((sum, [, rows]) => sum + (rows as string).split('\n').length - 1, 0);
}

function expectHistory(statuses: readonly Status[]): void {
  expect(statuses.length).toBeGreaterThan(0);
  statuses.slice(1).forEach((status, index) => {
    const before = statuses[index] as Status;
    expect(status.sequence).toBeGreaterThan(before.sequence);
    expect(status.percent).toBeGreaterThanOrEqual(before.percent);
    expect(status.bytesRestored).toBeGreaterThanOrEqual(before.bytesRestored);
  });
  expect(statuses.filter(({ percent }) => percent === 100).map(({ state }) => state)).toEqual(['READY']);
}

function states(statuses: readonly Status[]): string[] {
  return [...new Set(statuses.map(({ state }) => state))];
}

function steps(statuses: readonly Status[]): string[] {
  return [...new Set(statuses.flatMap(({ step }) => step ?? []))];
}
