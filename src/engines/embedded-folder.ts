import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const MARKER = 'replichat-owns-this-folder';
const PATIENCE = { recursive: true, force: true, maxRetries: 10, retryDelay: 50 };

/** A folder that the reaper may remove, whoever finds it. */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
  await mkdir(folder, mode);
  await writeFile(join(folder, MARKER), '');
}

/** Also an empty one, in which nothing can be lost: its maker was killed before the marker was in it. */
export async function isMarked(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => undefined);
  return names !== undefined && (names.length === 0 || names.includes(MARKER));
}

/** The marker goes last: whoever is killed on the way leaves something to reap. */
export async function removeFolder(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (name !== MARKER) await rm(join(folder, name), PATIENCE);
  await rm(folder, PATIENCE);
}
