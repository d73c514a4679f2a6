import { expect, test } from '@jest/globals';
import { MemoryEventBus } from '../../src/events/memory.js';
import { describeEventBus } from '../contracts/event-bus.js';

describeEventBus('MemoryEventBus', async () => {
  const bus = new MemoryEventBus();
  return { bus, publishing: bus };
});

test('MemoryEventBus tells nobody of what was published before', async () => {
  const bus = new MemoryEventBus();
  const heard: boolean[] = [];
  await bus.publish('removed', 'c1', { chatDeleted: false });
  bus.subscribe('removed', 'c1', ({ chatDeleted }) => void heard.push(chatDeleted));
  await bus.publish('removed', 'c1', { chatDeleted: true });
  expect(heard).toEqual([true]);
});

test('MemoryEventBus has told every listener when publish returns', async () => {
  const bus = new MemoryEventBus();
  const heard: boolean[] = [];
  bus.subscribe('removed', 'c1', ({ chatDeleted }) => void heard.push(chatDeleted));
  const published = bus.publish('removed', 'c1', { chatDeleted: true });
  expect(heard).toEqual([true]);
  await published;
});
