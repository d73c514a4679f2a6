import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import type { RestoreFailure } from '../../src/restore/issues.js';
import { type Compression, unpack } from '../../src/restore/unpack.js';
import { heldBytes, longestTurn, usedBytes } from '../support/measure.js';
import { rleFrame, storedFrame, zstdAvailable } from '../support/zstd.js';

const MiB = 1024 * 1024;
const MOST_HELD = 64 * MiB;
const NO_LIMIT = Number.POSITIVE_INFINITY;

/** Several blocks of zstd, not all alike. */
const ROWS = Buffer.from(
  Array.from({ length: 30_000 }, (_, i) => `${i}\trow ${(i * 7919) % 1000}\t${i % 17}\n`).join(''),
);
const SMALL = Buffer.from('create table t (a int);\n');

/** By the zstd command where there is one, else by hand, without compression. */
function zstd(data: Buffer, ...options: string[]): Buffer {
  if (!zstdAvailable) return storedFrame(data);
  return execFileSync('zstd', ['-c', '-q', ...options], { input: data, maxBuffer: 2 ** 30 });
}

const PACK: Record<Compression, (data: Buffer) => Buffer> = { gzip: (data) => gzipSync(data), zstd };

function pieces(data: Buffer, bytes: number): Readable {
  function* cut() {
    for (let at = 0; at < data.length; at += bytes) yield data.subarray(at, at + bytes);
  }
  return Readable.from(cut());
}

interface Options {
  maxBytes?: number;
  signal?: AbortSignal;
  pieceBytes?: number;
}

function unpacking(compression: Compression, packed: Buffer, options: Options = {}) {
  const { maxBytes = NO_LIMIT, signal = new AbortController().signal, pieceBytes = 65_536 } = options;
  return unpack(compression, pieces(packed, pieceBytes), { maxBytes, signal });
}

async function unpacked(compression: Compression, packed: Buffer, options: Options = {}): Promise<Buffer> {
  return Buffer.concat(await Readable.from(unpacking(compression, packed, options)).toArray());
}

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no failure',
    (error) => error.issue?.code ?? error,
  );
}

describe.each<Compression>(['gzip', 'zstd'])('a %s file', (compression) => {
  const pack = PACK[compression];

  test.each([1, 2, 3, 7, 1000, 65_536, 2 ** 24])('is unpacked in pieces of %i bytes', async (pieceBytes) => {
    const data = pieceBytes < 1000 ? ROWS.subarray(0, 200_000) : ROWS;
    const result = await unpacked(compression, pack(data), { pieceBytes });
    expect(result.equals(data)).toBe(true);
  });

  test('of nothing is nothing', async () => {
    expect(await unpacked(compression, pack(Buffer.alloc(0)))).toHaveLength(0);
  });

  test.each([1, 5, 65_536])('of several parts is all of them, in pieces of %i bytes', async (pieceBytes) => {
    const parts = [SMALL, Buffer.alloc(0), ROWS.subarray(0, 50_000), SMALL];
    const packed = Buffer.concat(parts.map((part) => pack(part)));
    expect((await unpacked(compression, packed, { pieceBytes })).equals(Buffer.concat(parts))).toBe(true);
  });

  test('that is cut off anywhere is CUT_OFF', async () => {
    const packed = pack(ROWS.subarray(0, 300_000));
    const places = [
      1,
      2,
      3,
      5,
      9,
      17,
      100,
      packed.length >> 1,
      packed.length - 9,
      packed.length - 4,
      packed.length - 1,
    ];
    for (const place of places) {
      expect([place, await codeOf(unpacked(compression, packed.subarray(0, place)))]).toEqual([place, 'CUT_OFF']);
    }
    const second = Buffer.concat([pack(SMALL), packed.subarray(0, packed.length >> 1)]);
    expect(await codeOf(unpacked(compression, second))).toBe('CUT_OFF');
  });

  test('that is corrupt anywhere is never taken for whole', async () => {
    const packed = pack(ROWS.subarray(0, 300_000));
    for (let place = 0; place < packed.length; place += Math.ceil(packed.length / 60)) {
      const corrupt = Buffer.from(packed);
      corrupt[place] = (corrupt[place] as number) ^ 0x55;
      const result = await unpacked(compression, corrupt).catch((error) => error);
      if (Buffer.isBuffer(result)) expect([place, result.equals(ROWS.subarray(0, 300_000))]).toEqual([place, true]);
      else expect([place, ['UNSUPPORTED_DUMP', 'CUT_OFF'].includes(result.issue?.code)]).toEqual([place, true]);
    }
  });

  test('with a wrong checksum is corrupt, also at the very end', async () => {
    const packed = pack(SMALL);
    const at = compression === 'gzip' ? packed.length - 8 : packed.length - 1;
    packed[at] = (packed[at] as number) ^ 1;
    const failure = await unpacked(compression, packed).catch((error) => error);
    expect(failure.issue).toMatchObject({
      code: 'UNSUPPORTED_DUMP',
      message: expect.stringMatching(/cannot be unpacked/),
    });
    expect(failure.issue.hint).toContain(`${compression} --test FILE`);
  });

  test.each([1, 65_536])('with something after its end is corrupt, in pieces of %i bytes', async (pieceBytes) => {
    const packed = Buffer.concat([pack(SMALL), Buffer.from('and more of it')]);
    expect(await codeOf(unpacked(compression, packed, { pieceBytes }))).toBe('UNSUPPORTED_DUMP');
  });

  test('is stopped at the limit of its size', async () => {
    const failure = await unpacked(compression, pack(ROWS), { maxBytes: 100_000 }).catch((error) => error);
    expect(failure.issue).toEqual({
      code: 'PAYLOAD_TOO_LARGE',
      message: 'the dump is larger than 100000 bytes when it is unpacked',
      hint: 'Raise MAX_UNPACKED_BYTES.',
    });
  });

  test('that is a bomb is stopped, without its weight in memory or a blocked event loop', async () => {
    const bomb = compression === 'gzip' ? gzipSync(Buffer.alloc(512 * MiB)) : rleFrame(4096);
    const before = heldBytes();
    let [bytes, most] = [0, 0];
    let failure: unknown;
    const ms = await longestTurn(async () => {
      try {
        for await (const chunk of unpacking(compression, bomb)) {
          bytes += chunk.length;
          // What is beyond the limit may be garbage.
          if (usedBytes() - before >= MOST_HELD) most = Math.max(most, heldBytes() - before);
        }
      } catch (error) {
        failure = error;
      }
    });
    expect((failure as RestoreFailure).issue).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringMatching(/200 times/),
    });
    expect(bytes).toBeLessThanOrEqual(140 * MiB);
    expect(most).toBeLessThan(MOST_HELD);
    expect(ms).toBeLessThan(50);
  });

  test('that is highly compressible leaves the event loop alone', async () => {
    // Just below the ratio: incompressible bytes, and then a lot of zeros.
    const noise = randomBytes(2 * MiB);
    const data = Buffer.concat([noise, Buffer.alloc(200 * MiB)]);
    const packed = compression === 'gzip' ? gzipSync(data) : Buffer.concat([storedFrame(noise), rleFrame(1600)]);
    let bytes = 0;
    const ms = await longestTurn(async () => {
      for await (const chunk of unpacking(compression, packed)) bytes += chunk.length;
    });
    expect(bytes).toBe(data.length);
    expect(ms).toBeLessThan(50);
  });

  test('waits for whoever reads it, and asks for no more than it needs', async () => {
    let asked = 0;
    const packed = pack(ROWS);
    async function* source() {
      for (let at = 0; at < packed.length; at += 1000) {
        asked += 1;
        yield packed.subarray(at, at + 1000);
      }
      throw new Error('the client has gone');
    }
    const options = { maxBytes: NO_LIMIT, signal: new AbortController().signal };
    const reading = unpack(compression, source(), options);
    await reading.next();
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(asked).toBe(before);
    await reading.return();
    // What broke the source is told as it is.
    await expect(Readable.from(unpack(compression, source(), options)).toArray()).rejects.toThrow(
      'the client has gone',
    );
  });

  test('can be left in the middle', async () => {
    const reading = unpacking(compression, pack(ROWS));
    await reading.next();
    await reading.return();
    expect(await reading.next()).toEqual({ done: true, value: undefined });
    expect(process.getActiveResourcesInfo()).not.toContain('MessagePort');
  });
});

describe('a zstd file', () => {
  test('ends with its signal', async () => {
    const controller = new AbortController();
    const reading = unpacking('zstd', rleFrame(4096), { signal: controller.signal });
    await reading.next();
    controller.abort(new Error('no more'));
    const rest = async () => {
      for await (const _chunk of reading);
    };
    await expect(rest()).rejects.toThrow('no more');
    expect(process.getActiveResourcesInfo()).not.toContain('MessagePort');
  });

  test('may have frames to be skipped', async () => {
    const skipped = Buffer.concat([
      Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 0xe0, 0x93, 4, 0]),
      Buffer.alloc(300_000, 'x'),
    ]);
    const packed = Buffer.concat([skipped, storedFrame(SMALL), skipped]);
    expect((await unpacked('zstd', packed)).toString()).toBe(SMALL.toString());
    expect(await codeOf(unpacked('zstd', packed.subarray(0, -1)))).toBe('CUT_OFF');
  });

  test.each([
    ['that needs too large a window', [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90], /window of 256 MiB/],
    ['that needs a dictionary', [0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07], /dictionary/],
    ['of a coming version', [0x28, 0xb5, 0x2f, 0xfd, 0x08, 0x58], /version/],
    ['with an impossible block', [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0xff, 0xff, 0xff], /header/],
  ])('%s says so', async (_what, start, message) => {
    const packed = Buffer.concat([Buffer.from(start), Buffer.alloc(100)]);
    await expect(unpacked('zstd', packed)).rejects.toMatchObject({ issue: { code: 'UNSUPPORTED_DUMP' }, message });
  });

  const withZstd = zstdAvailable ? test : test.skip;
  withZstd.each([
    ['-1'],
    ['-19'],
    ['--ultra', '-22', '--long=27'],
    ['--no-check'],
    ['--fast=5'],
    ['--no-content-size'],
  ])('made by zstd %s', async (...options) => {
    expect((await unpacked('zstd', zstd(ROWS, ...options.filter(Boolean)))).equals(ROWS)).toBe(true);
  });
});

describe('a gzip file', () => {
  test('may be filled up with zeros, as on a tape', async () => {
    const packed = Buffer.concat([gzipSync(SMALL), Buffer.alloc(1000)]);
    for (const pieceBytes of [1, 65_536]) {
      expect((await unpacked('gzip', packed, { pieceBytes })).equals(SMALL)).toBe(true);
    }
    const notQuite = Buffer.concat([packed, Buffer.from('x')]);
    for (const pieceBytes of [1, 65_536]) {
      expect(await codeOf(unpacked('gzip', notQuite, { pieceBytes }))).toBe('UNSUPPORTED_DUMP');
    }
  });
});
