import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import type { Chat } from '../../src/domain/chat.js';
import { newId } from '../../src/domain/ids.js';
import { queued, type ReplicationStatus } from '../../src/domain/replica.js';
import { DockerEngine } from '../../src/engines/docker.js';
import type { ReplicaEngine, ReplicaServer } from '../../src/ports.js';
import { clientConfig } from '../../src/postgres/connect.js';
import { inspect } from '../../src/services/dump.js';
import { Replication } from '../../src/services/replication.js';
import { dockerAvailable, testImage } from '../support/docker.js';

/**
 * The promise of the restore: `pg_dump` of a replica equals `pg_dump` of what psql, as a superuser, restores from the
 * same file, the order of rows aside, and but for what is listed here with the warning that says so.
 */
const TREATED: Record<string, RegExp> = {
  EVENT_TRIGGER_SKIPPED: /^(COMMENT )?EVENT TRIGGER\b/,
  PUBLICATION_SKIPPED: /^(COMMENT )?(PUBLICATION|SUBSCRIPTION)\b/,
  FOREIGN_DATA_SKIPPED:
    /^(COMMENT |ACL )?(FOREIGN (DATA WRAPPER|TABLE|SERVER)|SERVER|USER MAPPING|(TABLE|COLUMN) far_away)\b/,
  OPERATOR_CLASS_SKIPPED: /^(COMMENT )?(OPERATOR (CLASS|FAMILY)|ACCESS METHOD)\b/,
  TEXT_SEARCH_SKIPPED: /^(COMMENT )?TEXT SEARCH (PARSER|TEMPLATE)\b/,
  CAST_SKIPPED: /^(COMMENT |CAST |TRANSFORM )(CAST \(money AS uuid\)|TRANSFORM FOR integer) /,
  EXTENSION_DETAIL_SKIPPED: /^COMMENT EXTENSION\b/,
  GRANT_SKIPPED: /^ACL LANGUAGE\b/,
};
/** Warned of, and of no consequence for what pg_dump prints. */
const HARMLESS = [
  'ROLE_CREATED',
  'OWNERSHIP_SKIPPED',
  'DATABASE_SKIPPED',
  'SERVER_OBJECT_SKIPPED',
  'SETTING_SKIPPED',
  'EXTENSION_SKIPPED',
  'DROP_SKIPPED',
  'COMMENT_SKIPPED',
];
/** Who has granted a privilege is lost with the owners: in a replica it is the chat's role. */
const GRANTOR = /^(RE)?SET SESSION AUTHORIZATION\b/;

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const GiB = 2 ** 30;
/** The role that owns the source database, and the chat's. */
const USER = 'app';
/** Databases that psql makes of files beside this one. */
const SOURCES = ['torture', 'unseen'];
/** More than a session takes in one go. */
const MANY_ROWS = Array.from({ length: 2000 }, (_, row) => `${row}\tsome text of row ${row}\n`).join('');
const rowsOf = (table: string) => `--
-- Data for Name: ${table}; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.${table} (id, text) FROM stdin;
${MANY_ROWS}\\.

`;
/** As pg_dump would, but that it has nothing written twice, and creates triggers later. */
const FILLED = `--
-- PostgreSQL database dump
--

SELECT pg_catalog.set_config('search_path', '', false);

CREATE TABLE public.once (id integer, text text);
CREATE TABLE public.twice (id integer, text text);
CREATE TABLE public.whole (id integer, text text) PARTITION BY RANGE (id);
CREATE TABLE public.part PARTITION OF public.whole DEFAULT;
CREATE TABLE public.log (id integer, text text);
CREATE TABLE public.logged (id integer, text text);
CREATE FUNCTION public.log() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.log VALUES (NEW.id, 'logged'); RETURN NEW; END $$;
CREATE TRIGGER log BEFORE INSERT ON public.logged FOR EACH ROW EXECUTE FUNCTION public.log();

${['once', 'twice', 'twice', 'whole', 'part', 'logged', 'log'].map(rowsOf).join('')}
--
-- PostgreSQL database dump complete
--
`;
/** Longer than what sockets, the lexer and the protocol take at once. */
const LARGE = `
CREATE TABLE large (id int, a text, b bytea);
INSERT INTO large SELECT g, repeat('twenty MB; ''\\ ', 1500000) || g, decode(repeat('5c2e0a27', 100000), 'hex') FROM generate_series(1, 1) g;
`;
const SMALL = `
CREATE TABLE "größe" (a integer PRIMARY KEY, "é" text DEFAULT 'ü', b text);
COMMENT ON TABLE "größe" IS 'für ''ß''';
INSERT INTO "größe" VALUES (1, 'äöü', E'a\\nb'), (2, E'\\\\.', E'\\t\\\\'), (3, NULL, ''), (4, '¿¡', '\\n');
CREATE FUNCTION "wäre"() RETURNS text LANGUAGE sql AS $ä$ SELECT 'é;'
$ä$;
CREATE VIEW "öffnen" AS SELECT a, 'ÿ'::text AS "ÿ" FROM "größe";
`;

/** With `text` wherever a character may stand. */
const trailing = (text: string) => `
CREATE TABLE "${text}" ("${text}" text DEFAULT '${text}');
COMMENT ON TABLE "${text}" IS '${text}\\';
INSERT INTO "${text}" VALUES ('${text}'), (E'${text}\\n${text}\\t\\\\'), ('${text}\\'), ('\\.');
CREATE FUNCTION "f${text}"() RETURNS text LANGUAGE sql AS $$ SELECT E'${text}\\n;${text}'; $$;
CREATE VIEW "v${text}" AS SELECT '${text}\\'::text AS "${text}";
`;

/** What its owner, a superuser, may give to functions. */
const OF_SUPERUSER = `
CREATE FUNCTION sealed() RETURNS int LANGUAGE sql LEAKPROOF RETURN 1;
CREATE FUNCTION "sealed; LEAKPROOF"() RETURNS int LANGUAGE plpgsql LEAKPROOF AS $$ BEGIN RETURN 2; END $$;
CREATE FUNCTION "both"(leakproof int DEFAULT 3) RETURNS int LANGUAGE sql STRICT LEAKPROOF COST 7
  SUPPORT pg_catalog.generate_series_int4_support SET log_statement = 'all' SET work_mem = '1MB' AS 'SELECT leakproof';
`;
/** As pg_dump does not write it. */
const ALTERED = `
CREATE FUNCTION public.sealed() RETURNS int LANGUAGE sql RETURN 1;
ALTER FUNCTION public.sealed() LEAKPROOF;
ALTER FUNCTION public . sealed LEAKPROOF RESTRICT;
BEGIN;
ALTER ROUTINE public.sealed() STABLE SET log_statement = 'all' LEAKPROOF COST 7;
ALTER FUNCTION public.sealed() SUPPORT pg_catalog.generate_series_int4_support;
COMMIT;
`;
const FUNCTIONS = `
SELECT proname, proleakproof, prosupport::text, proconfig,
  CASE proname WHEN 'both' THEN public."both"() WHEN 'sealed' THEN public.sealed() ELSE public."sealed; LEAKPROOF"() END AS answer
FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname
`;

const FAR = `CREATE FOREIGN TABLE far (a int) SERVER prod; CREATE FUNCTION near() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT a FROM far); END';`;
/** Outside and inside of a transaction of its own. */
const ON_SKIPPED = `
CREATE FOREIGN TABLE public.far (a int) SERVER prod;
CREATE FOREIGN TABLE public."Far; away" (a int) SERVER prod;
CREATE TABLE here (a int);
CREATE VIEW near AS SELECT a FROM far;
CREATE VIEW nearer AS SELECT a FROM near;
CREATE TABLE parts (a int) PARTITION BY LIST (a);
ALTER TABLE ONLY public.parts ATTACH PARTITION far DEFAULT;
COPY far (a) FROM stdin;
1
2
\\.
CREATE OPERATOR CLASS mine FOR TYPE int4 USING hash AS OPERATOR 1 =, FUNCTION 1 hashint4(int4);
CREATE INDEX by_hash ON here USING hash (a mine);
BEGIN;
CREATE TABLE kept (a int);
CREATE FUNCTION rows_of() RETURNS SETOF far LANGUAGE sql AS '';
CREATE VIEW nearest AS SELECT * FROM rows_of();
ALTER TABLE public."Far; away" ADD CHECK (a > 0);
CREATE TABLE of_far OF far;
INSERT INTO of_far VALUES (1);
COPY "Far; away" (a) FROM stdin;
1
2
\\.
COPY kept (a) FROM stdin;
3
\\.
COMMIT;
`;

/** Loading the first table changes with what settings sessions begin. */
const ALTERS = `
CREATE FUNCTION alters(a int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
  ALTER ROLE CURRENT_USER SET array_nulls = off;
  RETURN true;
END $$;
CREATE TABLE a_first (a int CHECK (alters(a)));
INSERT INTO a_first VALUES (1);
CREATE TABLE b (a text[]);
INSERT INTO b SELECT ARRAY[NULL, g::text] FROM generate_series(1, 300000) g;
CREATE TABLE c AS SELECT * FROM b;
CREATE INDEX b_a ON b (a);
CREATE INDEX c_a ON c (a);
`;

/** Tables with generated columns and materialised views, with a checksum of their rows. */
const COMPUTED = `
SELECT name, query_to_xml(format('SELECT count(*), sum(hashtextextended(r::text, 0)) AS checksum FROM %s r', name), true, true, '')
FROM pg_class c, format('%I.%I', relnamespace::regnamespace::text, relname) AS name
WHERE relkind = 'm' AND relispopulated OR relkind IN ('r', 'p') AND
  EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attgenerated <> '')
ORDER BY name
`;
/** Fails where a row is missing in an index that should have it. */
const CHECK_INDEXES = `
CREATE EXTENSION amcheck;
SELECT bt_index_check(c.oid, heapallindexed => true)
FROM pg_class c JOIN pg_am am ON am.oid = relam WHERE relkind = 'i' AND amname = 'btree';
`;

const run = promisify(execFile);
const PROGRAM = { maxBuffer: 512 * MiB, encoding: 'buffer' } as const;

async function psqlMajor(): Promise<number> {
  const majors = await Promise.all(
    ['psql', 'pg_dump'].map(async (program) => {
      const { stdout } = await run(program, ['--version']).catch(() => ({ stdout: '' }));
      return Number(/ (\d+)/.exec(stdout)?.[1] ?? 0);
    }),
  );
  return Math.min(...majors);
}

const available = await dockerAvailable();
const major = await psqlMajor();
if (available && major === 0)
  process.stderr.write('skipping the fidelity of restores: psql or pg_dump is not on PATH\n');
const describeHere = available && major > 0 ? describe : describe.skip;

/** A server for psql and pg_dump of this machine, by a port of its own. */
class Access {
  static async open(server: ReplicaServer): Promise<Access> {
    const proxy = createServer({ noDelay: true }, async (socket) => {
      socket.on('error', () => {});
      const inner = await server.open();
      pipeline(socket, inner, () => {});
      pipeline(inner, socket, () => {});
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    return new Access(server, proxy);
  }

  private constructor(
    private readonly server: ReplicaServer,
    private readonly proxy: ReturnType<typeof createServer>,
  ) {}

  async query(sql: string, database = this.server.admin.database): Promise<pg.QueryResult> {
    const client = new pg.Client(clientConfig(this.server, { ...this.server.admin, database }));
    await client.connect();
    try {
      return await client.query(sql);
    } finally {
      await client.end();
    }
  }

  /** Resolves with what it has printed, to both. */
  async psql(args: string[], script?: Buffer): Promise<string> {
    const { stdout, stderr } = await this.#run('psql', ['--no-psqlrc', '--quiet', ...args], script);
    return `${stdout}${stderr}`;
  }

  async dump(...args: string[]): Promise<Buffer> {
    return (await this.#run('pg_dump', args)).stdout;
  }

  #run(program: string, args: string[], input?: Buffer): Promise<{ stdout: Buffer; stderr: Buffer }> {
    const { user, password, database } = this.server.admin;
    const { port } = this.proxy.address() as AddressInfo;
    const env = {
      PATH: process.env.PATH,
      PGHOST: '127.0.0.1',
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
      PGCLIENTENCODING: 'UTF8',
    };
    const running = run(program, args, { ...PROGRAM, env });
    running.child.stdin?.on('error', () => {}).end(input);
    return running;
  }

  close(): void {
    this.proxy.close();
  }
}

interface Facts {
  /** It creates its database itself. */
  readonly creates?: boolean;
  readonly ownerless?: boolean;
  /** In what pieces it arrives. */
  readonly chunkBytes?: number;
}

interface Replica {
  readonly status: ReplicationStatus;
  readonly access: Access;
  dispose(): void;
}

describeHere('a replica is what psql makes of the same file', () => {
  let engine: DockerEngine;
  /** Starts while the one before it is in use. */
  let nextServer: Promise<ReplicaServer> | undefined;
  let sourceAccess: Access;

  beforeAll(async () => {
    engine = new DockerEngine({
      instance: newId(),
      image: (await testImage()) as string,
      defaultMajor: 17,
      memoryBytes: 512 * MiB,
      logger: pino({ level: 'silent' }),
    });
    sourceAccess = await Access.open(await provision());
    await sourceAccess.query(`CREATE ROLE ${USER} SUPERUSER`);
    const scripts: Record<string, Buffer> = {
      small: Buffer.from(SMALL),
      large: Buffer.from(LARGE),
      superuser: Buffer.from(OF_SUPERUSER),
      alters: Buffer.from(ALTERS),
    };
    for (const name of SOURCES) scripts[name] = await readFile(new URL(`${name}.sql`, import.meta.url));
    for (const [database, script] of Object.entries(scripts)) {
      await sourceAccess.query(`CREATE DATABASE ${database} OWNER ${USER}`);
      const asOwner = ['--set=ON_ERROR_STOP=1', `--command=SET ROLE ${USER}`];
      await sourceAccess.psql([`--dbname=${database}`, ...asOwner, '--file=-'], script);
    }
  });
  afterAll(async () => {
    sourceAccess?.close();
    await engine?.close();
  });

  function provision(): Promise<ReplicaServer> {
    const start = () => {
      const signal = AbortSignal.timeout(200_000);
      return engine.provision({ chatId: newId(), majorVersion: undefined, signal, onProgress: () => {} });
    };
    const server = nextServer ?? start();
    nextServer = start();
    nextServer.catch(() => {});
    return server;
  }

  async function replicate(script: Buffer, chunkBytes: number): Promise<Replica> {
    const { status, error, server } = await attempt(script, chunkBytes);
    expect({ state: status.state, error }).toEqual({ state: 'READY', error: null });
    const access = await Access.open(server as ReplicaServer);
    return {
      status,
      access,
      dispose() {
        access.close();
        // Not waited for; the engine's own end does.
        server?.dispose().catch(() => {});
      },
    };
  }

  async function attempt(script: Buffer, chunkBytes: number) {
    const chat = { id: newId(), user: USER, database: 'replica' } as Chat;
    const logger = pino({ level: 'error' });
    const replication = new Replication(queued(chat.id, 0, new Date()), new AbortController(), async () => {}, logger);
    const rest = Readable.from(chunks(script, chunkBytes));
    const upload = { ...(await inspect(rest, engine)), rest };
    const options = {
      onError: 'STOP',
      diskBytes: 4 * GiB,
      spoolBytes: GiB,
      maxUnpackedBytes: GiB,
      timeoutMs: 250_000,
    } as const;
    let server: ReplicaServer | undefined;
    const onlyProvision = { provision } as Partial<ReplicaEngine> as ReplicaEngine;
    await replication.run(chat, upload, onlyProvision, options, async (restored) => {
      server = restored.server;
    });
    const { status } = replication;
    return { status, error: status.error, server };
  }

  async function expectFaithful(script: Buffer, options: Facts = {}) {
    const { status, access, dispose } = await replicate(script, options.chunkBytes ?? 64 * KiB);
    try {
      await compare(script, status, access, options);
    } finally {
      dispose();
    }
  }

  async function compare(script: Buffer, status: ReplicationStatus, access: Access, options: Facts) {
    // What the restore was allowed, queries are not.
    const { rows } = await access.query(`SELECT rolbypassrls FROM pg_roles WHERE rolname = '${USER}'`);
    expect(rows).toEqual([{ rolbypassrls: false }]);
    // REFRESH runs as the owner, who was a superuser where the dump comes from.
    await access.query(`ALTER ROLE ${USER} SUPERUSER`);
    if (!options.creates) {
      await access.query('CREATE DATABASE torture');
      // Where a file switches to the owners, they make their schemas.
      await access.query('GRANT CREATE ON DATABASE torture TO PUBLIC');
    }
    await access.psql([...(options.creates ? [] : ['--dbname=torture']), '--file=-'], script);
    // Without owners in the file, psql's superuser owns all, and privileges are relative to the owner.
    const shape = ['--no-owner', ...(options.ownerless ? ['--no-acl'] : [])];
    const [actual, wanted] = await Promise.all([
      access.dump('--dbname=replica', ...shape),
      access.dump('--dbname=torture', ...shape),
    ]);
    const codes = new Set(status.warnings.map(({ code }) => code));
    const treated = Object.keys(TREATED).filter((code) => codes.has(code));
    expect([...codes].filter((code) => !(code in TREATED) && !HARMLESS.includes(code))).toEqual([]);
    const kept = ({ title }: Entry) => !treated.some((code) => TREATED[code]?.test(title));
    expect(differences(entriesOf(actual).filter(kept), entriesOf(wanted).filter(kept))).toEqual([]);
    await compareTheUnprinted(access);
  }

  /** What pg_dump takes for what it could be made of again. */
  async function compareTheUnprinted(access: Access) {
    const [actual, wanted] = await Promise.all(
      ['replica', 'torture'].map(async (database) => (await access.query(COMPUTED, database)).rows),
    );
    expect(actual).toEqual(wanted);
    await access.query(CHECK_INDEXES, 'replica');
  }

  test.each<[options: string, facts: Facts]>([
    ['', {}],
    ['--inserts --no-owner --no-tablespaces --no-table-access-method --no-toast-compression', { ownerless: true }],
    ['--column-inserts --quote-all-identifiers --disable-dollar-quoting', {}],
    ['--rows-per-insert=50 --no-comments --on-conflict-do-nothing', {}],
    ['--clean', {}],
    ['--clean --if-exists --no-acl --load-via-partition-root', {}],
    ['--create --disable-triggers', { creates: true }],
    ['--create --clean --if-exists', { creates: true }],
    ['--schema-only', {}],
    ['--use-set-session-authorization', {}],
  ])('made by pg_dump %s', async (options, facts) => {
    await expectFaithful(await sourceAccess.dump('--dbname=torture', ...options.split(' ').filter(Boolean)), facts);
  });

  test.each([
    ['the sections one after another', ['--section=pre-data', '--section=data', '--section=post-data']],
    ['the schema, and then the data with triggers disabled', ['--schema-only', '--data-only --disable-triggers']],
  ])('made of several dumps: %s', async (_what, parts) => {
    const dumps: Buffer[] = [];
    for (const part of parts) dumps.push(await sourceAccess.dump('--dbname=torture', ...part.split(' ')));
    await expectFaithful(Buffer.concat(dumps));
  });

  test('in another encoding', async () => {
    await expectFaithful(await sourceAccess.dump('--dbname=small', '--encoding=LATIN1'));
  });

  test.each([
    ['SJIS', '表ソ能ｱ', '--inserts'],
    ['BIG5', '功許蓋', '--disable-dollar-quoting'],
    ['GB18030', '誠乗🐘', '--column-inserts'],
  ])('in %s, where the second byte of a character may be a backslash', async (encoding, text, option) => {
    const database = encoding.toLowerCase();
    await sourceAccess.query(`CREATE DATABASE ${database} OWNER ${USER}`);
    await sourceAccess.psql(
      [`--dbname=${database}`, `--command=SET ROLE ${USER}`, '--file=-'],
      Buffer.from(trailing(text)),
    );
    const byHand = `INSERT INTO public."${text}" VALUES (E'${text}'), (E'${text}\\\\''${text};'); CREATE TABLE public.${text}2 ();\n`;
    // Not by pg_dump, for which the names of all roles would have to be in the encoding, too.
    const dump = (await sourceAccess.dump(`--dbname=${database}`, '--no-owner', option)).toString();
    const script = dump
      .replace("client_encoding = 'UTF8'", `client_encoding = '${encoding}'`)
      .replace('--\n-- PostgreSQL database dump complete', `${byHand}$&`);
    const { rows } = await sourceAccess.query(`SELECT convert_to($script$${script}$script$, '${encoding}') AS script`);
    await expectFaithful(rows[0].script, { ownerless: true });
  });

  test.each(['', '--inserts'])('with the line ends of Windows %s', async (options) => {
    const script = await sourceAccess.dump('--dbname=small', ...options.split(' ').filter(Boolean));
    await expectFaithful(Buffer.from(script.toString().replaceAll('\n', '\r\n')));
  });

  test('with what pg_dump does not know to hang together, however often and in whatever pieces', async () => {
    const script = await sourceAccess.dump('--dbname=unseen');
    for (const chunkBytes of [64 * KiB, MiB, 1000]) await expectFaithful(script, { chunkBytes });
  }, 600_000);

  test('with what changes the settings that sessions begin with', async () => {
    await expectFaithful(await sourceAccess.dump('--dbname=alters'));
  });

  test('with values of 20 MB', async () => {
    const part = (options: string[]) => sourceAccess.dump('--dbname=large', ...options);
    const inserts = (await part(['--inserts', '--data-only'])).toString();
    await expectFaithful(Buffer.concat([await part([]), Buffer.from(inserts)]));
  });

  test.each(['by-hand.sql', 'step-by-step.sql'])('written by hand: %s', async (file) => {
    await expectFaithful(await readFile(new URL(file, import.meta.url)), { ownerless: true });
  });

  test('without what only a superuser may give to functions, which a warning says of each', async () => {
    const { status, access, dispose } = await replicate(await sourceAccess.dump('--dbname=superuser'), KiB);
    try {
      const { rows } = await access.query(FUNCTIONS, 'replica');
      expect(rows).toEqual([
        { proname: 'both', proleakproof: false, prosupport: '-', proconfig: ['work_mem=1MB'], answer: 3 },
        { proname: 'sealed', proleakproof: false, prosupport: '-', proconfig: null, answer: 1 },
        { proname: 'sealed; LEAKPROOF', proleakproof: false, prosupport: '-', proconfig: null, answer: 2 },
      ]);
      const clauses = status.warnings.filter(({ code }) => code === 'ROUTINE_CLAUSE_SKIPPED');
      expect(clauses.map(({ object, sqlstate }) => [object, sqlstate])).toEqual([
        ['public."both"', '42501'],
        ['public."both"', '42501'],
        ['public."both"', '42501'],
        ['public.sealed', '42501'],
        ['public."sealed; LEAKPROOF"', '42501'],
      ]);
      expect(clauses[0]?.message).toMatch(/"log_statement"/);
    } finally {
      dispose();
    }
  });

  test('without what a script may ALTER of functions that only a superuser may', async () => {
    const { status, access, dispose } = await replicate(Buffer.from(ALTERED), KiB);
    try {
      const { rows } = await access.query(
        "SELECT proleakproof, provolatile, procost, proconfig FROM pg_proc WHERE proname = 'sealed'",
        'replica',
      );
      expect(rows).toEqual([{ proleakproof: false, provolatile: 's', procost: 7, proconfig: null }]);
      const clauses = status.warnings.filter(({ code }) => code === 'ROUTINE_CLAUSE_SKIPPED');
      expect(clauses).toMatchObject([
        { line: 3, object: 'public.sealed', sqlstate: '42501', count: 3 },
        { line: 6, message: expect.stringMatching(/"log_statement"/) },
        { line: 7, message: expect.stringMatching(/support function/) },
      ]);
    } finally {
      dispose();
    }
  });

  test('without what is built on something that is skipped, which a warning says of each', async () => {
    const { status, access, dispose } = await replicate(Buffer.from(ON_SKIPPED), KiB);
    try {
      const { rows } = await access.query(
        `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname`,
        'replica',
      );
      expect(rows.map(({ relname }) => relname)).toEqual(['here', 'kept', 'parts']);
      const warned = status.warnings.filter(({ code }) => code === 'DEPENDENT_SKIPPED');
      expect(warned.map(({ object }) => object)).toEqual([
        'near',
        'nearer',
        'public.parts',
        'far',
        'by_hash',
        'rows_of',
        'nearest',
        'public."Far; away"',
        'of_far',
        'of_far',
        '"Far; away"',
      ]);
      expect((await access.query('SELECT a FROM kept', 'replica')).rows).toEqual([{ a: 3 }]);
      expect(warned[0]).toMatchObject({ line: 5, sqlstate: '42P01', message: expect.stringContaining('"far"') });
    } finally {
      dispose();
    }
  });

  test.each([
    ['that was never there', 'CREATE SERVER far FOREIGN DATA WRAPPER w;', 'CREATE VIEW v AS SELECT a FROM far'],
    ['of another schema', 'CREATE FOREIGN TABLE s.far (a int) SERVER r;', 'CREATE VIEW v AS SELECT a FROM far'],
    ['that a function reads', FAR, 'CREATE TABLE t AS SELECT near()'],
    ['in a block of code', FAR, 'DO $$ BEGIN CREATE TABLE kept (); DELETE FROM far; END $$'],
  ])('not without what is built on something %s', async (_what, skipped, script) => {
    const { error } = await attempt(Buffer.from(`${skipped}\n${script};`), KiB);
    expect(error).toMatchObject({ code: 'SQL_ERROR', sqlstate: '42P01', line: 2 });
  });

  test('made by pg_dump, and edited by hand', async () => {
    const script = (await sourceAccess.dump('--dbname=small', '--no-owner')).toString();
    await expectFaithful(Buffer.from(editedByHand(script)), { ownerless: true });
  });

  test('with tables that are loaded at once, twice, as partitions, or by a trigger as well', async () => {
    const { status, access, dispose } = await replicate(Buffer.from(FILLED), 64 * KiB);
    try {
      await compare(Buffer.from(FILLED), status, access, { ownerless: true });
      const seen = `SELECT relname, relallvisible = relpages AS frozen FROM pg_class
        WHERE relname IN ('once', 'twice', 'part', 'log') ORDER BY relname`;
      const { rows } = await access.query(seen, 'replica');
      expect(rows).toEqual([
        { relname: 'log', frozen: false },
        { relname: 'once', frozen: true },
        { relname: 'part', frozen: false },
        { relname: 'twice', frozen: false },
      ]);
      // What the restore switches off for its own sake.
      expect((await access.query('SHOW autovacuum')).rows).toEqual([{ autovacuum: 'on' }]);
    } finally {
      dispose();
    }
  });

  test.each(['../../examples/library.sql', '../../../shared/dumps/pagila.sql', '../../../shared/dumps/northwind.sql'])(
    'made elsewhere: %s',
    async (file) => {
      const script = await readFile(new URL(file, import.meta.url)).catch(() => undefined);
      if (!script) {
        process.stderr.write(`skipped: ${file} is not here\n`);
        return;
      }
      await expectFaithful(script, { ownerless: true });
    },
  );
});

function* chunks(script: Buffer, bytes: number): Generator<Buffer> {
  for (let at = 0; at < script.length; at += bytes) yield script.subarray(at, at + bytes);
}

/** Steps of its own in the midst of what pg_dump has written. */
function editedByHand(dump: string): string {
  const edited = dump
    .replace(/^-- Data for Name/m, 'CREATE TABLE public.counted (a int, n int);\n$&')
    .replace(
      /^\\\.$/m,
      '$&\nINSERT INTO public.counted SELECT count(*) FROM public."größe";\nCOPY public.counted (a) FROM stdin;\n7\n\\.\n',
    )
    .replace(/^ALTER TABLE ONLY public."größe"$/m, 'INSERT INTO public."größe" VALUES (5);\n$&')
    .replace(
      /^(?=-- PostgreSQL database dump complete$)/m,
      'INSERT INTO public.counted SELECT sum(a) FROM public."größe";\n',
    );
  expect(edited.match(/public\.counted/g)).toHaveLength(4);
  return edited;
}

interface Entry {
  /** "TABLE film (shop)", "ACL LANGUAGE plpgsql (-)". */
  readonly title: string;
  readonly lines: readonly string[];
}

/** A dump by the comments with which pg_dump announces each object. */
function entriesOf(dump: Buffer): Entry[] {
  const [head = '', ...parts] = dump.toString().split(/^--\n-- (?=(?:Data for )?Name: .*; Type: )/m);
  const entries = parts.map((part): Entry => {
    const [, name, type, schema] = /^(?:Data for )?Name: (.*); Type: (.*); Schema: (.*); Owner: /.exec(part) ?? [];
    return { title: `${type} ${name} (${schema})`, lines: normalised(part) };
  });
  return [{ title: '', lines: normalised(head) }, ...entries];
}

/** Rows in an order of their own; without the random key of \restrict, and what stands between two entries. */
function normalised(text: string): string[] {
  const [entry = ''] = text.split('\n--\n-- PostgreSQL database dump complete\n');
  const lines = entry
    .trimEnd()
    .split('\n')
    .filter((line) => !NOISE.test(line) && !GRANTOR.test(line));
  const from = lines.findIndex((line) => line.startsWith('COPY ')) + 1;
  const to = lines.lastIndexOf('\\.');
  if (from === 0 || to === -1) return lines;
  return [...lines.slice(0, from), ...lines.slice(from, to).sort(), ...lines.slice(to)];
}

const NOISE = /^$|^\\(un)?restrict |^SET default_/;

/** Entry by entry, and only the lines that differ: a comparison of whole dumps would be too long to read. */
function differences(actual: readonly Entry[], wanted: readonly Entry[]) {
  const [actualText, wantedText] = [actual, wanted].map(
    (entries) => new Map(entries.map((entry) => [entry.title, entry])),
  );
  const titles = new Set([...wanted, ...actual].map(({ title }) => title));
  const different = [...titles].flatMap((title) => {
    const [is, should] = [actualText?.get(title)?.lines ?? [], wantedText?.get(title)?.lines ?? []];
    if (is.length === should.length && is.every((line, at) => line === should[at])) return [];
    return [{ title, extra: linesBeyond(should, is), missing: linesBeyond(is, should) }];
  });
  if (different.length > 0) return different;
  return actual.flatMap(({ title }, at) =>
    title === wanted[at]?.title ? [] : [{ at, title, wanted: wanted[at]?.title }],
  );
}

function linesBeyond(known: readonly string[], lines: readonly string[]): string[] {
  const seen = new Set(known);
  return lines.filter((line) => !seen.has(line)).map((line) => line.slice(0, 500));
}
