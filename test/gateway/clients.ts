import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { heldBytes, least } from '../support/measure.js';
import { connected, psql, RawClient, startPsql } from '../support/postgres-clients.js';

const MiB = 1024 * 1024;
const CANCEL = 80877102;
const TABLE =
  'create table t (id int primary key, v text); insert into t select i, i::text from generate_series(1, 2000) i;';
const CREDENTIALS = `query($id: ID!) { credentials(chatId: $id, target: REPLICA) {
  uri host port user password database dbms environment } }`;

/** About 10 MB of lines. */
const LINES = Array.from({ length: 100_000 }, (_, index) => `${index}\t${'0123456789'.repeat(10)}\n`).join('');

/** What PostgreSQL's clients do through the gateway, on either engine. */
export function describeClients(engine: string, env: Record<string, string>): void {
  describe(`a PostgreSQL client on engine ${engine}`, () => {
    let app: TestApp;
    let folder: string;
    let chatId: string;
    let uri: string;

    beforeAll(async () => {
      app = await startApp({ ...env, GATEWAY_PORT: '0' });
      folder = await mkdtemp(join(tmpdir(), 'gateway-'));
      chatId = await newReplica();
      uri = await uriOf(chatId);
    });
    afterAll(async () => {
      await app?.app.close();
      await rm(folder, { recursive: true });
    });

    async function newReplica(
      options: Record<string, unknown> = {},
      chat: Record<string, unknown> = {},
    ): Promise<string> {
      const id = await app.createChat(chat);
      expect(await app.replicate(id, TABLE, options)).toMatchObject({ state: 'READY' });
      return id;
    }

    async function credentialsOf(id: string) {
      const { data, errors } = await app.graphql(CREDENTIALS, { id });
      if (errors) throw new Error(errors[0]?.message);
      return data.credentials;
    }

    async function uriOf(id: string): Promise<string> {
      return (await credentialsOf(id)).uri;
    }

    function withUser(user: string, password = 'x'): string {
      const { port } = app.app.gateway?.address ?? { port: 0 };
      return `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${port}/shop`;
    }

    /** Of the replica's role: queries that are under way, but for the one that asks. */
    async function underWay(id = chatId): Promise<number> {
      const sql =
        "select count(*)::int from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and usename = current_user";
      return (await app.rows(id, sql))[0]?.[0] as number;
    }

    describe('connects', () => {
      test('with what credentials gives', async () => {
        expect(await credentialsOf(chatId)).toMatchObject({
          host: '127.0.0.1',
          port: app.app.gateway?.address?.port,
          user: `app.${chatId}`,
          database: 'shop',
          dbms: 'POSTGRESQL',
        });
        const { code, stdout } = await psql(uri, 'select current_user, current_database(), count(*) from t');
        expect([code, stdout]).toEqual([0, 'app|shop|2000\n']);
      });

      test('to the database of the chat when it names none', async () => {
        const { stdout } = await psql(uri.replace('/shop', '/'), 'select current_database()');
        expect(stdout).toBe('shop\n');
        const client = await RawClient.connect(app.app.gateway?.address?.port as number);
        client.startup({ user: `app.${chatId}` });
        // AuthenticationSASL: the replica takes the database, and asks for the password.
        await eventually('it is asked', async () => client.bytes.toString('latin1').startsWith('R\0\0\0'));
        expect(client.bytes.toString()).toContain('SCRAM-SHA-256');
        expect(client.bytes.toString()).not.toContain('PLUS');
        client.socket.destroy();
      });

      test('as a role of any name', async () => {
        const user = 'größe.of "x"\'s';
        const own = await uriOf(await newReplica({}, { user, database: 'a b.ü' }));
        for (const target of [own, own.replace(/[^/]*$/, '')]) {
          expect((await psql(target, 'select current_user, current_database()')).stdout).toBe(`${user}|a b.ü\n`);
        }
      });

      test('as node-postgres does, with parameters, notifications and the process id that SQL tells', async () => {
        const client = await connected(uri);
        const { rows } = await client.query('select pg_backend_pid() as pid, $1::int + 1 as sum', [41]);
        expect(rows).toEqual([{ pid: client.processID, sum: 42 }]);
        const notified = once(client, 'notification');
        await client.query('listen news');
        await psql(uri, "notify news, 'x'");
        expect(await notified).toMatchObject([{ channel: 'news', payload: 'x' }]);
        await client.end();
      });

      test('not with a wrong password: the replica itself refuses it', async () => {
        await expect(connected(withUser(`app.${chatId}`, 'wrong'))).rejects.toMatchObject({
          code: '28P01',
          message: 'password authentication failed for user "app"',
          routine: 'auth_failed',
        });
      });

      test('not as another role, to another database, or to no chat', async () => {
        const { password } = await credentialsOf(chatId);
        await expect(connected(withUser(`replichat_admin.${chatId}`, password))).rejects.toMatchObject({
          code: '28P01',
        });
        await expect(connected(uri.replace('/shop', '/template1'))).rejects.toMatchObject({ code: '42501' });
        await expect(connected(withUser('app.nobody'))).rejects.toMatchObject({ code: '28000' });
        await expect(connected(withUser('app'))).rejects.toMatchObject({ code: '28000' });
      });

      test('not to a replica that is not ready, which it is told', async () => {
        const id = await app.createChat();
        await expect(connected(withUser(`app.${id}`))).rejects.toMatchObject({
          code: '57P03',
          message: 'this chat has no replica',
          hint: 'Upload a dump with uploadReplica.',
        });
        await app.upload(id, 'create table t (a int); select pg_sleep(2);');
        await eventually('it restores', async () => (await app.status(id))?.state === 'RESTORING');
        await expect(connected(withUser(`app.${id}`))).rejects.toMatchObject({
          code: '57P03',
          message: 'the replica is RESTORING',
          hint: 'Subscribe to replicationStatus and wait for READY.',
        });
        await eventually('it is READY', async () => (await app.status(id))?.state === 'READY');
      });

      test('not when the replica has all the sessions it may have; queries of the API go on', async () => {
        const id = await newReplica();
        const own = await uriOf(id);
        const clients = await Promise.all(Array.from({ length: 24 }, () => connected(own)));
        await expect(connected(own)).rejects.toMatchObject({ code: '53300' });
        expect(await Promise.all(Array.from({ length: 8 }, () => app.rows(id, 'select 1')))).toHaveLength(8);
        await clients[0]?.end();
        await eventually('there is room', () =>
          connected(own)
            .then((client) => client.end())
            .then(
              () => true,
              () => false,
            ),
        );
        await Promise.all(clients.slice(1).map((client) => client.end()));
      });
    });

    describe('copies', () => {
      test('10 MB in and out, unchanged', async () => {
        const [input, output] = [join(folder, 'in'), join(folder, 'out')];
        await writeFile(input, LINES);
        const create = 'create table copied (id int, v text)';
        const copies = [`\\copy copied from '${input}'`, `\\copy (select * from copied order by id) to '${output}'`];
        expect(await psql(uri, create, ...copies)).toMatchObject({ code: 0, stderr: '' });
        expect(sha256(await readFile(output))).toBe(sha256(Buffer.from(LINES)));
      });

      test('out as slowly as it reads: what it has not read waits in the replica', async () => {
        const size = 100 * MiB;
        const client = startPsql(
          uri,
          `copy (select repeat('x', 1023) from generate_series(1, ${size / 1024})) to stdout`,
        );
        await once(client.stdout as NodeJS.ReadableStream, 'readable');
        await sleep(500);
        const before = heldBytes();
        await sleep(2000);
        expect(heldBytes() - before).toBeLessThan(16 * MiB);
        expect(await underWay()).toBe(1);
        let read = 0;
        for await (const chunk of client.stdout as AsyncIterable<Buffer>) read += chunk.length;
        expect(read).toBe(size);
      });

      test('in as fast as it is taken: what the replica has not taken waits in the client', async () => {
        // The first row waits for a lock that somebody else has.
        const waiting = `create function waits() returns trigger language plpgsql
          as 'begin perform pg_advisory_xact_lock(1); return new; end'`;
        const trigger = 'create trigger t before insert on locked for each row execute function waits()';
        await psql(uri, 'create table locked (v text)', waiting, trigger);
        const holder = await connected(uri);
        await holder.query('begin; select pg_advisory_xact_lock(1)');
        const client = startPsql(uri, 'copy locked from stdin');
        const before = heldBytes();
        let taken = 0;
        const line = Buffer.from(`${'x'.repeat(MiB - 1)}\n`);
        const feeding = (async () => {
          for (; taken < 60; taken++)
            if (!client.stdin?.write(line)) await once(client.stdin as NodeJS.WritableStream, 'drain');
          client.stdin?.end();
        })();
        await sleep(1000);
        expect(taken).toBeLessThan(30);
        expect(heldBytes() - before).toBeLessThan(16 * MiB);
        await holder.query('commit');
        await holder.end();
        await Promise.all([feeding, once(client, 'exit')]);
        expect((await psql(uri, 'select count(*) from locked')).stdout).toBe('60\n');
      });

      test('nothing when it is killed in the middle, and its backend goes', async () => {
        await psql(uri, 'create table half (v text)');
        const client = startPsql(uri, 'copy half from stdin');
        client.stdin?.write('x\n'.repeat(100_000));
        await eventually('it copies', async () => (await underWay()) === 1);
        client.kill('SIGKILL');
        await eventually('its backend goes', async () => (await underWay()) === 0);
        expect((await psql(uri, 'select count(*) from half')).stdout).toBe('0\n');
      });
    });

    test('that breaks off without a goodbye leaves no query behind', async () => {
      const client = await connected(uri);
      client.query('select pg_sleep(60)').catch(() => {});
      await eventually('it runs', async () => (await underWay()) === 1);
      (client.connection.stream as Socket).resetAndDestroy();
      await eventually('its backend goes', async () => (await underWay()) === 0);
    });

    describe('cancels', () => {
      test('its query with Ctrl-C, within a second', async () => {
        const ms = await least(1000, async () => {
          const client = startPsql(uri, 'select pg_sleep(60)');
          const said = text(client.stderr as NodeJS.ReadableStream);
          await eventually('it runs', async () => (await underWay()) === 1);
          const startedAt = performance.now();
          client.kill('SIGINT');
          expect(await said).toContain('canceling statement due to user request');
          const ms = performance.now() - startedAt;
          await eventually('it has ended', async () => (await underWay()) === 0);
          return ms;
        });
        expect(ms).toBeLessThan(1000);
      });

      test('nothing without the key', async () => {
        const client = await connected(uri);
        const query = client.query('select pg_sleep(60)');
        query.catch(() => {});
        await eventually('it runs', async () => (await underWay()) === 1);
        await cancel(client.processID, client.secretKey ^ 1);
        await cancel(client.processID + 1, client.secretKey);
        await sleep(300);
        expect(await underWay()).toBe(1);
        await cancel(client.processID, client.secretKey);
        await expect(query).rejects.toMatchObject({ code: '57014' });
        await client.end();
        // The key ends with the session.
        await cancel(client.processID, client.secretKey);
      });

      async function cancel(processId: number, secret: number): Promise<void> {
        const key = Buffer.alloc(8);
        key.writeInt32BE(processId);
        key.writeInt32BE(secret, 4);
        const client = await RawClient.connect(app.app.gateway?.address?.port as number);
        client.send(CANCEL, key);
        await client.closed;
        expect(client.bytes).toHaveLength(0);
      }
    });

    describe('is ended with a word', () => {
      const RESET = 'mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }';
      const DELETE = 'mutation($id: ID!) { deleteReplica(chatId: $id) }';

      test('by a reset, which undoes what it has written', async () => {
        const id = await newReplica();
        const client = await connected(await uriOf(id));
        await client.query('delete from t');
        const busy = await connected(await uriOf(id));
        const query = busy.query('select pg_sleep(60)');
        query.catch(() => {});
        await eventually('it runs', async () => (await underWay(id)) === 1);
        const { errors } = await app.graphql(RESET, { id });
        expect(errors).toBeUndefined();
        const word = { code: '57P01', severity: 'FATAL', message: expect.stringContaining('the replica was reset') };
        expect(await client.lost).toMatchObject(word);
        await expect(query).rejects.toMatchObject(word);
        expect((await psql(await uriOf(id), 'select count(*) from t')).stdout).toBe('2000\n');
      });

      test('by deleteReplica, idle or in the middle of an answer', async () => {
        const id = await newReplica();
        const own = await uriOf(id);
        const client = await connected(own);
        const reader = startPsql(own, "copy (select repeat('x', 100000), generate_series(1, 100000000)) to stdout");
        const said = text(reader.stderr as NodeJS.ReadableStream);
        await once(reader.stdout?.resume() as NodeJS.ReadableStream, 'data');
        await app.graphql(DELETE, { id });
        expect(await client.lost).toMatchObject({
          code: '57P01',
          message: 'terminating connection: the replica was deleted',
        });
        expect(await said).toContain('FATAL:  terminating connection: the replica was deleted');
        await expect(connected(own)).rejects.toMatchObject({ code: '57P03' });
      });

      test('by a newer upload, once that is READY', async () => {
        const id = await newReplica();
        const [own, client] = [await uriOf(id), await connected(await uriOf(id))];
        await app.replicate(id, 'create table other (a int);');
        expect(await client.lost).toMatchObject({ code: '57P01', message: expect.stringContaining('replaced') });
        await expect(connected(own)).rejects.toMatchObject({ code: '28P01' });
        expect((await psql(await uriOf(id), 'select count(*) from other')).stdout).toBe('0\n');
      });

      test('by the expiry of its replica, which it does not keep while it is idle, but while it works', async () => {
        const id = await newReplica({ ttlSeconds: 5 });
        const client = await connected(await uriOf(id));
        const idle = await connected(await uriOf(id));
        const startedAt = Date.now();
        await client.query('select pg_sleep(8)');
        expect((await app.status(id))?.state).toBe('READY');
        expect(await idle.lost).toMatchObject({ code: '57P01', message: expect.stringContaining('has expired') });
        expect(await client.lost).toMatchObject({ code: '57P01' });
        // Its five seconds began when the query had ended.
        expect(Date.now() - startedAt).toBeGreaterThan(12_500);
        await expect(connected(withUser(`app.${id}`))).rejects.toMatchObject({
          code: '57P03',
          message: 'this chat has no replica (the last one is EXPIRED)',
        });
      });

      test('by the end of the server', async () => {
        const own = await startApp({ ...env, GATEWAY_PORT: '0' });
        const id = await own.createChat();
        await own.replicate(id, TABLE);
        const { data } = await own.graphql(CREDENTIALS, { id });
        const client = await connected(data.credentials.uri);
        const startedAt = Date.now();
        const closing = own.app.close();
        expect(await client.lost).toMatchObject({
          code: '57P01',
          message: 'terminating connection: the server is shutting down',
        });
        expect(Date.now() - startedAt).toBeLessThan(10_000);
        await closing;
        await expect(connected(data.credentials.uri)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      });
    });

    test('writes beside the queries of the API, without keeping them waiting', async () => {
      const id = await newReplica();
      const client = await connected(await uriOf(id));
      await client.query('begin; insert into t values (0, $$x$$)');
      const { errors } = await app.runQuery(id, 'insert into t values (-1)', { access: 'READ_WRITE' });
      expect(errors).toBeUndefined();
      expect(await app.rows(id, 'select count(*)::int from t')).toEqual([[2001]]);
      await client.query('commit');
      expect(await app.rows(id, 'select count(*)::int from t')).toEqual([[2002]]);
      await client.end();
    });

    test('counts as a use of the replica, when it does something and is let in', async () => {
      const id = await newReplica();
      const client = await connected(await uriOf(id));
      const lastUsed = async () => {
        const { data } = await app.graphql('query($id: ID!) { chat(id: $id) { replica { lastUsedAt } } }', { id });
        return Date.parse(data.chat.replica.lastUsedAt);
      };
      // What it did to be let in is noticed within a second or so.
      let before = await lastUsed();
      for (let last = 0; last !== before; before = await lastUsed()) {
        last = before;
        await sleep(2500);
      }
      await expect(connected(withUser(`app.${id}`, 'wrong'))).rejects.toMatchObject({ code: '28P01' });
      const undecided = await RawClient.connect(app.app.gateway?.address?.port as number);
      undecided.startup({ user: `app.${id}` });
      await eventually('it is asked', async () => undecided.bytes.toString().includes('SCRAM-SHA-256'));
      await sleep(1500);
      expect(await lastUsed()).toBe(before);
      undecided.socket.destroy();
      await client.query('select 1');
      await eventually('it is noticed', async () => (await lastUsed()) > before);
      await client.end();
    });

    test('is told the way when the gateway is off', async () => {
      const own = await startApp({ ...env, GATEWAY_PORT: 'off' });
      try {
        const id = await own.createChat();
        await own.replicate(id, TABLE);
        const { errors } = await own.graphql(CREDENTIALS, { id });
        expect(errors?.[0]).toMatchObject({
          message: expect.stringContaining('GATEWAY_PORT'),
          extensions: { code: 'REPLICA_NOT_READY', state: 'READY' },
        });
      } finally {
        await own.app.close();
      }
    });
  });
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
