import { afterEach, expect, jest, test } from '@jest/globals';
import { ReplicaService } from '../src/services/replicas.js';
import { startApp } from './support/app.js';

afterEach(() => void jest.restoreAllMocks());

test('a shutdown ends the replicas once, while those who watch them can still be told', async () => {
  const { close } = ReplicaService.prototype;
  const { app } = await startApp({ REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' });
  const couldBeTold: boolean[] = [];
  jest.spyOn(ReplicaService.prototype, 'close').mockImplementation(async function (this: ReplicaService) {
    couldBeTold.push(app.httpServer.listening);
    await close.call(this);
  });
  await Promise.all([app.close(), app.close()]);
  expect(couldBeTold).toEqual([true]);
});
