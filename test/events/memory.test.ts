import { expect, test } from '@jest/globals';
import { MemoryEventBus } from '../../src/events/memory.js';
import { describeEventBus } from '../contracts/event-bus.js';

describeEventBus('MemoryEventBus', async () => new MemoryEventBus());

test('MemoryEventBus has told every listener when publish returns', async () => {
  const bus = new MemoryEventBus();
  const heard: boolean[] = [];
  bus.subscribe('removed', 'c1', ({ chatDeleted }) => void heard.push(chatDeleted));
  const published = bus.publish('removed', 'c1', { chatDeleted: true });
  expect(heard).toEqual([true]);
  await published;
});
