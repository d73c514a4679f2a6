import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { newId } from '../../src/domain/ids.js';
import { next, queued, type Replica } from '../../src/domain/replica.js';
import { Keyring } from '../../src/stores/keyring.js';
import { PostgresChatStore } from '../../src/stores/postgres.js';
import { PostgresRegistry } from '../../src/stores/postgres-registry.js';
import { newChat } from '../support/chats.js';
import { TestDatabase } from '../support/database.js';

let server: TestDatabase;
let database: Database;
let store: PostgresChatStore;
let one: PostgresRegistry;
let other: PostgresRegistry;

beforeAll(async () => {
  server = await TestDatabase.start();
  const url = await server.createDatabase();
  const logger = pino({ level: 'silent' });
  await migrate(url, logger);
  database = new Database(url, logger);
  store = new PostgresChatStore(database, new Keyring([{ id: 'k', secret: Buffer.alloc(32) }]));
});
beforeEach(async () => {
  await database.query('TRUNCATE replichat.owner, replichat.chat, replichat.instance, replichat.claim CASCADE');
  [one, other] = [new PostgresRegistry(database, 'one'), new PostgresRegistry(database, 'other')];
  await one.renew([]);
  await other.renew([]);
});
afterAll(async () => {
  await store?.close();
  await server?.remove();
});

describe('PostgresRegistry', () => {
  test('gives a chat to one server at a time', async () => {
    const chatId = await addChat();
    const claims = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 ? one : other).claim(chatId)));
    expect(new Set(claims)).toEqual(new Set([true, false]));
    const [winner, loser] = claims[1] ? [one, other] : [other, one];
    await loser.release(chatId);
    expect(await loser.claim(chatId)).toBe(false);
    await winner.release(chatId);
    expect(await loser.claim(chatId)).toBe(true);
    expect(await one.claim('unknown')).toBe(false);
  });

  test('gives free what a server does not hold any more, and nothing of others', async () => {
    const [held, forgotten, others] = [await addChat(), await addChat(), await addChat()];
    for (const chatId of [held, forgotten]) await one.claim(chatId);
    await other.claim(others);
    expect(await one.renew([held])).toBe(true);
    expect([await other.claim(held), await other.claim(forgotten), await one.claim(others)]).toEqual([
      false,
      true,
      false,
    ]);
  });

  test('leaves to the living what they have', async () => {
    const chatId = await addChat(replicaOf('RESTORING'));
    await addChat(replicaOf('READY', 'other'));
    await other.claim(chatId);
    expect(await one.takeOver()).toEqual([]);
    await database.query("UPDATE replichat.instance SET seen_at = now() - interval '5 s'");
    expect(await one.takeOver()).toEqual([]);
    expect(await other.renew([chatId])).toBe(true);
  });

  test('hands on what a server had that is gone, once, and tells it so', async () => {
    const third = new PostgresRegistry(database, 'third');
    await third.renew([]);
    const making = await addChat(replicaOf('RESTORING', 'third'));
    const ready = await addChat(replicaOf('READY', 'other'));
    const failedWithEarlier = await addChat(replicaOf('FAILED', 'other'));
    const [ended, empty] = [await addChat(replicaOf('FAILED')), await addChat()];
    for (const chatId of [making, ended, empty]) await other.claim(chatId);
    await goneForAWhile('other');
    const taken = (await Promise.all([one.takeOver(), third.takeOver()])).flat();
    const byChat = (a: { chatId: string }, b: { chatId: string }) => a.chatId.localeCompare(b.chatId);
    expect(taken.sort(byChat)).toEqual(
      [
        { chatId: making, isServerLeft: false },
        { chatId: ready, isServerLeft: true },
        { chatId: failedWithEarlier, isServerLeft: true },
      ].sort(byChat),
    );
    expect([await one.claim(ended), await third.claim(empty)]).toEqual([true, true]);
    expect(await other.renew([making])).toBe(false);
    expect(await other.claim(making)).toBe(false);
    expect(await other.renew([])).toBe(true);
  });

  test('hands on what nobody has claimed, and what a server left that has closed', async () => {
    const [unclaimed, left] = [await addChat(replicaOf('QUEUED')), await addChat(replicaOf('READY', 'other'))];
    expect(await one.takeOver()).toEqual([{ chatId: unclaimed, isServerLeft: true }]);
    await other.close();
    expect(await one.takeOver()).toEqual([{ chatId: left, isServerLeft: true }]);
  });
});

async function goneForAWhile(instance: string): Promise<void> {
  await database.query("UPDATE replichat.instance SET seen_at = now() - interval '7 s' WHERE id = $1", [instance]);
}

async function addChat(replica?: Replica): Promise<string> {
  const chat = newChat(replica && { id: replica.chatId });
  await store.addChat(chat, 'secret');
  if (replica) await store.saveReplica(replica);
  return chat.id;
}

function replicaOf(state: Replica['status']['state'], instance?: string): Replica {
  const [chatId, now] = [newId(), new Date()];
  const status = { ...next(queued(chatId, 0, now), { type: 'starting' }, now), state };
  const server = instance === undefined ? null : { id: 'a-server', instance };
  const times = { createdAt: now, lastUsedAt: now, expiresAt: null };
  return { chatId, status, engine: 'docker', server, serverVersion: null, sizeBytes: null, ...times };
}
