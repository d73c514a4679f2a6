import { describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { MemoryEventBus } from '../../src/events/memory.js';
import { Lease } from '../../src/services/lease.js';
import { Places } from '../../src/services/places.js';
import { MemoryChatStore } from '../../src/stores/memory.js';
import { MemoryRegistry } from '../../src/stores/memory-registry.js';

/** What the other servers see. */
class Claims extends MemoryRegistry {
  readonly chats = new Set<string>();

  override async claim(chatId?: string): Promise<boolean> {
    this.chats.add(chatId as string);
    return true;
  }

  override async release(chatId?: string): Promise<void> {
    this.chats.delete(chatId as string);
  }
}

describe('a chat that another server has left', () => {
  const claims = new Claims();
  const handlers = { inherited: async () => {}, lost: async () => {} };
  const lease = new Lease(claims, handlers, pino({ level: 'silent' }));
  const places = new Places(new MemoryChatStore(), new MemoryEventBus(), lease);

  test('is settled before anything new begins there, which keeps its claim', async () => {
    await lease.claim('chat');
    let finish = () => {};
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const order: string[] = [];
    const settling = places.settle('chat', () => work.then(() => void order.push('settled')));
    const reserving = places.reserve('chat', () => () => {}).finally(() => order.push('reserved'));
    setImmediate(finish);
    await settling;
    const job = await reserving;
    expect(order).toEqual(['settled', 'reserved']);
    expect([...claims.chats]).toEqual(['chat']);

    // Who is busy with it has found it free.
    await places.settle('chat', async () => void order.push('settled again'));
    expect(order).toHaveLength(2);
    expect([...claims.chats]).toEqual(['chat']);
    await places.leave('chat', job);
    expect([...claims.chats]).toEqual([]);
  });
});
