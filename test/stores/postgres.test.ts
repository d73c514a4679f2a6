import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import pino from 'pino';
import { Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { type Chat, SOLE_OWNER } from '../../src/domain/chat.js';
import { newId } from '../../src/domain/ids.js';
import type { Message } from '../../src/domain/message.js';
import { type Key, Keyring } from '../../src/stores/keyring.js';
import { PostgresChatStore } from '../../src/stores/postgres.js';
import { takeKeyring } from '../../src/stores/postgres-keys.js';
import { describeChatStore } from '../contracts/chat-store.js';
import { newChat } from '../support/chats.js';
import { TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const logger = pino({ level: 'silent' });
const K1: Key = { id: 'k1', secret: Buffer.alloc(32, 1) };
const K2: Key = { id: 'k2', secret: Buffer.alloc(32, 2) };

let server: TestDatabase;
let url: string;
const stores: PostgresChatStore[] = [];

beforeAll(async () => {
  server = await TestDatabase.start();
  url = await server.createDatabase();
  await migrate(url, logger);
});
afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});
afterAll(() => server?.remove());

describeChatStore('PostgresChatStore', async () => {
  const database = new Database(url, logger);
  await database.query('TRUNCATE replichat.owner, replichat.chat CASCADE');
  return new PostgresChatStore(database, new Keyring([K1]));
});

describe('several PostgresChatStores on one database', () => {
  test('are one store', async () => {
    const [one, other] = [storeOf(), storeOf()];
    const { id } = await addChat(one, 'secret');
    expect(await other.password(SOLE_OWNER, id)).toBe('secret');
    const texts = Array.from({ length: 100 }, (_, index) => messageOf(id, String(index)));
    await Promise.all(texts.map((message, index) => (index % 2 ? one : other).addMessages(SOLE_OWNER, id, [message])));
    const page = await one.messages(SOLE_OWNER, id, { limit: 500, fromEnd: false });
    expect(page?.items.map(({ position }) => position)).toEqual(texts.map((_, index) => index + 1));
    expect(new Set(page?.items.map(({ node }) => node.id))).toEqual(new Set(texts.map((message) => message.id)));
  });

  test('may be migrated by all of their servers at once', async () => {
    const fresh = await server.createDatabase();
    await Promise.all(Array.from({ length: 5 }, () => migrate(fresh, logger)));
    const store = storeOf(fresh);
    const { id } = await addChat(store, 'secret');
    expect(await store.password(SOLE_OWNER, id)).toBe('secret');
  });
});

describe('a password in the database', () => {
  test('is not to be read there', async () => {
    const { id } = await addChat(storeOf(), 'c4nary');
    const rows = JSON.stringify([await rowsOf('chat'), await rowsOf('secret'), await rowsOf('key')]);
    expect(rows).toContain(id);
    expect(rows).not.toContain('c4nary');
    expect(rows).not.toContain(Buffer.from('c4nary').toString('base64url').slice(0, 7));
  });

  test('is encrypted anew with the first key when servers start with it', async () => {
    const fresh = await freshDatabase([K1]);
    const old = storeOf(fresh, [K1]);
    const chats = await Promise.all(Array.from({ length: 501 }, (_, index) => addChat(old, `secret ${index}`)));
    await take(fresh, [K2, K1]);
    await take(fresh, [K2]);
    const store = storeOf(fresh, [K2]);
    for (const index of [0, 250, 500]) {
      expect(await store.password(SOLE_OWNER, chats[index]?.id as string)).toBe(`secret ${index}`);
    }
  });

  test('whose key is missing keeps servers from starting, and names the key', async () => {
    const fresh = await freshDatabase([K1]);
    await addChat(storeOf(fresh), 'secret');
    await expect(take(fresh, [K2])).rejects.toThrow('the key k1 is missing, with which 1 passwords are encrypted');
  });

  test('keeps servers from starting with another key of the same name, even when there is none yet', async () => {
    const fresh = await freshDatabase([K1]);
    const wrong = { ...K1, secret: K2.secret };
    await expect(take(fresh, [wrong])).rejects.toThrow('the key k1 does not decrypt');
    await expect(take(fresh, [K2, wrong])).rejects.toThrow('the key k1 does not decrypt');
    await take(fresh, [K1]);
  });
});

describe('a PostgresChatStore whose database is restarted', () => {
  test.each(['SIGINT', 'SIGQUIT'] as const)('says so, keeps what it has, and goes on (%s)', async (signal) => {
    const store = storeOf();
    const { id } = await addChat(store, 'secret');
    await Promise.all(Array.from({ length: 20 }, () => store.chat(SOLE_OWNER, id)));
    // Some are under way when it goes.
    const during = Array.from({ length: 50 }, () => store.chat(SOLE_OWNER, id).catch((error) => error));
    await server.suspend(signal);
    await expect(store.chat(SOLE_OWNER, id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(store.addMessages(SOLE_OWNER, id, [messageOf(id, 'lost')])).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    await expect(store.updateReplica(id, (replica) => replica)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    for (const outcome of await Promise.all(during)) {
      expect(outcome).toMatchObject(outcome instanceof Error ? { code: 'STORE_UNAVAILABLE' } : { id });
    }
    await server.resume();
    expect(await store.chat(SOLE_OWNER, id)).toMatchObject({ id });
    expect(await store.addMessages(SOLE_OWNER, id, [messageOf(id, 'kept')])).toBe(true);
    expect(await store.messages(SOLE_OWNER, id, { limit: 9, fromEnd: false })).toMatchObject({ totalCount: 1 });
  });

  test('is not said to be so because all of the connections are busy', async () => {
    const database = new Database(url, logger);
    // One more than it has connections, and for longer than a new one may take.
    const busy = Array.from({ length: 10 }, () => database.query('SELECT pg_sleep(5.5)'));
    expect((await database.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await Promise.all(busy);
    await database.close();
  });

  test('gives back the connections that broke', async () => {
    const store = storeOf();
    const { id } = await addChat(store, 'secret');
    for (let round = 0; round < 3; round += 1) {
      await server.suspend();
      const asked = Array.from({ length: 30 }, () => store.chat(SOLE_OWNER, id));
      for (const { status } of await Promise.allSettled(asked)) expect(status).toBe('rejected');
      await server.resume();
    }
    await eventually('more questions than the pool has connections', async () => {
      const asked = await Promise.all(Array.from({ length: 30 }, () => store.chat(SOLE_OWNER, id)));
      return asked.every((chat) => chat?.id === id);
    });
  });
});

function storeOf(database = url, keys: [Key, ...Key[]] = [K1]): PostgresChatStore {
  const store = new PostgresChatStore(new Database(database, logger), new Keyring(keys));
  stores.push(store);
  return store;
}

async function freshDatabase(keys: [Key, ...Key[]]): Promise<string> {
  const fresh = await server.createDatabase();
  await migrate(fresh, logger);
  await take(fresh, keys);
  return fresh;
}

async function take(database: string, keys: [Key, ...Key[]]): Promise<void> {
  const connections = new Database(database, logger);
  await takeKeyring(connections, new Keyring(keys)).finally(() => connections.close());
}

async function rowsOf(table: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query(`SELECT * FROM replichat.${table}`);
  await client.end();
  return rows;
}

async function addChat(store: PostgresChatStore, password: string): Promise<Chat> {
  const chat = newChat();
  await store.addChat(chat, password);
  return chat;
}

function messageOf(chatId: string, text: string): Message {
  return { id: newId(), chatId, role: 'USER', content: { type: 'TEXT', text }, createdAt: new Date() };
}
