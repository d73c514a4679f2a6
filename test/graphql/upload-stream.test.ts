import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { UploadStream } from '../../src/graphql/upload-stream.js';

const IDLE_MS = 100;
const LONG_MS = 5 * IDLE_MS;

function upload() {
  const source = new PassThrough();
  return { source, stream: new UploadStream(source, IDLE_MS) };
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
    await sleep(LONG_MS);
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
    await sleep(LONG_MS);
    source.end('two');
  }
  expect(read).toBe('one two');
});

test('a reader that has paused does not wait', async () => {
  const { source, stream } = upload();
  stream.once('data', () => stream.pause());
  source.write('one ');
  await once(stream, 'data');
  await sleep(LONG_MS);
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
  const begun = performance.now();
  const outcome = expect(consume(stream)).rejects.toMatchObject({ name: 'UploadAborted' });
  for (let i = 0; i < 6; i++) {
    source.write('x');
    await sleep(IDLE_MS / 2);
  }
  expect(stream.errored).toBeNull();
  await outcome;
  expect(performance.now() - begun).toBeGreaterThan(3 * IDLE_MS);
});
