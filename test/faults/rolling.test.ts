import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import pg from 'pg';
import { startApp, type TestApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';

const DUMP = "CREATE TABLE book (title text);\nINSERT INTO book VALUES ('Emma');\n";
const TITLES = 'SELECT title FROM book ORDER BY 1';
const WRITE = { access: 'READ_WRITE' };
const available = await dockerAvailable();
const describeWithDocker = available ? describe : describe.skip;

describeWithDocker('servers on one database and one Docker Engine', () => {
  const docker = new Dockerode();
  let database: TestDatabase;
  let env: Record<string, string>;
  let build: Build;
  const apps: TestApp[] = [];

  beforeAll(async () => {
    database = await TestDatabase.start();
    build = await buildServer();
    const url = await database.createDatabase();
    const image = (await testImage()) as string;
    env = {
      DATABASE_URL: url,
      CREDENTIALS_KEYS: KEYS,
      REPLICA_ENGINE: 'docker',
      REPLICA_IMAGE: image,
      GATEWAY_PORT: '0',
    };
  });
  afterEach(async () => {
    for (const { app } of apps.splice(0)) await app.close();
  });
  afterAll(async () => {
    for (const { Id } of await containers()) await docker.getContainer(Id).remove({ force: true, v: true });
    await build?.remove();
    await database?.remove();
  });

  async function start(changes: Record<string, string> = {}): Promise<TestApp> {
    const app = await startApp({ ...env, ...changes });
    apps.push(app);
    return app;
  }

  async function close(app: TestApp): Promise<void> {
    apps.splice(apps.indexOf(app), 1);
    await app.app.close();
  }

  /** Those of the chat, or of this database. */
  async function containers(chatId?: string): Promise<Dockerode.ContainerInfo[]> {
    const client = new pg.Client(env.DATABASE_URL);
    await client.connect();
    const { rows } = await client.query('SELECT id FROM replichat.store');
    await client.end();
    const label = [`replichat.store=${rows[0].id}`, ...(chatId ? [`replichat.chat=${chatId}`] : [])];
    return docker.listContainers({ all: true, filters: { label } });
  }

  async function readyChat(app: Pick<TestApp, 'createChat' | 'replicate'>): Promise<string> {
    const chatId = await app.createChat();
    expect(await app.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
    return chatId;
  }

  test('use the replica that one of them has made, and one of them resets it for all', async () => {
    const [one, other] = [await start(), await start()];
    const chatId = await readyChat(one);
    expect(await other.rows(chatId, TITLES)).toEqual([['Emma']]);
    for (const [writing, resetting] of [
      [one, other],
      [other, one],
      [other, other],
      [one, one],
    ] as const) {
      await writing.rows(chatId, "INSERT INTO book VALUES ('Persuasion')", WRITE);
      await resetting.rows(chatId, "INSERT INTO book VALUES ('Mansfield Park')", WRITE);
      expect(await writing.rows(chatId, TITLES)).toHaveLength(3);
      const { errors } = await resetting.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', {
        id: chatId,
      });
      expect(errors).toBeUndefined();
      // Connections that the reset has ended may still be found out.
      await eventually(
        'the first state',
        async () => (await writing.rows(chatId, TITLES).catch(() => [])).length === 1,
      );
      expect(await resetting.rows(chatId, TITLES)).toEqual([['Emma']]);
    }
    expect(await containers(chatId)).toHaveLength(1);
  });

  test('lead PostgreSQL clients to it, and remove it through any of them', async () => {
    const [one, other] = [await start(), await start()];
    const chatId = await readyChat(one);
    const { data } = await other.graphql('query($id: ID!) { credentials(chatId: $id, target: REPLICA) { uri } }', {
      id: chatId,
    });
    const client = new pg.Client(data.credentials.uri);
    client.on('error', () => {});
    await client.connect();
    expect((await client.query(TITLES)).rows).toEqual([{ title: 'Emma' }]);
    const ended = new Promise((resolve) => client.once('end', resolve));
    await one.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
    await ended;
    await eventually('the container is gone', async () => (await containers(chatId)).length === 0);
    expect((await other.runQuery(chatId, TITLES)).errors).toMatchObject([
      { extensions: { code: 'REPLICA_NOT_READY' } },
    ]);
  });

  test('replace it by what another one has restored', async () => {
    const [one, other] = [await start(), await start()];
    const chatId = await readyChat(one);
    expect(await other.replicate(chatId, DUMP.replace('Emma', 'Sanditon'))).toMatchObject({ state: 'READY' });
    await eventually(
      'the new one',
      async () => (await one.rows(chatId, TITLES).catch(() => [])).flat()[0] === 'Sanditon',
    );
    await eventually('one container', async () => (await containers(chatId)).length === 1);
    expect(await other.rows(chatId, TITLES)).toEqual([['Sanditon']]);
  });

  test('end it when nobody has used it for its time to live, whichever of them was used', async () => {
    const [one, other] = [await start(), await start()];
    const chatId = await one.createChat();
    await one.replicate(chatId, DUMP, { ttlSeconds: 6 });
    const until = Date.now() + 10_000;
    while (Date.now() < until) expect(await other.rows(chatId, TITLES)).toEqual([['Emma']]);
    expect(await one.status(chatId)).toMatchObject({ state: 'READY' });
    await eventually('the expiry', async () => (await one.status(chatId))?.state === 'EXPIRED');
    await eventually('the container is gone', async () => (await containers(chatId)).length === 0);
  });

  test('do not end it while it is used through one of them, however late that is', async () => {
    const [one, other] = [await start(), await start()];
    const chatId = await one.createChat();
    await one.replicate(chatId, DUMP, { ttlSeconds: 1 });
    // Longer than its time to live, and than a server waits for others to say that they use it.
    expect((await other.runQuery(chatId, 'SELECT pg_sleep(8)')).errors).toBeUndefined();
    for (let use = 0; use < 3; use += 1) {
      await eventually('it might be ended at any moment', async () => {
        const query = 'query($id: ID!) { chat(id: $id) { replica { expiresAt } } }';
        const { data } = await other.graphql(query, { id: chatId });
        return Date.parse(data.chat.replica.expiresAt) < Date.now() - 1_500;
      });
      expect(await other.rows(chatId, TITLES)).toEqual([['Emma']]);
    }
    expect(await one.status(chatId)).toMatchObject({ state: 'READY' });
    await one.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
  });

  test('are restarted one after the other, and no READY replica is lost', async () => {
    let running = await start();
    const chatId = await readyChat(running);
    await running.rows(chatId, "INSERT INTO book VALUES ('Persuasion')", WRITE);
    for (let restart = 0; restart < 2; restart += 1) {
      const next = await start();
      await close(running);
      expect(await next.rows(chatId, TITLES)).toEqual([['Emma'], ['Persuasion']]);
      running = next;
    }
    // None of them runs meanwhile.
    await close(running);
    const last = await start();
    expect(await last.status(chatId)).toMatchObject({ state: 'READY' });
    expect(await last.rows(chatId, TITLES)).toEqual([['Emma'], ['Persuasion']]);
    await last.graphql('mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }', { id: chatId });
    expect(await last.rows(chatId, TITLES)).toEqual([['Emma']]);
  });

  test('say on /metrics which replicas each of them answers for, and no other one', async () => {
    const other = await start();
    const one = await ServerProcess.start(build, { ...env, REPLICA_WARM: '0' });
    const ready = async ({ port }: Pick<TestApp, 'port'>) => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return Number(/^replichat_replicas\{state="READY"\} (\d+)$/m.exec(text)?.[1]);
    };
    const client = new pg.Client(env.DATABASE_URL);
    await client.connect();
    const { rows } = await client.query('SELECT count(*)::int FROM replichat.replica WHERE server_id IS NOT NULL');
    await client.end();
    const before = rows[0].count;
    await eventually('it has taken over what others have left', async () => (await ready(other)) === before, 30_000);
    const chatId = await readyChat(one.client);
    expect(await other.rows(chatId, TITLES)).toEqual([['Emma']]);
    expect([await ready(one.client), await ready(other)]).toEqual([1, before]);
    process.kill(one.pid, 'SIGSTOP');
    await eventually('the other has taken it over', async () => (await ready(other)) === before + 1, 30_000);
    process.kill(one.pid, 'SIGCONT');
    await eventually('the one has noticed', async () => (await ready(one.client)) === 0, 30_000);
    expect(await one.client.rows(chatId, TITLES)).toEqual([['Emma']]);
    expect([await ready(one.client), await ready(other)]).toEqual([0, before + 1]);
    await one.client.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
    await eventually('it is gone', async () => (await ready(other)) === before);
    await one.shutDown();
  });

  test('take over from one that is killed: READY stays, what was under way is INTERRUPTED and removed', async () => {
    const other = await start();
    const killed = await ServerProcess.start(build, { ...env, REPLICA_WARM: '0' });
    const chatId = await readyChat(killed.client);
    const making = await killed.client.createChat();
    const upload = killed.client.openUpload(making);
    upload.write(DUMP.padEnd(2000, '\n'));
    await upload.answer;
    await eventually('a container', async () => (await containers(making)).length === 1);
    const watched = other.watch(making);
    await killed.kill();
    expect(await other.rows(chatId, TITLES)).toEqual([['Emma']]);
    expect((await watched).at(-1)).toMatchObject({ state: 'FAILED', error: { code: 'INTERRUPTED' } });
    await eventually('its container is gone', async () => (await containers(making)).length === 0, 60_000);
    expect(await other.status(chatId)).toMatchObject({ state: 'READY' });
    expect(await other.rows(chatId, TITLES)).toEqual([['Emma']]);
  });

  test('say so when the container of a replica is gone', async () => {
    const one = await start();
    const chatId = await readyChat(one);
    await close(one);
    for (const { Id } of await containers(chatId)) await docker.getContainer(Id).remove({ force: true, v: true });
    const other = await start();
    expect((await other.runQuery(chatId, TITLES)).errors).toMatchObject([
      { extensions: { code: 'REPLICA_NOT_READY' } },
    ]);
    expect(await other.status(chatId)).toMatchObject({ state: 'FAILED', error: { code: 'SERVER_STOPPED' } });
  });
});
