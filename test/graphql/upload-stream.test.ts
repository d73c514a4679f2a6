import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Pace, UploadStream } from '../../src/graphql/upload-stream.js';

const IDLE_MS = 100;
const LONG_MS = 5 * IDLE_MS;

// The clock is the test's: on a busy machine a pause of 50 ms may take 100.
beforeAll(() => void jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] }));
afterAll(() => void jest.useRealTimers());

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

function upload(pace: Partial<Pace> = {}) {
  const source = new PassThrough();
  return { source, stream: new UploadStream(source, { idleMs: IDLE_MS, minBytes: 1, ...pace }) };
}

test('an upload that is complete is not given up, however busy its reader is', async () => {
  const { source, stream } = upload();
  source.write('one ');
  let read = '';
  for await (const chunk of stream) {
    read += chunk;
    if (source.writableEnded) continue;
    source.write('two ');
    source.end('three');
    await pass(LONG_MS);
  }
  expect(read).toBe('one two three');
});

test('a reader that is busy does not wait', async () => {
  const { source, stream } = upload();
  source.write('one ');
  let read = '';
  for await (const chunk of stream) {
    read += chunk;
    if (source.writableEnded) continue;
    await pass(LONG_MS);
    source.end('two');
  }
  expect(read).toBe('one two');
});

test('a reader that has paused does not wait', async () => {
  const { source, stream } = upload();
  stream.once('data', () => stream.pause());
  source.write('one ');
  await once(stream, 'data');
  await pass(LONG_MS);
  expect(stream.errored).toBeNull();
  const rest = buffer(stream);
  source.end('two');
  expect(String(await rest)).toBe('two');
});

test.each<[string, (stream: UploadStream) => Promise<unknown>]>([
  ['iterates', (stream) => buffer(stream)],
  ['listens', (stream) => once(stream.resume(), 'end')],
  ['pipes', (stream) => once(stream.pipe(new PassThrough()).resume() && stream, 'end')],
])('a reader that %s waits for so long, from the last byte on', async (_how, consume) => {
  const { source, stream } = upload();
  const outcome = expect(consume(stream)).rejects.toMatchObject({ name: 'UploadAborted' });
  for (let i = 0; i < 6; i++) {
    source.write('x');
    await pass(IDLE_MS / 2);
  }
  await pass(IDLE_MS / 2 - 1);
  expect(stream.errored).toBeNull();
  await pass(1);
  await outcome;
});

describe('an upload of which a few bytes arrive now and then', () => {
  /** 100 bytes every 50 ms for 1.5 s: 2000 per second. */
  async function dribble(minBytes: number): Promise<string> {
    const { source, stream } = upload({ idleMs: 1_000, minBytes });
    const read = buffer(stream).then(String, (error: Error) => error.message);
    for (let n = 0; n < 30 && !stream.destroyed; n++) {
      source.write('x'.repeat(100));
      await pass(50);
    }
    source.end();
    return read;
  }

  test('is given up when they are fewer than there have to be', async () => {
    expect(await dribble(50_000)).toBe(
      'The upload was given up: less than 50000 bytes per second arrived (MIN_UPLOAD_RATE).',
    );
  });

  test('goes on when they are as many as there have to be', async () => {
    expect(await dribble(10)).toHaveLength(3_000);
  });
});
