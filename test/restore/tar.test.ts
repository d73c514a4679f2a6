import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { wholeTar } from '../../src/restore/tar.js';

describe('a tar archive', () => {
  const folder = mkdtempSync(join(tmpdir(), 'replichat-test-tar-'));
  let archive: Buffer;

  beforeAll(() => {
    writeFileSync(join(folder, 'toc.dat'), 'x'.repeat(1000));
    writeFileSync(join(folder, 'empty'), '');
    writeFileSync(join(folder, 'block'), 'x'.repeat(512));
    // PostgreSQL writes ustar.
    archive = execFileSync('tar', ['-C', folder, '--format=ustar', '-c', 'toc.dat', 'empty', 'block']);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function through(bytes: Buffer, pieceBytes: number): Promise<Buffer> {
    function* pieces() {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    }
    return Buffer.concat(await Readable.from(wholeTar(Readable.from(pieces()))).toArray());
  }

  test.each([1, 511, 512, 513, 100_000])('passes as it is, in pieces of %i bytes', async (pieceBytes) => {
    expect((await through(archive, pieceBytes)).equals(archive)).toBe(true);
  });

  test('that ends before its closing block is CUT_OFF, wherever', async () => {
    const content = 512 + 1024 + 512 + 512 + 512;
    for (let length = 0; length < content + 512; length += 128) {
      await expect(through(archive.subarray(0, length), 1000)).rejects.toMatchObject({ issue: { code: 'CUT_OFF' } });
    }
  });

  test('with a damaged header is UNSUPPORTED_DUMP', async () => {
    const damaged = Buffer.from(archive);
    damaged[512 + 1024] = 0xee;
    await expect(through(damaged, 1000)).rejects.toMatchObject({ issue: { code: 'UNSUPPORTED_DUMP' } });
  });
});
