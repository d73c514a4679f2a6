import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../../src/domain/errors.js';

const run = promisify(execFile);

/** False, with a line that says why, for who is not root; an error where REQUIRE_DOCKER=1 demands it. */
export async function canMount(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'mount-'));
  try {
    await mountDisk(join(folder, 'disk'), 2 ** 20);
    return true;
  } catch (error) {
    if (process.env.REQUIRE_DOCKER === '1') throw error;
    process.stderr.write(`skipping what needs disks of its own: ${messageOf(error)}\n`);
    return false;
  } finally {
    await unmountAll(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

/** A folder in memory, of this size. */
export async function mountMemory(folder: string, bytes: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=755`, 'tmpfs', folder]);
}

/** A disk of this size, the file for which lies beside the folder. */
export async function mountDisk(folder: string, bytes: number): Promise<void> {
  const file = `${folder}.disk`;
  await mkdir(folder, { recursive: true });
  await writeFile(file, '');
  await truncate(file, bytes);
  await run('mkfs.ext4', ['-q', '-m', '0', file]);
  await run('mount', ['-o', 'loop', file, folder]);
}

/** Also what others have mounted there. */
export async function unmountAll(folder: string): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  const folders = mounts.split('\n').map((line) => line.split(' ')[1] ?? '');
  for (const mounted of folders.reverse()) {
    if (mounted === folder || mounted.startsWith(`${folder}/`)) await run('umount', ['--lazy', mounted]);
  }
}
