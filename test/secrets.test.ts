import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import pg from 'pg';
import pino from 'pino';
import { type App, createApp } from '../src/app.js';
import { loadConfig } from '../src/config.js';
import { clientOf } from './support/app.js';
import { TestDatabase } from './support/database.js';
import { dockerAvailable, testImage } from './support/docker.js';
import { eventually } from './support/eventually.js';
import { AUTH, claimsOf, sign } from './support/tokens.js';

/** Percent-encoding changes it, and so do JSON and SQL: it is looked for in each of these shapes. */
const CANARY = 'c4nary/\'"@:%? \\ü';
/** It is let in with any. */
const DATABASE_PASSWORD = 'databasec4nary';
/** Of this run alone: the environment of every process of the machine is looked through for them. */
const SECRET = randomBytes(32).toString('base64url');
const KEY = randomBytes(32).toString('base64');
const LIBRARY = new URL('../examples/library.sql', import.meta.url);

describeSecrets('embedded', { REPLICA_ENGINE: 'embedded' });
if (await dockerAvailable()) {
  const env = { REPLICA_ENGINE: 'docker', REPLICA_IMAGE: (await testImage()) as string };
  describeSecrets('docker', env, new Dockerode());
} else {
  describe.skip('a password on engine docker', () => {
    test('needs Docker', () => {});
  });
}

function describeSecrets(engine: string, env: Record<string, string>, docker?: Dockerode): void {
  describe(`a password on engine ${engine}`, () => {
    const log: string[] = [];
    const answers: string[] = [];
    /** Those of the source database, of the replica's role, and of its administrator. */
    const secrets = new Set<string>([CANARY]);
    const connect = pg.Client.prototype.connect;
    /** What tokens are signed with, a good one, and bad ones; of the server's own database. */
    const keys = new Set<string>([SECRET]);
    let database: TestDatabase | undefined;
    let app: App;
    let client: ReturnType<typeof clientOf>;
    let chatId: string;

    beforeAll(async () => {
      const kept = await durable();
      // The minted ones never leave the server but by this way.
      pg.Client.prototype.connect = function (this: pg.Client, ...given: unknown[]) {
        if (this.password !== DATABASE_PASSWORD) secrets.add(this.password as string);
        return Reflect.apply(connect, this, given);
      } as typeof connect;
      const logger = pino({ level: 'trace' }, { write: (line: string) => void log.push(line) });
      app = await createApp(
        loadConfig({ ...env, ...AUTH, AUTH_JWT_SECRET: SECRET, ...kept, METRICS_PORT: '0' }),
        logger,
      );
      app.httpServer.listen(0, '127.0.0.1');
      await once(app.httpServer, 'listening');
      await app.gateway?.listen();
      const token = await sign(claimsOf('ada'), SECRET);
      keys.add(token);
      client = clientOf((app.httpServer.address() as AddressInfo).port, token);
      chatId = await client.createChat({ password: CANARY });
      expect(await client.replicate(chatId, await readFile(LIBRARY))).toMatchObject({ state: 'READY' });
      await client.rows(chatId, 'select 1');
    });
    afterAll(async () => {
      pg.Client.prototype.connect = connect;
      await app?.close();
      await database?.remove();
    });

    /** Once is enough: what keeps the chats knows no engine. */
    async function durable(): Promise<Record<string, string>> {
      if (docker) return {};
      database = await TestDatabase.start();
      const url = new URL(await database.createDatabase());
      url.password = DATABASE_PASSWORD;
      for (const key of [DATABASE_PASSWORD, KEY]) keys.add(key);
      return { DATABASE_URL: url.href, CREDENTIALS_KEYS: `k1:${KEY}` };
    }

    async function ask(query: string, variables: Record<string, unknown> = {}): Promise<string> {
      const answer = JSON.stringify(await client.graphql(query, variables));
      answers.push(answer);
      return answer;
    }

    test('is three different ones', () => {
      expect(secrets.size).toBe(3);
      for (const secret of secrets) expect(secret.length).toBeGreaterThan(10);
    });

    test('of the replica is told by credentials, and lets in through the gateway', async () => {
      const { data } = await client.graphql(
        'query($id: ID!) { credentials(chatId: $id, target: REPLICA) { uri password } }',
        {
          id: chatId,
        },
      );
      const { uri, password } = data.credentials;
      expect(secrets).toContain(password);
      const session = new pg.Client({ connectionString: uri });
      await session.connect();
      expect((await session.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
      await session.end();
      const stranger = new pg.Client({ connectionString: uri.replace(password, encodeURIComponent(CANARY)) });
      await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
    });

    test('is told by credentials, and nowhere else in the API', async () => {
      const { data } = await client.graphql(
        'query($id: ID!) { credentials(chatId: $id) { user password host port database uri } }',
        { id: chatId },
      );
      const { password, uri } = data.credentials;
      expect(password).toBe(CANARY);
      expect(uri).toBe("postgres://app:c4nary%2F'%22%40%3A%25%3F%20%5C%C3%BC@db.test:5432/shop");
      expect(decodeURIComponent(new URL(uri).password)).toBe(CANARY);

      const everything = await ask(
        `query($id: ID!) { chats { nodes { ${CHAT} } } chat(id: $id) { ${CHAT} messages { nodes { id contentType } }
          replica { ${REPLICA} tables { schema name comment columns { name type default comment } } } }
          replicationStatus(chatId: $id) { ${STATUS} } }`,
        { id: chatId },
      );
      expect(everything).toContain('"state":"READY"');
      await ask(`mutation($input: UpdateChatInput!) { updateChat(input: $input) { ${CHAT} } }`, {
        input: { chatId, name: 'Other', password: CANARY },
      });
      await ask(`mutation($input: CreateChatInput!) { createChat(input: $input) { ${CHAT} } }`, { input: input() });
      await ask(
        `mutation($id: ID!) { runQuery(input: { chatId: $id,
          sql: "select current_setting('is_superuser'), * from pg_roles, pg_settings, pg_stat_activity" }) { rows } }`,
        { id: chatId },
      );
      await ask(`mutation($id: ID!) { resetReplica(chatId: $id) { ${REPLICA} } }`, { id: chatId });
      expectNoSecret('an answer', answers);
    });

    test.each<[string, Record<string, unknown>]>([
      ['a bad port', { port: 0 }],
      ['a bad host', { host: 'a b' }],
      ['a bad user', { user: 'pg_read' }],
      ['a password that is too long', { password: CANARY.repeat(100) }],
      ['a password with a NUL', { password: `${CANARY}\0` }],
    ])('is not told in what is said of %s', async (_what, wrong) => {
      for (const query of CREATE_AND_UPDATE) {
        const answer = await ask(query, { input: query.includes('UpdateChat') ? { chatId, ...wrong } : input(wrong) });
        expect(answer).toContain('"code":"BAD_USER_INPUT"');
        expectNoSecret('the answer', [answer]);
      }
    });

    test('is not told in what is said of a document', async () => {
      const literal = JSON.stringify(CANARY);
      for (const document of [
        `mutation { createChat(input: { password: ${literal} }) { id } }`,
        `mutation { createChat(input: { password: ${literal}, port: "x" }) { id password } }`,
        `mutation { createChat(input: { password: ${literal}, nonsense: 1 ) { id } }`,
      ]) {
        const answer = await ask(document);
        expect(answer).toContain('"errors"');
        expectNoSecret('the answer', [answer]);
      }
    });

    test.each<[string, Record<string, unknown>]>([
      ['a variable of another type', { port: 'x' }],
      ['a field that is null', { host: null }],
      ['a value that does not exist', { dbms: 'MYSQL' }],
    ])('is not told in what is said of %s', async (_what, wrong) => {
      await expectSilentRefusal(CREATE, { input: input(wrong) });
    });

    // GraphQL quotes the object around the mistake (src/graphql/errors.ts hands that on): to be mended.
    test.each<[string, Record<string, unknown>]>([
      ['a field too many', { color: 'red' }],
      ['a field too few', { host: undefined }],
      ['a password that is no string', { password: { was: CANARY } }],
      ['a list of passwords', { password: [CANARY] }],
    ])('is not told in what is said of %s', async (_what, wrong) => {
      await expectSilentRefusal(CREATE, { input: input(wrong) });
    });

    test('is not told in what is said of a password without quotes', async () => {
      const fields = 'name: "Test", host: "db.test", user: "app", database: "shop", password: c4nary';
      await expectSilentRefusal(`mutation { createChat(input: { ${fields} }) { id } }`);
    });

    async function expectSilentRefusal(query: string, variables: Record<string, unknown> = {}): Promise<void> {
      const { data, errors } = await client.graphql(query, variables);
      expect(data ?? null).toBeNull();
      expectNoSecret('the answer', [JSON.stringify(errors)]);
    }

    test('is not told in what is said of a token', async () => {
      for (const token of [
        await sign(claimsOf('ada', -60), SECRET),
        await sign(claimsOf('ada'), CANARY.repeat(3)),
        SECRET,
      ]) {
        keys.add(token);
        const stranger = clientOf(client.port, token);
        const answer = JSON.stringify(await stranger.graphql('{ chats { totalCount } }'));
        expect(answer).toContain('UNAUTHENTICATED');
        const closed = await stranger
          .subscribe('subscription { messageAdded(chatId: "x") { id } }', {})
          .next()
          .catch(String);
        expectNoSecret('a refusal', [answer, String(closed)]);
      }
    });

    test('is in no metric', async () => {
      const server = app.metricsServer as Server;
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const metrics = await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)).text();
      expect(metrics).toContain('replichat_replicas{state="READY"} 1');
      expectNoSecret('the metrics', [metrics]);
    });

    test('is in no line of the log', () => {
      expect(log.length).toBeGreaterThan(5);
      expectNoSecret('the log', log);
    });

    (process.platform === 'linux' ? test : test.skip)('is in no command line and in no environment', async () => {
      const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
      const contents = await Promise.all(
        pids.flatMap((pid) =>
          ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
        ),
      );
      expect(contents.some((content) => content.includes('postgres'))).toBe(true);
      expectNoSecret('a process', contents);
    });

    test('is in no name or content of a temporary file', async () => {
      const folders = (await readdir(tmpdir())).filter((name) => name.startsWith(`replichat-${app.instance}`));
      expect(folders.length).toBeGreaterThan(0);
      const names = [...folders];
      const contents: string[] = [];
      for (const folder of folders.filter((name) => !name.endsWith('.sock') && !name.endsWith('-binaries'))) {
        const entries = await entriesOf(join(tmpdir(), folder));
        for (const entry of entries) {
          const path = join(entry.parentPath, entry.name);
          names.push(path);
          // The tables and the log of PostgreSQL are its own; its configuration is ours.
          const isOurs = !/\/data\/(base|global|pg_\w+)\//.test(path);
          if (entry.isFile() && isOurs) contents.push(await readFile(path, 'latin1').catch(() => ''));
        }
      }
      expectNoSecret('a name', names);
      expectNoSecret('a file', contents);
    });

    (docker ? test : test.skip)('is not in what Docker tells of the container', async () => {
      const filters = { label: [`replichat.instance=${app.instance}`] };
      const [container] = await (docker as Dockerode).listContainers({ filters });
      const id = container?.Id as string;
      const facts = [await docker?.getContainer(id).inspect(), await docker?.getContainer(id).top(), container];
      const output = await docker?.getContainer(id).logs({ stdout: true, stderr: true });
      expectNoSecret(
        'docker inspect, top and ps',
        facts.map((fact) => JSON.stringify(fact)),
      );
      expectNoSecret('docker logs', [String(output)]);
    });

    function expectNoSecret(where: string, texts: readonly string[]): void {
      const found = texts.filter((text) =>
        [...secrets, ...keys].flatMap(shapesOf).some((secret) => text.includes(secret)),
      );
      expect({ where, found: found.map((text) => text.slice(0, 2000)) }).toEqual({ where, found: [] });
    }
  });
}

/** PostgreSQL removes folders meanwhile, of a database that a reset has replaced. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  let entries: Dirent[] = [];
  await eventually('no folder goes while they are listed', async () => {
    const listing = readdir(folder, { recursive: true, withFileTypes: true });
    entries = await listing.catch(() => []);
    return entries.length > 0;
  });
  return entries;
}

function input(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { name: 'Test', host: 'db.test', user: 'app', database: 'shop', password: CANARY, ...changes };
}

/** As it is, in JSON, in JSON in JSON, in SQL, in a URL, in base64, and its part without special characters. */
function shapesOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const shapes = [secret, json, JSON.stringify(json).slice(1, -1), secret.replaceAll("'", "''")];
  // Of a token, the signature is what must not be known.
  const part = secret === CANARY ? ['c4nary'] : (/^e.*\.(.{40,})$/.exec(secret)?.slice(1) ?? []);
  return [...shapes, encodeURIComponent(secret), Buffer.from(secret).toString('base64'), ...part];
}

const CHAT = 'id name host port user database dbms environment createdAt';
const ISSUE = 'code message sqlstate line statement object hint';
const STATUS = `state step percent sequence current warnings(last: 100) { ${ISSUE} } error { ${ISSUE} } at`;
const REPLICA = `chatId engine serverVersion sizeBytes createdAt lastUsedAt expiresAt status { ${STATUS} }`;
const CREATE = 'mutation($input: CreateChatInput!) { createChat(input: $input) { id } }';
const CREATE_AND_UPDATE = [CREATE, 'mutation($input: UpdateChatInput!) { updateChat(input: $input) { id } }'];
