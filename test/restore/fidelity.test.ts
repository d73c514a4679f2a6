import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
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
import { Replication } from '../../src/services/replication.js';
import { dockerAvailable, testImage } from '../support/docker.js';

/**
 * The promise of the restore: `pg_dump` of a replica equals `pg_dump` of what psql, as a superuser, restores from the
 * same file, the order of rows aside, and but for what is listed here with the warning that says so.
 */
const TREATED: Record<string, RegExp> = {
  EVENT_TRIGGER_SKIPPED: /^(COMMENT )?EVENT TRIGGER\b/,
  PUBLICATION_SKIPPED: /^PUBLICATION\b/,
  FOREIGN_DATA_SKIPPED:
    /^(COMMENT |ACL )?(FOREIGN (DATA WRAPPER|TABLE|SERVER)|SERVER|USER MAPPING|(TABLE|COLUMN) far_away)\b/,
  OPERATOR_CLASS_SKIPPED: /^(COMMENT )?(OPERATOR (CLASS|FAMILY)|ACCESS METHOD)\b/,
  EXTENSION_DETAIL_SKIPPED: /^COMMENT EXTENSION\b/,
  GRANT_SKIPPED: /^ACL LANGUAGE\b/,
};
/** Warned of, and of no consequence for what pg_dump prints. */
const HARMLESS = ['ROLE_CREATED', 'OWNERSHIP_SKIPPED', 'DATABASE_SKIPPED', 'DROP_SKIPPED', 'COMMENT_SKIPPED'];
/** Who has granted a privilege is lost with the owners: in a replica it is the chat's role. */
const GRANTOR = /^(RE)?SET SESSION AUTHORIZATION\b/;

const MiB = 2 ** 20;
const GiB = 2 ** 30;
/** The role that owns the source database, and the chat's. */
const USER = 'app';
const TORTURE = fileURLToPath(new URL('torture.sql', import.meta.url));
const SMALL = `
CREATE TABLE "größe" (a integer PRIMARY KEY, "é" text DEFAULT 'ü', b text);
COMMENT ON TABLE "größe" IS 'für ''ß''';
INSERT INTO "größe" VALUES (1, 'äöü', E'a\\nb'), (2, E'\\\\.', E'\\t\\\\'), (3, NULL, ''), (4, '¿¡', '\\n');
CREATE FUNCTION "wäre"() RETURNS text LANGUAGE sql AS $ä$ SELECT 'é;'
$ä$;
CREATE VIEW "öffnen" AS SELECT a, 'ÿ'::text AS "ÿ" FROM "größe";
`;

/** Relies on what a superuser may, on every line. */
const BY_HAND = `
BEGIN;
CREATE TABLE parent (id int PRIMARY KEY, touched int);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, touched int);
CREATE TABLE other (parent int REFERENCES parent, touched int);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := 1; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION touch();
COMMIT;
ALTER TABLE child DISABLE TRIGGER ALL;
ALTER TABLE parent DISABLE TRIGGER ALL;
INSERT INTO child VALUES (1, 1);
INSERT INTO parent VALUES (1);
INSERT INTO other VALUES (1);
ALTER TABLE parent ENABLE TRIGGER ALL;
INSERT INTO child VALUES (2, 2);
INSERT INTO parent VALUES (2);
ALTER TABLE child ENABLE TRIGGER ALL;
INSERT INTO child VALUES (3, 1);
SET session_replication_role = replica;
INSERT INTO child VALUES (4, 4);
COPY parent FROM stdin;
4\t\\N
\\.
SET session_replication_role = origin;
INSERT INTO child VALUES (5, 4);
CREATE TABLE secret AS SELECT * FROM child;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
INSERT INTO secret VALUES (9);
CREATE TABLE secrets AS SELECT * FROM secret;
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
    for (const database of ['torture', 'small']) {
      await sourceAccess.query(`CREATE DATABASE ${database} OWNER ${USER}`);
    }
    const asOwner = ['--set=ON_ERROR_STOP=1', `--command=SET ROLE ${USER}`];
    await sourceAccess.psql(['--dbname=torture', ...asOwner, `--file=${TORTURE}`]);
    await sourceAccess.psql(['--dbname=small', ...asOwner, '--file=-'], Buffer.from(SMALL));
  });
  afterAll(async () => {
    sourceAccess?.close();
    await engine?.close();
  });

  function provision(): Promise<ReplicaServer> {
    const start = () => {
      const signal = AbortSignal.timeout(60_000);
      return engine.provision({ chatId: newId(), majorVersion: undefined, signal, onProgress: () => {} });
    };
    const server = nextServer ?? start();
    nextServer = start();
    nextServer.catch(() => {});
    return server;
  }

  async function replicate(script: Buffer): Promise<Replica> {
    const chat = { id: newId(), user: USER, database: 'replica' } as Chat;
    const logger = pino({ level: 'silent' });
    const replication = new Replication(queued(chat.id, 0, new Date()), new AbortController(), async () => {}, logger);
    const upload = { head: script.subarray(0, 1000), rest: Readable.from(chunks(script.subarray(1000))) };
    const options = { onError: 'STOP', diskBytes: 4 * GiB, timeoutMs: 60_000 } as const;
    let server: ReplicaServer | undefined;
    const onlyProvision = { provision } as Partial<ReplicaEngine> as ReplicaEngine;
    await replication.run(chat, upload, onlyProvision, options, async (restored) => {
      server = restored.server;
    });
    const { status } = replication;
    expect({ state: status.state, error: status.error }).toEqual({ state: 'READY', error: null });
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

  async function expectFaithful(script: Buffer, options: Facts = {}) {
    const { status, access, dispose } = await replicate(script);
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
  }

  test.each<[options: string, facts: Facts]>([
    ['', {}],
    ['--inserts --no-owner', { ownerless: true }],
    ['--column-inserts --quote-all-identifiers', {}],
    ['--rows-per-insert=50 --no-comments', {}],
    ['--clean', {}],
    ['--clean --if-exists --no-acl', {}],
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

  test.each(['', '--inserts'])('with the line ends of Windows %s', async (options) => {
    const script = await sourceAccess.dump('--dbname=small', ...options.split(' ').filter(Boolean));
    await expectFaithful(Buffer.from(script.toString().replaceAll('\n', '\r\n')));
  });

  test('written by hand, for a superuser', async () => {
    await expectFaithful(Buffer.from(BY_HAND), { ownerless: true });
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

function* chunks(script: Buffer): Generator<Buffer> {
  for (let at = 0; at < script.length; at += 64 * 1024) yield script.subarray(at, at + 64 * 1024);
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
    const extra = is.filter((line) => !should.includes(line)).map(shorten);
    const missing = should.filter((line) => !is.includes(line)).map(shorten);
    return is.join('\n') === should.join('\n') ? [] : [{ title, extra, missing }];
  });
  if (different.length > 0) return different;
  return actual.flatMap(({ title }, at) =>
    title === wanted[at]?.title ? [] : [{ at, title, wanted: wanted[at]?.title }],
  );
}

function shorten(line: string): string {
  return line.slice(0, 500);
}
