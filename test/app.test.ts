import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ReplicaService } from '../src/services/replicas.js';
import { type Status, startApp } from './support/app.js';
import { KEYS, TestDatabase } from './support/database.js';
import { eventually } from './support/eventually.js';

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

describe.each([false, true])('with a database: %s', (isDurable) => {
  let database: TestDatabase | undefined;
  const env: Record<string, string> = { REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };
  beforeAll(async () => {
    if (!isDurable) return;
    database = await TestDatabase.start();
    Object.assign(env, { DATABASE_URL: await database.createDatabase(), CREDENTIALS_KEYS: KEYS });
  });
  afterAll(() => database?.remove());

  test('a shutdown tells those who watch a replication that it is INTERRUPTED, before it closes their sockets', async () => {
    const { app, ...client } = await startApp(env);
    const chatId = await client.createChat();
    const upload = client.openUpload(chatId);
    upload.write('select 1;\n'.padEnd(2000, '\n'));
    expect((await upload.answer).errors).toBeUndefined();
    const heard: Status[][] = [[], [], []];
    const watching = heard.map((statuses) => client.watch(chatId, 0, (status) => void statuses.push(status)));
    await eventually('they are told', async () => heard.every((statuses) => statuses.length > 0));
    const closing = app.close();
    await Promise.allSettled(watching);
    upload.disconnect();
    await closing;
    for (const statuses of heard) {
      expect(statuses.at(-1)).toMatchObject({ state: 'FAILED', error: { code: 'INTERRUPTED' } });
    }
  });
});
