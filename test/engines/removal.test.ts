import { expect, test } from '@jest/globals';
import type Dockerode from 'dockerode';
import { removeContainer } from '../../src/engines/docker-server.js';

/** What a busy Engine needs for a container that somebody else has asked it to remove. */
const REMOVAL_MS = 7_000;

test('a container that somebody else is removing is waited for', async () => {
  const goneAt = performance.now() + REMOVAL_MS;
  const container = {
    remove: async () => {
      const statusCode = performance.now() < goneAt ? 409 : 404;
      throw Object.assign(new Error('removal of container is already in progress'), { statusCode });
    },
  };
  await removeContainer(container as unknown as Dockerode.Container);
  expect(performance.now()).toBeGreaterThan(goneAt);
});
