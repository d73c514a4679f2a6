import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { newId } from '../../src/domain/ids.js';
import type { Message } from '../../src/domain/message.js';
import { queued, type ReplicationStatus } from '../../src/domain/replica.js';
import type { EventBus } from '../../src/ports.js';
import { eventually } from '../support/eventually.js';

const NOW = new Date('2024-05-01T12:34:56.789Z');
const LARGE = 100_000;

/** Those that are published to are `publishing`, those that are listened to `bus`: in one process the same. */
export interface Buses {
  readonly bus: ClosableEventBus;
  readonly publishing: ClosableEventBus;
}

/** Whoever has opened an adapter closes it. */
type ClosableEventBus = EventBus & { close(): Promise<void> };

/** What every EventBus does. Each test closes the buses that it was given. */
export function describeEventBus(name: string, create: () => Promise<Buses>): void {
  describe(`${name} tells its listeners:`, () => {
    let bus: ClosableEventBus;
    let publishing: ClosableEventBus;
    let chatId: string;

    beforeEach(async () => {
      ({ bus, publishing } = await create());
      chatId = newId();
    });

    afterEach(async () => {
      await publishing.close();
      await bus.close();
    });

    /** The sequence numbers that have been heard, and how to end the listening. */
    function listen(id = chatId) {
      const heard: number[] = [];
      const end = bus.subscribe('replication', id, (status) => void heard.push(status.sequence));
      return { heard, end };
    }

    function publish(sequence: number, id = chatId): Promise<void> {
      return publishing.publish('replication', id, statusOf(id, sequence));
    }

    test('each event, in the order of publishing', async () => {
      const { heard } = listen();
      const sequences = Array.from({ length: 200 }, (_, index) => index + 1);
      await Promise.all(sequences.map((sequence) => publish(sequence)));
      await heardSoon(heard, ...sequences);
    });

    test('what is published right after listening began', async () => {
      await publish(1);
      const { heard } = listen();
      await publish(2);
      await eventually('the event', async () => heard.includes(2));
      // Between servers, the first may still have been on its way.
      expect(heard.filter((sequence) => sequence !== 1)).toEqual([2]);
    });

    test('all of an event', async () => {
      const heard: unknown[] = [];
      const status: ReplicationStatus = {
        ...statusOf(chatId, 3),
        warnings: [{ code: 'OWNERSHIP_SKIPPED', message: 'it\'s "fine"\\ \n🙂', line: 3 }],
        acceptedAt: NOW,
      };
      bus.subscribe('replication', chatId, (event) => void heard.push(event));
      bus.subscribe('message', chatId, (event) => void heard.push(event));
      bus.subscribe('removed', chatId, (event) => void heard.push(event));
      const events = [status, messageOf(chatId, 'Hello'), { chatDeleted: true }] as const;
      await publishing.publish('replication', chatId, events[0]);
      await publishing.publish('message', chatId, events[1]);
      await publishing.publish('removed', chatId, events[2]);
      await eventually('three events', async () => heard.length === 3);
      expect(heard).toEqual(events);
    });

    test(`an event of ${LARGE} characters`, async () => {
      const heard: Message[] = [];
      bus.subscribe('message', chatId, (message) => void heard.push(message));
      const message = messageOf(chatId, 'é'.repeat(LARGE));
      await publishing.publish('message', chatId, message);
      await eventually('the event', async () => heard.length === 1);
      expect(heard).toEqual([message]);
    });

    test('only those of the chat', async () => {
      const [mine, other] = [listen(), listen(newId())];
      await publish(1, newId());
      await publish(2);
      await heardSoon(mine.heard, 2);
      expect(other.heard).toEqual([]);
    });

    test('only those of the kind', async () => {
      const { heard } = listen();
      const removals: unknown[] = [];
      bus.subscribe('removed', chatId, (event) => void removals.push(event));
      await publishing.publish('message', chatId, messageOf(chatId, 'Hello'));
      await publishing.publish('removed', chatId, { chatDeleted: false });
      await publish(1);
      await heardSoon(heard, 1);
      expect(removals).toEqual([{ chatDeleted: false }]);
    });

    test('every one of them', async () => {
      const listeners = [listen(), listen(), listen()];
      await publish(1);
      for (const { heard } of listeners) await heardSoon(heard, 1);
    });

    test('until its listening ends', async () => {
      const [ended, other] = [listen(), listen()];
      await publish(1);
      await heardSoon(ended.heard, 1);
      ended.end();
      await publish(2);
      await heardSoon(other.heard, 1, 2);
      expect(ended.heard).toEqual([1]);
    });

    test('again after it has ended and begun anew', async () => {
      listen().end();
      const { heard } = listen();
      await publish(1);
      await heardSoon(heard, 1);
    });

    test('as often as the same function listens', async () => {
      const heard: number[] = [];
      const listener = (status: ReplicationStatus) => void heard.push(status.sequence);
      const endOne = bus.subscribe('replication', chatId, listener);
      bus.subscribe('replication', chatId, listener);
      await publish(1);
      await heardSoon(heard, 1, 1);
      endOne();
      endOne();
      await publish(2);
      await heardSoon(heard, 1, 1, 2);
    });

    test('also when one of them ends its listening on hearing', async () => {
      const [before, after] = [listen(), { heard: [] as number[] }];
      const end = bus.subscribe('replication', chatId, () => end());
      bus.subscribe('replication', chatId, (status) => void after.heard.push(status.sequence));
      await publish(1);
      await publish(2);
      await heardSoon(before.heard, 1, 2);
      await heardSoon(after.heard, 1, 2);
    });

    test('nothing after it is closed', async () => {
      const { heard, end } = listen();
      await bus.close();
      // A closed bus may refuse: what counts is that nobody hears.
      await publish(1).catch(() => {});
      end();
      expect(heard).toEqual([]);
    });

    test('nothing that fails when nobody listens', async () => {
      await expect(publish(1)).resolves.toBeUndefined();
    });
  });
}

async function heardSoon(heard: number[], ...expected: number[]): Promise<void> {
  await eventually(`${expected.length} events`, async () => heard.length >= expected.length);
  expect(heard).toEqual(expected);
}

function statusOf(chatId: string, sequence: number): ReplicationStatus {
  return { ...queued(chatId, 0, NOW), sequence };
}

function messageOf(chatId: string, text: string): Message {
  return { id: newId(), chatId, role: 'USER', content: { type: 'TEXT', text }, createdAt: NOW };
}
