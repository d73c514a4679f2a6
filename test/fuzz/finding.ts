import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What must not be, and the file that shows it. */
export interface Finding {
  readonly what: string;
  readonly file: Buffer;
}

/** How often what came out. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(outcome: string, count = 1): void {
    this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + count);
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  entries(): [outcome: string, count: number][] {
    return [...this.#counts].sort(([, a], [, b]) => b - a);
  }

  toString(): string {
    return this.entries()
      .map(([outcome, count]) => `${outcome} ${count}`)
      .join(', ');
  }
}

/** A shorter file for which it still holds: pieces are left out, large ones first, for as long as there is time. */
export async function shrink(
  file: Buffer,
  stillHolds: (file: Buffer) => boolean | Promise<boolean>,
  withinMs: number,
): Promise<Buffer> {
  const end = Date.now() + withinMs;
  let shortest = file;
  for (let size = file.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < shortest.length; ) {
      if (Date.now() > end) return shortest;
      const shorter = Buffer.concat([shortest.subarray(0, at), shortest.subarray(at + size)]);
      if (await stillHolds(shorter)) shortest = shorter;
      else at += size;
    }
  }
  return shortest;
}

/** The path of a file in a new temporary folder. */
export async function save(name: string, file: Buffer): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'replichat-finding-')), name);
  await writeFile(path, file);
  return path;
}
