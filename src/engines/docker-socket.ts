import { once } from 'node:events';
import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { SOCKET_FOLDER } from './docker-container.js';

/** Linux's; Node names only those of POSIX. */
const O_PATH = 0o10000000;
const SOCKET = '.s.PGSQL.5432';

/**
 * The short way to the PostgreSQL in a container: its Unix socket, through /proc, for a server that is root on the
 * Engine's machine. Every byte is copied twice instead of eight times. Nothing is mounted, and what becomes of the folder
 * in the container leads nowhere else: no symbolic link in it is followed, and only a socket is connected to.
 */
export class SocketFolder {
  private constructor(private readonly folder: FileHandle) {}

  /** Undefined where the process cannot be looked into: another machine's, another namespace's, another user's. */
  static async of(container: { id: string; pid: number }): Promise<SocketFolder | undefined> {
    const process = `/proc/${container.pid}`;
    let folder: FileHandle | undefined;
    try {
      folder = await open(`${process}/root${SOCKET_FOLDER}`, O_PATH | constants.O_NOFOLLOW | constants.O_DIRECTORY);
      // A number may be another process's by now; one that still is the container's was when the folder was opened.
      if ((await readFile(`${process}/cgroup`, 'utf8')).includes(container.id)) return new SocketFolder(folder);
    } catch {}
    await folder?.close();
    return undefined;
  }

  /** Rejects with ENOENT or ECONNREFUSED while PostgreSQL does not listen. */
  async connect(): Promise<Duplex> {
    await using file = await open(`/proc/self/fd/${this.folder.fd}/${SOCKET}`, O_PATH | constants.O_NOFOLLOW);
    if (!(await file.stat()).isSocket()) throw new Error("PostgreSQL's socket has been replaced by something else");
    const socket = connect(`/proc/self/fd/${file.fd}`);
    // Nobody else listens until the stream has been handed over.
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  }

  async close(): Promise<void> {
    await this.folder.close();
  }
}
