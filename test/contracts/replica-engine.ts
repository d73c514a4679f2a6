import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { newId } from '../../src/domain/ids.js';
import type { ProvisionRequest, ReplicaEngine, ReplicaServer } from '../../src/ports.js';
import { FRESH } from '../../src/postgres/boot.js';
import { clientConfig } from '../../src/postgres/connect.js';
import { heldBytes } from '../support/measure.js';

export interface EngineUnderTest {
  available: boolean;
  create(instance: string): ReplicaEngine;
  /** Containers, processes and folders that carry the instance's name. */
  remains(instance: string): Promise<string[]>;
  /** What pg_dump makes of the server's maintenance database, where servers have `convertArchive`. */
  dump?(server: ReplicaServer, ...options: string[]): Promise<Buffer>;
}

const MB = 1_000_000;

export function describeReplicaEngine(name: string, { available, create, remains, dump }: EngineUnderTest): void {
  const describeIfAvailable = available ? describe : describe.skip;

  describeIfAvailable(`${name} as a ReplicaEngine`, () => {
    const instance = newId();
    const engine = available ? create(instance) : (undefined as never);
    const clients: pg.Client[] = [];

    afterEach(async () => {
      await Promise.all(clients.splice(0).map((client) => client.end().catch(() => {})));
    });
    afterAll(() => engine.close());

    async function connect(server: ReplicaServer): Promise<pg.Client> {
      const client = new pg.Client(clientConfig(server, server.admin));
      client.on('error', () => {});
      await client.connect();
      clients.push(client);
      return client;
    }

    test('says what it is', async () => {
      expect(engine.name).toMatch(/^[a-z]+$/);
      expect(engine.description).toMatch(/\w+/);
      await engine.check();
    });

    describe('a provisioned server', () => {
      let provisioned: Promise<ReplicaServer> | undefined;
      const shared = () => {
        provisioned ??= engine.provision(request());
        return provisioned;
      };
      afterAll(async () => (await provisioned)?.dispose());

      test('lets its admin in, as a superuser', async () => {
        const client = await connect(await shared());
        const { rows } = await client.query(
          "SELECT current_setting('server_version_num')::int AS version, rolsuper FROM pg_roles WHERE rolname = current_user",
        );
        expect(rows[0].version).toBeGreaterThanOrEqual(140_000);
        expect(rows[0].rolsuper).toBe(true);
      });

      test('turns a wrong password away', async () => {
        const server = await shared();
        const client = new pg.Client(clientConfig(server, { ...server.admin, password: 'wrong' }));
        await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
      });

      test('has an empty database for a chat, one to maintain it from, UTF-8, and none called postgres', async () => {
        const server = await shared();
        const client = await connect(server);
        const { rows } = await client.query(
          'SELECT datname, pg_encoding_to_char(encoding) AS encoding FROM pg_database ORDER BY 1',
        );
        expect(rows).toEqual(
          [FRESH, 'template0', server.admin.database].map((datname) => ({ datname, encoding: 'UTF8' })),
        );
      });

      test('keeps everybody else out of the database that is not theirs', async () => {
        const server = await shared();
        const admin = await connect(server);
        await admin.query("CREATE ROLE somebody LOGIN PASSWORD 'secret'");
        const { database } = server.admin;
        const client = new pg.Client(clientConfig(server, { user: 'somebody', password: 'secret', database }));
        await expect(client.connect()).rejects.toMatchObject({ code: '42501' });
      });

      test('does not tell its password when it is serialised or inspected', async () => {
        const server = await shared();
        expect(JSON.stringify(server) + inspect(server, { depth: 5 })).not.toContain(server.admin.password);
        expect(server.admin.password.length).toBeGreaterThanOrEqual(32);
      });

      test('is set up to be thrown away and to log no SQL', async () => {
        const client = await connect(await shared());
        const { rows } = await client.query(
          "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) AS settings FROM pg_settings WHERE name = ANY($1)",
          [['fsync', 'wal_level', 'log_statement', 'log_min_error_statement', 'TimeZone', 'password_encryption']],
        );
        expect(rows[0].settings).toBe(
          'TimeZone=UTC fsync=off log_min_error_statement=panic log_statement=none password_encryption=scram-sha-256 wal_level=minimal',
        );
      });

      test('carries 50 MB through COPY in and out', async () => {
        const client = await connect(await shared());
        await client.query('CREATE TABLE copied (line text)');
        const chunk = Buffer.from(`${'0123456789abcdef'.repeat(64)}\n`.repeat(64));
        const chunks = Math.ceil((50 * MB) / chunk.length);
        await copyIn(client, 'COPY copied FROM STDIN', Array<Buffer>(chunks).fill(chunk));
        expect(await copyOut(client, 'COPY copied TO STDOUT')).toBe(chunks * chunk.length);
      });

      test('makes PostgreSQL wait for a slow reader, not our memory', async () => {
        const client = await connect(await shared());
        const socket = streamOf(client);
        const before = heldBytes();
        const sql = "COPY (SELECT repeat('x', 10000) FROM generate_series(1, 6000)) TO STDOUT";
        const copied = copyOut(client, sql);
        await once(socket, 'data');
        socket.pause();
        await sleep(1_000);
        expect(heldBytes() - before).toBeLessThan(20 * MB);
        socket.resume();
        expect(await copied).toBe(6_000 * 10_001);
      });

      test('serves 35 sessions at once', async () => {
        const server = await shared();
        const sessions = await Promise.all(Array.from({ length: 35 }, () => connect(server)));
        const answers = await Promise.all(sessions.map((client, n) => client.query('SELECT $1::int AS n', [n])));
        expect(answers.map(({ rows }) => rows[0].n)).toEqual(sessions.map((_, n) => n));
      });

      test('ends the session when the stream is destroyed, in the middle of a query too', async () => {
        const server = await shared();
        const admin = await connect(server);
        const client = await connect(server);
        const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
        const query = client.query('SELECT pg_sleep(600)').catch((error) => error);
        streamOf(client).destroy();
        expect(await query).toMatchObject({ message: expect.stringMatching(/terminat|ECONNRESET|EPIPE/) });
        await until(async () => {
          const left = await admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [rows[0].pid]);
          return left.rowCount === 0;
        });
      });

      test('tells the client when PostgreSQL ends the session', async () => {
        const server = await shared();
        const [admin, client] = [await connect(server), await connect(server)];
        const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
        const ended = endOf(client);
        await admin.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
        await ended;
        expect(await server.fault()).toBeUndefined();
      });

      test('works for a pool', async () => {
        const server = await shared();
        const pool = new pg.Pool({ ...clientConfig(server, server.admin), max: 3 });
        const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => pool.query('SELECT $1::int AS n', [n])));
        expect(answers.map(({ rows }) => rows[0].n)).toEqual([1, 2, 3, 4, 5]);
        await pool.end();
      });
    });

    test('says whether it converts archives', async () => {
      expect(engine.convertsArchives).toBe(dump !== undefined);
      const server = await engine.provision(request());
      expect(server.convertArchive !== undefined).toBe(engine.convertsArchives);
      await server.dispose();
    });

    if (dump) describeArchives(() => engine.provision(request()), connect, dump);

    test('servers run side by side and know nothing of each other', async () => {
      const servers = await Promise.all([1, 2].map(() => engine.provision(request())));
      const [first, second] = await Promise.all(servers.map(connect));
      await first?.query('CREATE TABLE only_here ()');
      const there = await second?.query("SELECT to_regclass('only_here') AS found");
      expect(there?.rows[0].found).toBeNull();
      expect(new Set(servers.map(({ id }) => id)).size).toBe(2);
      expect(new Set(servers.map(({ admin }) => admin.password)).size).toBe(2);
      await Promise.all(servers.map((server) => server.dispose()));
    });

    test('dispose ends the sessions, leaves nothing, and may be called again', async () => {
      const server = await engine.provision(request());
      const client = await connect(server);
      const query = client.query('SELECT pg_sleep(600)').catch((error) => error);
      const ended = endOf(client);
      await Promise.all([server.dispose(), server.dispose()]);
      await ended;
      expect(await query).toMatchObject({ message: expect.stringMatching(/terminat|ECONNRESET|EPIPE/) });
      expect(await server.stopped).toMatchObject({ reason: 'DISPOSED' });
      expect(await server.fault()).toMatchObject({ reason: 'DISPOSED' });
      expect(await remains(instance)).not.toContain(server.id);
      await server.dispose();
    });

    test('a connection to a server that is gone fails instead of hanging', async () => {
      const server = await engine.provision(request());
      await server.dispose();
      await expect(connect(server)).rejects.toThrow();
    });

    test.each([0, 10, 60, 150, 300, 500, 700, 900, 1100])('aborted after %i ms it leaves nothing', async (delay) => {
      const other = newId();
      const aborted = create(other);
      const reason = new Error('changed my mind');
      const controller = new AbortController();
      const provision = aborted.provision(request({ signal: controller.signal })).catch((error) => error);
      await sleep(delay);
      controller.abort(reason);
      const outcome = await provision;
      if (outcome instanceof Error) {
        expect(outcome).toBe(reason);
        expect(await remains(other)).toEqual([]);
      }
      await aborted.close();
      expect(await remains(other)).toEqual([]);
    });

    test('does not begin for a signal that is aborted already', async () => {
      const reason = new Error('never mind');
      await expect(engine.provision(request({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
    });

    test('close disposes what runs and gives up what is being started', async () => {
      const other = newId();
      const closing = create(other);
      const running = await closing.provision(request());
      const starting = closing.provision(request()).catch((error) => error);
      await closing.close();
      expect(await running.stopped).toMatchObject({ reason: 'DISPOSED' });
      expect(await starting).toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
      expect(await remains(other)).toEqual([]);
      await expect(closing.provision(request())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    });

    test('reap leaves alone what another living engine runs, and what runs here', async () => {
      const mine = await engine.provision(request());
      const other = create(newId());
      try {
        const theirs = await other.provision(request());
        await engine.reap();
        await other.reap();
        for (const server of [mine, theirs]) {
          const { rows } = await (await connect(server)).query('SELECT 1 AS one');
          expect(rows).toEqual([{ one: 1 }]);
        }
      } finally {
        await other.close();
        await mine.dispose();
      }
    });
  });
}

function describeArchives(
  provision: () => Promise<ReplicaServer>,
  connect: (server: ReplicaServer) => Promise<pg.Client>,
  dump: NonNullable<EngineUnderTest['dump']>,
): void {
  describe('an archive of pg_dump', () => {
    let server: ReplicaServer;
    const archives: Record<string, Buffer> = {};

    beforeAll(async () => {
      server = await provision();
      const client = await connect(server);
      await client.query(`CREATE TABLE t (a int PRIMARY KEY, b text);
        INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 300000) i;
        CREATE TABLE u (b bytea); INSERT INTO u SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 1000) i`);
      for (const format of ['custom', 'tar']) archives[format] = await dump(server, `--format=${format}`);
    });
    afterAll(() => server?.dispose());

    async function* pieces(archive: Buffer, bytes = 65_536): AsyncGenerator<Buffer, void> {
      for (let at = 0; at < archive.length; at += bytes) yield archive.subarray(at, at + bytes);
    }

    function convert(archive: AsyncGenerator<Buffer, void>, signal = new AbortController().signal) {
      return (server.convertArchive as NonNullable<ReplicaServer['convertArchive']>)(archive, signal);
    }

    async function converted(archive: AsyncGenerator<Buffer, void>): Promise<string> {
      const chunks: Buffer[] = [];
      for await (const chunk of convert(archive)) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    }

    /** \\restrict has another key each time. */
    const withoutKeys = (script: string) => script.replace(/^\\(un)?restrict .*\n\n?/gm, '');

    test.each(['custom', 'tar'])('in %s format becomes the script that pg_dump writes itself', async (format) => {
      const plain = (await dump(server, '--format=plain')).toString();
      const script = await converted(pieces(archives[format] as Buffer));
      expect(withoutKeys(script) === withoutKeys(plain)).toBe(true);
      const slowly = await converted(pieces(archives[format] as Buffer, 7_001));
      expect(withoutKeys(slowly) === withoutKeys(plain)).toBe(true);
    });

    test.each([
      ['that is cut off in its header', (archive: Buffer) => archive.subarray(0, 20), true],
      ['that is cut off in its data', (archive: Buffer) => archive.subarray(0, archive.length >> 1), true],
      ['that is empty', () => Buffer.alloc(0), true],
      [
        'that is garbage after its magic',
        () => Buffer.concat([Buffer.from('PGDMP'), Buffer.alloc(100_000, 0xee)]),
        false,
      ],
      ['that is garbage', () => Buffer.alloc(100_000, 'x'), false],
      [
        'that is damaged',
        (archive: Buffer) => Buffer.concat([archive.subarray(0, 5_000), Buffer.alloc(9_000_000)]),
        false,
      ],
    ])('%s is UNSUPPORTED_DUMP, in words of pg_restore', async (_what, spoil: (archive: Buffer) => Buffer, cutOff) => {
      await expect(converted(pieces(spoil(archives.custom as Buffer)))).rejects.toMatchObject({
        code: 'UNSUPPORTED_DUMP',
        message: expect.stringMatching(/^pg_restore of .+ cannot read the archive: \S+/),
        facts: { hint: expect.stringMatching(/\w+/), ...(cutOff && { cutOff }) },
      });
    });

    test('made by a pg_dump that is newer than pg_restore says so', async () => {
      const archive = Buffer.from(archives.custom as Buffer);
      archive[6] = 99;
      await expect(converted(pieces(archive))).rejects.toMatchObject({
        message: expect.stringContaining('unsupported version (1.99) in file header'),
        facts: { hint: expect.stringMatching(/newer pg_dump.*REPLICA_IMAGE/) },
      });
    });

    test('waits for whoever reads the script, and lets the archive wait', async () => {
      let asked = 0;
      async function* counted() {
        for await (const chunk of pieces(archives.tar as Buffer)) {
          asked += chunk.length;
          yield chunk;
        }
      }
      const script = convert(counted());
      await script.next();
      await sleep(500);
      const before = asked;
      await sleep(500);
      expect(asked).toBe(before);
      expect(asked).toBeLessThan((archives.tar as Buffer).length / 2);
      let bytes = 0;
      for await (const chunk of script) bytes += chunk.length;
      expect(bytes).toBeGreaterThan(10 * MB);
    });

    test('that breaks off fails with what broke it', async () => {
      async function* broken() {
        yield (archives.custom as Buffer).subarray(0, 100_000);
        throw new Error('the client has gone');
      }
      await expect(converted(broken())).rejects.toThrow('the client has gone');
    });

    test('can be left in the middle, and given up, while it still waits for more', async () => {
      async function* endless() {
        yield (archives.tar as Buffer).subarray(0, 1_000_000);
        await new Promise(() => {});
      }
      const left = convert(endless());
      await left.next();
      await left.return();
      expect(await left.next()).toEqual({ done: true, value: undefined });
      const controller = new AbortController();
      const givenUp = convert(endless(), controller.signal);
      await givenUp.next();
      const rest = (async () => {
        for await (const _chunk of givenUp);
      })();
      controller.abort(new Error('changed my mind'));
      await expect(rest).rejects.toThrow('changed my mind');
    });
  });
}

export function request(changes: Partial<ProvisionRequest> = {}): ProvisionRequest {
  return {
    chatId: newId(),
    majorVersion: undefined,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...changes,
  };
}

/** Waits for what takes a moment; the test's own timeout is the limit. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}

/** Not `once`, which rejects on the error that comes first. */
function endOf(client: pg.Client): Promise<void> {
  return new Promise((resolve) => client.once('end', () => resolve()));
}

interface WireConnection {
  stream: NodeJS.ReadWriteStream & { writableNeedDrain: boolean; destroy(): void };
  query(sql: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

function streamOf(client: pg.Client): WireConnection['stream'] {
  return (client as unknown as { connection: WireConnection }).connection.stream;
}

/** node-postgres leaves COPY to whoever submits it. */
function submit(client: pg.Client, sql: string, handlers: (connection: WireConnection) => object): Promise<void> {
  return new Promise((resolve, reject) => {
    const submittable = {
      submit: (connection: WireConnection) => {
        Object.assign(submittable, handlers(connection));
        connection.query(sql);
      },
      handleCommandComplete: () => {},
      handleReadyForQuery: () => resolve(),
      handleError: reject,
    };
    client.query(submittable as unknown as pg.Submittable);
  });
}

function copyIn(client: pg.Client, sql: string, chunks: Iterable<Buffer>): Promise<void> {
  return submit(client, sql, (connection) => ({
    handleCopyInResponse: async () => {
      for (const chunk of chunks) {
        connection.sendCopyFromChunk(chunk);
        if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain');
      }
      connection.endCopyFrom();
    },
  }));
}

async function copyOut(client: pg.Client, sql: string): Promise<number> {
  let bytes = 0;
  await submit(client, sql, () => ({
    handleCopyData: ({ chunk }: { chunk: Buffer }) => {
      bytes += chunk.length;
    },
  }));
  return bytes;
}
