import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { Fleet } from '../../src/engines/fleet.js';
import { announcePresence } from '../../src/engines/presence.js';
import type { ReplicaServer } from '../../src/ports.js';

test('an instance that could not announce itself tries again the next time', async () => {
  const instance = newId();
  const fleet = new Fleet<ReplicaServer>(instance, pino({ level: 'silent' }));
  const run = () => fleet.run(new AbortController().signal, async () => 'done');
  const namesake = await announcePresence(instance);
  await expect(run()).rejects.toThrow(/runs already/);
  await namesake.close();
  expect(await run()).toBe('done');
  await fleet.close();
});

test('an instance that could not announce itself can be closed', async () => {
  const instance = newId();
  const fleet = new Fleet<ReplicaServer>(instance, pino({ level: 'silent' }));
  const namesake = await announcePresence(instance);
  await expect(fleet.run(new AbortController().signal, async () => {})).rejects.toThrow(/runs already/);
  await fleet.close();
  await namesake.close();
});
