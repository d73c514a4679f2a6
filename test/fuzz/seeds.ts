import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { promisify } from 'node:util';
import pg from 'pg';
import { messageOf } from '../../src/domain/errors.js';
import type { ReplicaServer } from '../../src/ports.js';
import { clientConfig } from '../../src/postgres/connect.js';

/** Found from where npm runs scripts and tests. */
const FILES = [
  'examples/library.sql',
  'test/restore/torture.sql',
  '../shared/dumps/pagila.sql',
  '../shared/dumps/northwind.sql',
];
const TORTURE = 'test/restore/torture.sql';
const SHAPES = [
  '',
  '--inserts --no-owner',
  '--column-inserts --quote-all-identifiers',
  '--rows-per-insert=2 --clean --if-exists',
  '--create --disable-triggers',
  '--use-set-session-authorization --no-comments',
  '--schema-only --no-acl',
];
/** What makes a dump of it long, and a restore slow, shows nothing new. */
const SLIM = `
SET session_replication_role = replica;
DELETE FROM shop.everything WHERE length(t) > 1000 OR length(b) > 1000;
DELETE FROM public.many_rows WHERE a > 5;
DELETE FROM shop.measures WHERE id > 5;
SELECT lo_unlink(4712);`;
/** Tables of the library that no other row of it is needed for. */
const WITHOUT_REFERENCES = /^COPY public\.(author|branch|closure|publisher) /;

const run = promisify(execFile);

/** Whole scripts, as they are. */
export async function scriptsHere(): Promise<Buffer[]> {
  const files = await Promise.all(FILES.map((file) => readFile(file).catch(() => undefined)));
  return files.filter((file) => file !== undefined);
}

/** The library with few rows, which takes little time to restore and has nothing missing. */
export async function smallLibrary(): Promise<Buffer> {
  let kept = Number.POSITIVE_INFINITY;
  const lines = (await readFile('examples/library.sql', 'latin1')).split('\n').filter((line) => {
    if (line === '\\.') kept = Number.POSITIVE_INFINITY;
    const keeps = kept-- > 0;
    if (/^COPY .* FROM stdin;$/.test(line)) kept = WITHOUT_REFERENCES.test(line) ? 3 : 0;
    return keeps;
  });
  return Buffer.from(lines.join('\n'), 'latin1');
}

/** pg_dump's outputs, in several shapes, of a database that has one of nearly everything. */
export async function dumpsOf(server: ReplicaServer): Promise<Buffer[]> {
  const folder = await mkdtemp(join(tmpdir(), 'seeds-'));
  const proxy = createServer((socket) => {
    socket.on('error', () => {});
    server.open().then(
      (inner) => {
        pipeline(socket, inner, () => {});
        pipeline(inner, socket, () => {});
      },
      () => socket.destroy(),
    );
  });
  try {
    await new Promise<void>((resolve) => proxy.listen(join(folder, '.s.PGSQL.5432'), resolve));
    await adminQuery(server, 'CREATE DATABASE torture');
    const { user, password } = server.admin;
    const env = {
      PATH: process.env.PATH,
      PGHOST: folder,
      PGPORT: '5432',
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: 'torture',
      PGCLIENTENCODING: 'UTF8',
    };
    const psql = ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--output=/dev/null'];
    await run('psql', [...psql, `--file=${TORTURE}`, '--command', SLIM], { env });
    const dumps: Buffer[] = [];
    for (const shape of SHAPES) {
      const args = shape.split(' ').filter(Boolean);
      dumps.push((await run('pg_dump', args, { env, encoding: 'buffer', maxBuffer: 2 ** 26 })).stdout);
    }
    return dumps;
  } catch (error) {
    process.stderr.write(
      `going without dumps made by pg_dump: ${messageOf(error).split('\n').filter(Boolean).at(-1)}\n`,
    );
    return [];
  } finally {
    proxy.close();
    await rm(folder, { recursive: true });
  }
}

async function adminQuery(server: ReplicaServer, query: string): Promise<void> {
  const client = new pg.Client(clientConfig(server, server.admin));
  await client.connect();
  await client.query(query).finally(() => client.end());
}
