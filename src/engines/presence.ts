import { once } from 'node:events';
import { statSync } from 'node:fs';
import { chmod, readdir, rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Between its binding and its listening, a socket refuses connections like a dead one. */
const STALE_AFTER_MS = 20_000;

const INSTANCE = /^[0-9a-z]{20}$/;

/**
 * Tells the temp folders of a machine apart, which may have one path (PrivateTmp of systemd, containers): who has
 * another one does not see whether an instance lives.
 */
export function presenceFolder(folder = tmpdir()): string {
  const { dev, ino } = statSync(folder, { bigint: true });
  return `${dev}:${ino}`;
}

/** Where an instance can be reached for as long as its process lives, however that ends. */
export function presencePath(instance: string): string {
  return join(tmpdir(), `replichat-${instance}.sock`);
}

/** Tells the other servers of this machine that what carries this instance's name has an owner. */
export async function announcePresence(instance: string): Promise<{ close(): Promise<void> }> {
  const path = presencePath(instance);
  if (await isAlive(instance)) throw new Error(`an instance named ${instance} runs already`);
  const server = createServer((socket) => socket.on('error', () => {}).end());
  server.listen(path).unref();
  await once(server, 'listening');
  await chmod(path, 0o600);
  return {
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Whether an instance with this temp folder lives. Removes the socket file of one that is gone. */
export async function isAlive(instance: string): Promise<boolean> {
  if (!INSTANCE.test(instance)) return true; // None of ours, and no part of a path.
  const path = presencePath(instance);
  const problem = await connectError(path);
  if (problem === 'ECONNREFUSED') await rm(path, { force: true });
  // Whatever else stands in the way (another user's socket: EACCES), reaping the living would be worse.
  return problem !== 'ECONNREFUSED' && problem !== 'ENOENT';
}

/** What killed servers leave in the temp folder. Not the newest: between bind and listen a socket refuses, too. */
export async function removeStalePresences(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const instance = /^replichat-([0-9a-z]{20})\.sock$/.exec(name)?.[1];
    if (!instance) continue;
    const file = await stat(presencePath(instance)).catch(() => undefined);
    if (file?.isSocket() && Date.now() - file.mtimeMs > STALE_AFTER_MS) await isAlive(instance);
  }
}

function connectError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}
