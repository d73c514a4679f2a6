import { expect, test } from '@jest/globals';
import { FrameReader, textOf } from '../../src/engines/docker-frames.js';

function frame(stream: 1 | 2, text: string): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(stream, 0);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

const sent = Buffer.concat([frame(1, 'one'), frame(2, 'oops'), frame(1, ''), frame(1, 'two and three')]);

test.each([1, 2, 3, 5, 7, 8, 9, 11, 12, 1000])('frames cut into pieces of %i bytes come out whole', (size) => {
  const reader = new FrameReader();
  const received = { stdout: '', stderr: '' };
  for (let start = 0; start < sent.length; start += size) {
    for (const { stream, payload } of reader.read(sent.subarray(start, start + size))) received[stream] += payload;
  }
  expect(received).toEqual({ stdout: 'onetwo and three', stderr: 'oops' });
});

test('a whole answer is its text', () => {
  expect(textOf(sent)).toBe('oneoopstwo and three');
});

test('a stream that is not multiplexed is refused', () => {
  expect(() => [...new FrameReader().read(Buffer.from('plain text'))]).toThrow(/not multiplexed/);
});
