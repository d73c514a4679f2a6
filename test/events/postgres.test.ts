import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { newId } from '../../src/domain/ids.js';
import type { Message } from '../../src/domain/message.js';
import { PostgresEventBus } from '../../src/events/postgres.js';
import { describeEventBus } from '../contracts/event-bus.js';
import { TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const logger = pino({ level: 'silent' });
let server: TestDatabase;
let url: string;
let database: Database;
const opened: PostgresEventBus[] = [];

beforeAll(async () => {
  server = await TestDatabase.start();
  url = await server.createDatabase();
  await migrate(url, logger);
  database = new Database(url, logger);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((bus) => bus.close()));
});
afterAll(async () => {
  await database?.close();
  await server?.remove();
});

async function openBus(): Promise<PostgresEventBus> {
  const bus = await PostgresEventBus.open(url, database, logger);
  opened.push(bus);
  return bus;
}

describeEventBus('PostgresEventBus', async () => {
  const bus = await openBus();
  return { bus, publishing: bus };
});

describeEventBus('PostgresEventBus of another server', async () => ({
  bus: await openBus(),
  publishing: await openBus(),
}));

describe('PostgresEventBus', () => {
  test('tells two servers in the same order what both of them publish at once', async () => {
    const buses = [await openBus(), await openBus()];
    const chatId = newId();
    const heard = buses.map((bus) => {
      const texts: string[] = [];
      bus.subscribe(
        'message',
        chatId,
        ({ content }) => void (content.type === 'TEXT' && texts.push(content.text.trim())),
      );
      return texts;
    });
    const publish = (bus: PostgresEventBus, name: string, index: number) =>
      // Every seventh is too large for a notification.
      bus.publish('message', chatId, messageOf(chatId, name + index + ' '.repeat(index % 7 ? 0 : 10_000)));
    await Promise.all(
      buses.flatMap((bus, number) =>
        Array.from({ length: 50 }, (_, index) => publish(bus, 'ab'[number] as string, index)),
      ),
    );
    await eventually('all of them', async () => heard.every((texts) => texts.length === 100));
    expect(heard[1]).toEqual(heard[0]);
    for (const name of ['a', 'b']) {
      const own = heard[0]?.filter((text) => text.startsWith(name));
      expect(own).toEqual(Array.from({ length: 50 }, (_, index) => name + index));
    }
  });

  test.each(['SIGINT', 'SIGQUIT'] as const)(
    'listens again after the database was restarted (%s), says so, and tells what had to wait',
    async (signal) => {
      const [publishing, bus] = [await openBus(), await openBus()];
      const chatId = newId();
      const heard: string[] = [];
      let missed = 0;
      bus.subscribe('message', chatId, ({ content }) => void (content.type === 'TEXT' && heard.push(content.text)));
      bus.onMissed(() => {
        missed += 1;
      });
      bus.onMissed(() => {
        throw new Error('has ended its listening');
      })();
      await publishing.publish('message', chatId, messageOf(chatId, 'before'));
      await eventually('the first event', async () => heard.length === 1);
      await server.suspend(signal);
      await publishing.publish('message', chatId, messageOf(chatId, 'meanwhile'));
      expect(missed).toBe(0);
      await server.resume();
      await eventually('listening again', async () => missed > 0);
      await publishing.publish('message', chatId, messageOf(chatId, 'after'));
      await eventually('the last event', async () => heard.at(-1) === 'after');
      // What waited is told as soon as the one is back, and missed when the other is not yet: that is what `missed` is for.
      expect(heard.filter((text) => text !== 'meanwhile')).toEqual(['before', 'after']);
    },
  );

  test('notices a connection that was ended under it', async () => {
    const bus = await openBus();
    const chatId = newId();
    let missed = false;
    let heard = false;
    bus.onMissed(() => {
      missed = true;
    });
    bus.subscribe('removed', chatId, () => {
      heard = true;
    });
    await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN replichat'");
    await eventually('listening again', async () => missed);
    await bus.publish('removed', chatId, { chatDeleted: true });
    await eventually('the event', async () => heard);
  });

  test('keeps large events for a minute only', async () => {
    const bus = await openBus();
    const chatId = newId();
    const large = () => bus.publish('message', chatId, messageOf(chatId, 'x'.repeat(10_000)));
    await large();
    await database.query("UPDATE replichat.event SET at = at - interval '61 s'");
    await large();
    const { rows } = await database.query('SELECT count(*) FROM replichat.event');
    expect(rows).toEqual([{ count: 1 }]);
  });
});

function messageOf(chatId: string, text: string): Message {
  return { id: newId(), chatId, role: 'USER', content: { type: 'TEXT', text }, createdAt: new Date() };
}
