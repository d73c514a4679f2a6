import { access } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { pino } from 'pino';
import type { Chat } from '../../src/domain/chat.js';
import { newId } from '../../src/domain/ids.js';
import { queued } from '../../src/domain/replica.js';
import { DockerEngine } from '../../src/engines/docker.js';
import { textOf } from '../../src/engines/docker-frames.js';
import { execOutput } from '../../src/engines/docker-relay.js';
import type { ReplicaEngine, ReplicaServer } from '../../src/ports.js';
import { Admin } from '../../src/postgres/tenant.js';
import { classify } from '../../src/restore/statement.js';
import { Replication } from '../../src/services/replication.js';
import { type Status, startApp, type TestApp } from '../support/app.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { renewFresh } from '../support/fresh.js';

/** Found in no place that a dump has no business in: the name of a file, a role, a text. */
const CANARY = 'replichat_canary';
const FILE = `/tmp/${CANARY}`;
const MiB = 2 ** 20;
const logger = pino({ level: 'silent' });

/** What psql would do at once, or does with the rest of the file. */
const COMMANDS = [
  `\\! touch ${FILE}`,
  `\\i ${FILE}`,
  `\\ir ${FILE}`,
  `\\include ${FILE}`,
  `\\o ${FILE}`,
  `\\o |touch ${FILE}`,
  `\\copy t from program 'touch ${FILE}'`,
  `\\copy t to '${FILE}'`,
  `select 'touch' \\gexec`,
  `select 1 \\g ${FILE}`,
  `select 1 \\g |touch ${FILE}`,
  'select 1 as x \\gset',
  `\\w ${FILE}`,
  `\\set x \`touch ${FILE}\``,
  '\\setenv PATH /tmp',
  `\\lo_import ${FILE}`,
  `\\lo_export 4711 ${FILE}`,
  '\\if true',
  '\\watch',
  '\\password',
  `\\restrict \`touch ${FILE}\``,
  `\\restrict key \\! touch ${FILE}`,
  `\\unrestrict key;\\! touch ${FILE}`,
];

/** What a superuser may. As they are, some are not even run; inside a function, PostgreSQL has to refuse each of them. */
const ATTACKS: Record<string, readonly string[]> = {
  'runs programs': [
    `copy t from program 'touch ${FILE}'`,
    `copy t to program 'cat > ${FILE}'`,
    `copy (select 1) to program 'cat > ${FILE}'`,
    'grant pg_execute_server_program to app',
    'set role pg_execute_server_program',
  ],
  'reads and writes files': [
    "copy t from '/etc/passwd'",
    `copy t to '${FILE}'`,
    `copy (select 1) to '${FILE}'`,
    "do 'begin perform pg_read_file(''/etc/passwd''); end'",
    "select pg_read_binary_file('/etc/passwd')",
    "select pg_ls_dir('/')",
    "select pg_stat_file('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    `select lo_export(1, '${FILE}')`,
    'create extension adminpack',
    'create extension file_fdw',
    "create tablespace mine location '/tmp'",
  ],
  'runs code of its own': [
    "create function f() returns int language c as '/lib/x.so', 'f'",
    "create function f() returns int language internal as 'pg_backend_pid'",
    "load '/lib/x.so'",
    'create extension plpython3u',
    'create language plperlu',
    'create function f() returns int language plperlu as $f$ 1 $f$',
    'create event trigger mine on ddl_command_start execute function caught()',
    "set session_preload_libraries = '/lib/x.so'",
    "alter role app set session_preload_libraries = '/lib/x.so'",
    'create operator class mine for type int using btree as operator 1 <',
  ],
  'changes the server': [
    `alter system set archive_command = 'touch ${FILE}'`,
    'alter role all set work_mem = 64',
    'set log_min_error_statement = error',
    "set log_statement = 'all'",
    'set temp_file_limit = -1',
    'set allow_system_table_mods = on',
    "update pg_catalog.pg_database set datconnlimit = 7 where datname = 'shop'",
    'create table pg_catalog.mine (a int)',
    'grant set on parameter log_statement to app',
    'create database mine',
    'drop database template1',
    'alter database template1 rename to mine',
    'select pg_reload_conf()',
    'checkpoint',
    "select pg_create_physical_replication_slot('mine')",
    'select pg_switch_wal()',
  ],
  'becomes somebody else': [
    `create role ${CANARY} superuser`,
    `create user ${CANARY}`,
    'alter role app superuser',
    'alter role app createrole',
    'alter role app connection limit -1',
    'alter role app nologin',
    "alter role replichat_admin password 'mine'",
    'grant replichat_admin to app',
    'set role replichat_admin',
    'set session authorization replichat_admin',
    'reassign owned by replichat_admin to app',
    'drop role replichat_admin',
    'select * from pg_catalog.pg_authid',
    'update pg_catalog.pg_authid set rolsuper = true',
  ],
  'reaches out': [
    'create extension dblink',
    'create extension postgres_fdw',
    'create foreign data wrapper mine',
    "create server mine foreign data wrapper postgres_fdw options (host '127.0.0.1')",
    "create subscription mine connection 'host=127.0.0.1' publication p with (connect = false)",
    'create publication mine for all tables',
  ],
};
/** Insufficient privilege, not supported, no such file, function, language or wrapper, not in a transaction. */
const REFUSED = /^(42501|0A000|58P01|42883|42704|25001|55P02|22023)$/;

/** What the administrator would run if it came by: everything that its own statements call, by other names. */
const TRAPS = `
create table caught (who text);
create function spring() returns void language plpgsql as $$ begin
  insert into public.caught values (current_user);
  if current_user <> 'app' then execute 'create role ${CANARY} superuser'; end if;
end $$;
create function public.pg_terminate_backend(int) returns boolean language sql as 'select spring(); select true';
create function public.pg_database_size(name) returns bigint language sql as 'select spring(); select 0::bigint';
create function public.current_setting(text) returns text language sql as 'select spring(); select ''150000''';
create function public.set_config(text, text, boolean) returns text language sql as 'select spring(); select $2';
create function public.same(name, name) returns boolean language sql as 'select spring(); select true';
create operator public.= (function = public.same, leftarg = name, rightarg = name);
create view public.pg_database as select 'x'::name as datname, 0 as oid;
create view public.pg_roles as select 'x'::name as rolname;
do $$ begin
  execute 'alter role app set search_path = public, pg_catalog';
  execute 'alter database shop set search_path = public, pg_catalog';
end $$;
`;

const LOCKOUTS = `
create table t (a int);
do $$ begin
  execute 'alter role app password ''mine''';
  execute 'alter role app set default_transaction_read_only = on';
  execute 'alter role app in database shop set statement_timeout = 1';
  execute 'alter database shop set idle_session_timeout = 1';
  execute 'alter database shop set local_preload_libraries = ''not there''';
  execute 'alter database shop connection limit 0';
  execute 'alter database shop is_template true';
  execute 'revoke all on database shop from public, app';
end $$;
insert into t values (1);
`;

const docker = new Dockerode();
const describeHere = (await dockerAvailable()) ? describe : describe.skip;

describeHere('a malicious dump', () => {
  const env = { REPLICA_ENGINE: 'docker', REPLICA_MEMORY: '256m' };
  const apps: TestApp[] = [];
  let app: TestApp;
  let bystander: string;

  beforeAll(async () => {
    app = await start({});
    bystander = await app.createChat();
    await app.replicate(bystander, 'create table t (a int); insert into t values (42);');
  });
  afterEach(async () => {
    expect(await app.rows(bystander, 'select a from t')).toEqual([[42]]);
    await expect(access(FILE)).rejects.toThrow();
  });
  afterAll(async () => {
    await Promise.all(apps.map((one) => one.app.close()));
  });

  async function start(limits: Record<string, string>): Promise<TestApp> {
    const started = await startApp({ ...env, REPLICA_IMAGE: (await testImage()) as string, ...limits });
    apps.push(started);
    return started;
  }

  async function restore(dump: string, options: Record<string, unknown> = {}, own = app) {
    const chatId = await own.createChat();
    return { chatId, ...(await own.replicate(chatId, dump, options)) };
  }

  async function containerOf(chatId: string): Promise<Dockerode.Container> {
    const [found] = await docker.listContainers({ filters: { label: [`replichat.chat=${chatId}`] } });
    return docker.getContainer(found?.Id as string);
  }

  async function expectGone(own: TestApp) {
    const filters = { label: [`replichat.instance=${own.app.instance}`] };
    await eventually('nothing is left', async () => (await docker.listContainers({ all: true, filters })).length === 0);
  }

  /** Whoever has been attacked before is as before, and a new chat gets its replica. */
  async function expectOrder(own: TestApp) {
    expect(await restore('create table t (a int);', {}, own)).toMatchObject({ state: 'READY', warnings: [] });
  }

  describe('with a command of psql', () => {
    let engine: DockerEngine;
    let server: ReplicaServer;
    let admin: Admin;

    beforeAll(async () => {
      const image = (await testImage()) as string;
      engine = new DockerEngine({ instance: newId(), image, defaultMajor: 17, memoryBytes: 256 * MiB, logger });
      const signal = AbortSignal.timeout(200_000);
      server = await engine.provision({ chatId: newId(), majorVersion: undefined, signal, onProgress: () => {} });
      admin = await Admin.connect(server);
    });
    afterAll(() => engine?.close());

    /** Into a database of its own on the one server. */
    async function restoreCommand(command: string, onError: 'STOP' | 'CONTINUE'): Promise<Status['error']> {
      const chat = { id: newId(), user: newId(), database: newId() } as Chat;
      const head = Buffer.from(`create table t (a int);\n${command}\nselect 1;\n`);
      const kept: ReplicaServer = {
        ...server,
        admin: server.admin,
        cpus: server.cpus,
        open: () => server.open(),
        dispose: async () => {},
      };
      const provision = async () => {
        await renewFresh(admin);
        return kept;
      };
      const replication = new Replication(
        queued(chat.id, 0, new Date()),
        new AbortController(),
        async () => {},
        logger,
      );
      await replication.run(
        chat,
        { head, rest: Readable.from([]), wrapping: { content: 'plain' }, versions: {} },
        { provision } as Partial<ReplicaEngine> as ReplicaEngine,
        { onError, diskBytes: 1024 * MiB, spoolBytes: 64 * MiB, maxUnpackedBytes: 64 * MiB, timeoutMs: 60_000 },
        async () => {},
      );
      return replication.status.error as Status['error'];
    }

    test.each(COMMANDS)('is FAILED, whatever onError says, and nothing of it is done: %s', async (command) => {
      const onError = COMMANDS.indexOf(command) % 2 ? 'CONTINUE' : 'STOP';
      expect(await restoreCommand(command, onError)).toMatchObject({ code: 'UNSUPPORTED_DUMP', line: 2 });
      expect(await execOutput(docker.getContainer(server.id), ['ls', '/tmp'], AbortSignal.timeout(60_000))).toBe('');
    });
  });

  test('with commands of psql among its rows has rows', async () => {
    const { chatId, state } = await restore(`create table t (a text);\ncopy t from stdin;\n\\! touch ${FILE}\n\\.\n`);
    expect(state).toBe('READY');
    expect(await app.rows(chatId, 'select a from t')).toEqual([[`! touch ${FILE}`]]);
  });

  describe('that wants what a superuser may', () => {
    const statements = Object.values(ATTACKS).flat();
    const head =
      'create table t (a text); create function caught() returns event_trigger language plpgsql as $$ begin end $$;\n';
    let asTheyAre: Awaited<ReturnType<typeof restore>>;
    let inFunctions: Awaited<ReturnType<typeof restore>>;

    beforeAll(async () => {
      const wrapped = statements.map((sql) => `do $do$ begin execute $sql$${sql}$sql$; end $do$`);
      [asTheyAre, inFunctions] = await Promise.all([
        restore(head + statements.map((sql) => `${sql};\n`).join(''), { onError: 'CONTINUE' }),
        restore(head + wrapped.map((sql) => `${sql};\n`).join(''), { onError: 'CONTINUE' }),
      ]);
    });

    test.each(Object.entries(ATTACKS))('%s: is refused or skipped', (_what, attacks) => {
      for (const { state, warnings } of [asTheyAre, inFunctions]) {
        expect(state).toBe('READY');
        for (const sql of attacks) {
          const warning = warnings.find(({ line }) => line === statements.indexOf(sql) + 2);
          const { skip, lenient } = classify(Buffer.from(sql));
          // Told once, with the first of its kind.
          if (warnings === asTheyAre.warnings && (skip ?? lenient)) continue;
          expect([sql, warning?.sqlstate]).toEqual([sql, expect.stringMatching(REFUSED)]);
        }
      }
    });

    test('has changed nothing but its own database', async () => {
      for (const { chatId } of [asTheyAre, inFunctions]) {
        const container = await containerOf(chatId);
        const files = await execOutput(
          container,
          ['find', '/', '-xdev', '-name', `*${CANARY}*`],
          AbortSignal.timeout(60_000),
        );
        expect(files).toBe('');
        const query = `select rolname from pg_roles where rolname !~ '^pg_' union all
          select datname from pg_database union all select spcname from pg_tablespace union all
          select evtname from pg_event_trigger union all select subname from pg_subscription union all
          select slot_name from pg_replication_slots union all select fdwname from pg_foreign_data_wrapper union all
          select lanname from pg_language where not lanpltrusted union all
          select rolname from pg_roles where rolsuper and rolname <> 'replichat_admin' union all
          select name from pg_settings where name in ('log_statement', 'temp_file_limit') and source <> 'default'`;
        expect((await app.rows(chatId, query)).flat().sort()).toEqual(
          ['app', 'replichat_admin', 'shop', 'template0', 'template1']
            .concat(['pg_default', 'pg_global', 'c', 'internal', 'log_statement', 'temp_file_limit'])
            .sort(),
        );
        expect(await app.rows(chatId, "select current_setting('temp_file_limit')")).toEqual([['5GB']]);
        expect(await app.rows(chatId, 'select rolconnlimit from pg_roles where rolname = current_user')).toEqual([
          [32],
        ]);
      }
    });
  });

  test('that locks itself out is let in again', async () => {
    const { chatId, state } = await restore(LOCKOUTS);
    expect(state).toBe('READY');
    expect(await app.rows(chatId, 'select a from t')).toEqual([[1]]);
    const { errors } = await app.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId });
    expect(errors).toBeUndefined();
    expect(await app.rows(chatId, 'select a from t')).toEqual([[1]]);
    await app.runQuery(chatId, 'insert into t values (2)', { access: 'READ_WRITE' });
    expect(await app.rows(chatId, 'select a from t')).toEqual([[1], [2]]);
  });

  test('that lays traps on the search path catches nobody but itself', async () => {
    const { chatId, state, warnings } = await restore(`${TRAPS}create extension earthdistance cascade;`);
    expect([state, warnings]).toEqual([
      'READY',
      [expect.objectContaining({ code: 'EXTENSION_SKIPPED', hint: expect.stringMatching(/^Move the line/) })],
    ]);
    const tables = '{ chat(id: $id) { replica { sizeBytes tables { name } } } }';
    await app.graphql(`query($id: ID!) ${tables}`, { id: chatId });
    await app.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId });
    expect(await app.rows(chatId, "select distinct who from public.caught where who <> 'app'")).toEqual([]);
    const roles = `select count(*) from pg_catalog.pg_roles where rolname::text operator(pg_catalog.=) '${CANARY}'`;
    expect(await app.rows(chatId, roles)).toEqual([[0]]);
  });

  test('is told of nowhere in the logs of its server', async () => {
    const { chatId } = await restore(
      `create table ${CANARY} (a int check (a > 0));
      select ${CANARY} from nowhere;
      insert into ${CANARY} values (0);
      create user mapping for app server prod options (password '${CANARY}');
      do $$ begin raise warning '${CANARY}'; raise log '${CANARY}'; end $$;
      set log_min_duration_statement = 0;
      select pg_sleep(0.1), '${CANARY}';
      syntax error '${CANARY}';
      copy ${CANARY} from stdin;
${CANARY}
\\.
`,
      { onError: 'CONTINUE' },
    );
    const container = await containerOf(chatId);
    expect(textOf(await container.logs({ stdout: true, stderr: true }))).not.toContain(CANARY);
  });

  test('that never ends, also by refusing to be cancelled, is ended after RESTORE_TIMEOUT', async () => {
    const own = await start({ RESTORE_TIMEOUT: '8s' });
    const stubborn = 'begin perform pg_sleep(60); exception when query_canceled then null; end;';
    const endless = [
      `do $$ begin loop ${stubborn} end loop; end $$;`,
      'with recursive r as (select 1 union all select 1 from r) select count(*) from r;',
    ];
    for (const { state, error } of await Promise.all(endless.map((dump) => restore(dump, {}, own)))) {
      expect([state, error?.code, error?.message]).toEqual([
        'FAILED',
        'RESTORE_TIMEOUT',
        expect.stringContaining(' 8 s'),
      ]);
    }
    await expectGone(own);
    await expectOrder(app);
  });

  test.each([
    [
      'tables',
      "create table t (a text);\nalter table t alter a set storage plain;\ninsert into t select repeat('x', 3000) from generate_series(1, 1000000)",
    ],
    [
      'temporary files',
      'select count(*) from (select repeat(md5(i::text), 9) as a from generate_series(1, 9000000) i order by 1) s',
    ],
  ])('that fills the disk with %s is ended at REPLICA_DISK', async (_what, bomb) => {
    const own = await start({ REPLICA_DISK: '160m' });
    const { state, error } = await restore(`begin;\n${bomb};\nselect pg_sleep(60);\n`, {}, own);
    expect([state, error?.code, error?.message]).toEqual(['FAILED', 'DISK_LIMIT', expect.stringContaining('160 MiB')]);
    await expectGone(own);
    await expectOrder(own);
  });

  test('that fills the memory is ended at REPLICA_MEMORY, and told so', async () => {
    const bomb = "select array_agg(repeat('x', 1000) || i) from generate_series(1, 5000000) i;";
    const { state, error } = await restore(bomb);
    expect([state, error?.code, error?.message]).toEqual([
      'FAILED',
      'OUT_OF_MEMORY',
      expect.stringContaining('256 MiB'),
    ]);
    await expectOrder(app);
  });
});
