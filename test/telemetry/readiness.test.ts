import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { ReadinessCheck } from '../../src/telemetry/readiness.js';
import { startApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const logger = pino({ level: 'silent' });
const well = async () => {};
const ill = async () => {
  throw new Error('postgres://me:c4nary@db is away');
};

describe('the check of what the server needs', () => {
  test('says of each part whether it is there, and no more', async () => {
    expect(await new ReadinessCheck({ store: well, engine: well }, logger).check()).toEqual({
      ready: true,
      parts: { store: 'ok', engine: 'ok' },
    });
    expect(await new ReadinessCheck({ store: ill, engine: well }, logger).check()).toEqual({
      ready: false,
      parts: { store: 'unavailable', engine: 'ok' },
    });
  });

  test('does not wait for ever', async () => {
    const check = new ReadinessCheck({ store: well, engine: () => new Promise(() => {}) }, logger, 50);
    expect(await check.check()).toMatchObject({ ready: false, parts: { engine: 'unavailable' } });
  });

  test('does not ask the parts again for everybody who asks', async () => {
    let asked = 0;
    const store = async () => {
      asked += 1;
    };
    const check = new ReadinessCheck({ store }, logger);
    await Promise.all(Array.from({ length: 100 }, () => check.check()));
    expect(asked).toBe(1);
  });
});

test('/readyz is 503 while the database is away, and names the part', async () => {
  const database = await TestDatabase.start();
  const url = await database.createDatabase();
  const env = { DATABASE_URL: url, CREDENTIALS_KEYS: KEYS, REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };
  const { app, port } = await startApp(env);
  // Each part has seconds to answer, which a busy machine may need all of.
  const becomes = async (...answer: [number, object]) => {
    let last = '';
    const readyz = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`);
      last = JSON.stringify([response.status, await response.json()]);
      return last === JSON.stringify(answer);
    };
    await eventually(`/readyz is ${answer[0]}`, readyz, undefined, () => last);
  };
  try {
    await becomes(200, { status: 'ok', store: 'ok', engine: 'ok' });
    await database.suspend();
    await becomes(503, { status: 'unavailable', store: 'unavailable', engine: 'ok' });
    await database.resume();
    await becomes(200, { status: 'ok', store: 'ok', engine: 'ok' });
  } finally {
    await app.close();
    await database.remove();
  }
});
