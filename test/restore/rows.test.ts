import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Rows } from '../../src/restore/rows.js';
import { Spool } from '../../src/restore/spool.js';

const MiB = 1024 * 1024;
let folder: string;
let spool: Spool;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'replichat-test-spool-'));
  spool = new Spool(folder, 64 * MiB);
});
afterEach(async () => {
  await spool.close();
  await rm(folder, { recursive: true });
});

/** All pieces of `rows`, with the bytes of each. */
async function takeAll(rows: Rows): Promise<{ line: number; lines: number; text: string }[]> {
  const pieces: { line: number; lines: number; text: string }[] = [];
  for (let piece = await rows.take(); piece; piece = await rows.take()) {
    const { line, lines } = piece;
    let text = '';
    for await (const chunk of rows.read(piece, 5)) text += chunk.toString('latin1', 5);
    pieces.push({ line, lines, text });
  }
  return pieces;
}

/** `text` from `line` on, in chunks that end anywhere, as the lexer gives them. */
async function append(rows: Rows, text: string, line: number, chunkBytes: number): Promise<void> {
  let at = line;
  for (let from = 0; from < text.length; from += chunkBytes) {
    const chunk = text.slice(from, from + chunkBytes);
    await rows.appendRows(Buffer.from(chunk, 'latin1'), at);
    at += chunk.split('\n').length - 1;
  }
  await rows.close(at);
}

describe('rows of COPY', () => {
  test('few stay in memory, in one piece', async () => {
    const rows = new Rows(spool);
    await append(rows, '1\ta\n2\tb\n', 10, 3);
    expect(rows).toMatchObject({ bytes: 8, lines: 2, isSmall: true });
    expect(await takeAll(rows)).toEqual([{ line: 10, lines: 2, text: '1\ta\n2\tb\n' }]);
    expect(spool.end).toBe(0);
  });

  test('none are no piece', async () => {
    const rows = new Rows(spool);
    await rows.close(7);
    expect(rows.isSmall).toBe(true);
    expect(await takeAll(rows)).toEqual([]);
  });

  test.each([1000, 65_536, 3 * MiB])(
    'many come in pieces of whole rows, with their lines (chunks of %d)',
    async (size) => {
      const all = Array.from({ length: 300_000 }, (_, row) => `${row}\t${'x'.repeat(row % 90)}\n`);
      const rows = new Rows(spool);
      await append(rows, all.join(''), 100, size);
      const pieces = await takeAll(rows);
      expect(pieces.length).toBeGreaterThan(2);
      let row = 0;
      for (const { line, lines, text } of pieces) {
        expect(line).toBe(100 + row);
        expect(text).toBe(all.slice(row, row + lines).join(''));
        row += lines;
      }
      expect(row).toBe(all.length);
    },
  );

  test('a newline after a backslash is part of a value, where no piece ends', async () => {
    const value = `${'y'.repeat(99)}\\\n`.repeat(60_000);
    const rows = new Rows(spool);
    await append(rows, `1\t${value}end\n2\tb\n`, 1, 65_536);
    const pieces = await takeAll(rows);
    expect(pieces.map(({ text }) => text).join('')).toBe(`1\t${value}end\n2\tb\n`);
    for (const { text } of pieces) expect(text).toMatch(/[^\\]\n$/);
  });

  test('that are not wanted any more free the spool, also those that are still to come', async () => {
    const small = new Spool(folder, 32 * MiB);
    const rows = new Rows(small);
    rows.discard();
    await append(rows, `${'z'.repeat(1023)}\n`.repeat(100 * 1024), 1, 65_536);
    expect(await takeAll(rows)).toEqual([]);
    await small.close();
  });
});

describe('statements', () => {
  test('come back as they were, with their lines', async () => {
    const rows = new Rows(spool);
    const all = Array.from({ length: 3000 }, (_, index) => ({
      bytes: Buffer.alloc(index === 1500 ? 6 * MiB : (index * 37) % 9000, index % 256),
      line: 5 + 2 * index,
    }));
    for (const { bytes, line } of all) await rows.appendStatement(bytes, line);
    await rows.close();
    let index = 0;
    for (let piece = await rows.take(); piece; piece = await rows.take()) {
      for await (const { bytes, line } of rows.statements(piece)) {
        expect(line).toBe(all[index]?.line);
        expect(bytes.equals(all[index]?.bytes as Buffer)).toBe(true);
        index++;
      }
    }
    expect(index).toBe(all.length);
  });
});

describe('the spool', () => {
  test('is bounded: who appends waits until what was taken is released', async () => {
    const small = new Spool(folder, 32 * MiB);
    const rows = new Rows(small);
    const text = `${'z'.repeat(1023)}\n`.repeat(100 * 1024);
    let appended = false;
    const appending = append(rows, text, 1, 65_536).then(() => {
      appended = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(appended).toBe(false);
    expect(small.end).toBeLessThanOrEqual(33 * MiB);
    const pieces = await takeAll(rows);
    await appending;
    expect(pieces.reduce((sum, piece) => sum + piece.text.length, 0)).toBe(text.length);
    await small.close();
  });

  test('has no name on disk, so that nothing is left of it whatever happens', async () => {
    await spool.append(Buffer.alloc(20 * MiB, 1));
    await spool.flush();
    expect(await readdir(folder)).toEqual([]);
    const buffer = Buffer.alloc(10);
    expect(await spool.read(buffer, 20 * MiB - 10)).toBe(10);
    expect(buffer).toEqual(Buffer.alloc(10, 1));
  });

  test('lets go of who waits when it is closed', async () => {
    const small = new Spool(folder, 0);
    const appending = small.append(Buffer.alloc(40 * MiB)).then(() => small.append(Buffer.alloc(MiB)));
    appending.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    await small.close();
    await expect(appending).rejects.toThrow('closed');
  });
});
