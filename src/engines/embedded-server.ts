import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chown, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicaServer, ServerStop } from '../ports.js';
import { INITDB_ARGUMENTS, scramVerifier, serverSettings, takeOver } from '../postgres/boot.js';
import { abortable } from './abortable.js';
import type { Binaries } from './embedded-binaries.js';
import { makeFolder, removeFolder } from './embedded-folder.js';
import { endProcesses } from './processes.js';
import { BLAMED_MS, DISK_FULL, DISPOSED, STOP_NOTICED_MS, saysDiskFull } from './server-stop.js';

const LOG_LINES = 20;
/** PostgreSQL kills its own children 5 s after an immediate shutdown has been asked for. */
const SHUTDOWN_MS = 8_000;

export interface EmbeddedServerOptions {
  /** Its folder, whose name is the server's. */
  folder: string;
  binaries: Binaries;
  admin: ReplicaServer['admin'];
  memoryBytes: number;
  /** Called when nothing of the server is left. */
  onRemoved: () => void;
}

/** One PostgreSQL as a child process, in a folder of its own, on a Unix socket. */
export class EmbeddedServer implements ReplicaServer {
  readonly id: string;
  readonly stopped: Promise<ServerStop>;
  // Private, so that a server which is logged or serialised does not tell its password.
  readonly #options: EmbeddedServerOptions;
  readonly #log: string[] = [];
  #diskFullAt = Number.NEGATIVE_INFINITY;
  #child: ChildProcess | undefined;
  #resolveStopped!: (stop: ServerStop) => void;
  #stop: ServerStop | undefined;
  #removal: Promise<void> | undefined;

  constructor(options: EmbeddedServerOptions) {
    this.#options = options;
    this.id = basename(options.folder);
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
  }

  get admin(): ReplicaServer['admin'] {
    return this.#options.admin;
  }

  readonly cpus = availableParallelism();

  get lastLogLines(): string {
    return this.#log.join('\n');
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.#prepareFolder();
    await this.#initdb(signal);
    signal.throwIfAborted();
    const exited = this.#launch();
    await abortable(Promise.race([takeOver(this, signal), exited]), signal);
  }

  async #prepareFolder(): Promise<void> {
    const { folder, binaries, admin } = this.#options;
    const verifier = join(folder, 'verifier');
    await makeFolder(folder, 0o700);
    await writeFile(verifier, scramVerifier(admin.password), { mode: 0o600 });
    if (!binaries.account) return;
    const { uid, gid } = binaries.account;
    await chown(verifier, uid, gid);
    await chown(folder, uid, gid);
  }

  async #initdb(signal: AbortSignal): Promise<void> {
    const { folder, binaries, memoryBytes } = this.#options;
    const data = join(folder, 'data');
    const verifier = join(folder, 'verifier');
    const child = this.#spawn(binaries.initdb, [
      `--pgdata=${data}`,
      `--pwfile=${verifier}`,
      ...INITDB_ARGUMENTS,
      '--no-data-checksums',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
    ]);
    const abort = () => child.kill('SIGTERM');
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    const [code] = await once(child, 'exit').finally(() => signal.removeEventListener('abort', abort));
    signal.throwIfAborted();
    if (code !== 0) throw new Error(this.#hasFilledDisk ? DISK_FULL.message : `initdb ended with exit code ${code}`);
    const settings = serverSettings({ memoryBytes, listenAddresses: '', unixSocketDirectories: folder });
    // The name stands in the title of every process, which is how what a killed server left behind is found.
    await appendFile(join(data, 'postgresql.conf'), [...settings, `cluster_name='${this.id}'`, ''].join('\n'));
    await rm(verifier);
  }

  /** The promise rejects when the server ends. */
  #launch(): Promise<never> {
    const { folder, binaries } = this.#options;
    const child = this.#spawn(binaries.postgres, ['-D', join(folder, 'data')]);
    const exited = once(child, 'exit').then(([code, killer]): never => {
      const message = `the PostgreSQL process ${child.pid} ended with ${killer ?? `exit code ${code}`}`;
      this.#finish(this.#hasFilledDisk ? DISK_FULL : { reason: 'EXITED', message });
      throw new Error(message);
    });
    exited.catch((error) => this.#finish({ reason: 'EXITED', message: error.message }));
    return exited;
  }

  #spawn(program: string, args: string[]): ChildProcess {
    const child = spawn(program, args, {
      ...this.#options.binaries.account,
      cwd: this.#options.folder,
      // Nothing of ours: a dump could read it.
      env: { LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'ignore', 'pipe'],
      // A process group of its own: Ctrl-C is for us, who then end it in order.
      detached: true,
    });
    this.#child = child;
    if (child.stderr) {
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.#log.push(line);
        if (saysDiskFull(line)) this.#diskFullAt = Date.now();
        if (this.#log.length > LOG_LINES) this.#log.shift();
      });
    }
    return child;
  }

  async assign(): Promise<void> {
    (await this.open()).destroy();
  }

  async open(): Promise<Duplex> {
    if (this.#stop) throw new Error(this.#stop.message);
    const socket = connect(join(this.#options.folder, '.s.PGSQL.5432'));
    await once(socket, 'connect');
    return socket;
  }

  async fault(): Promise<ServerStop | undefined> {
    // Sessions may be lost before we are told that the process has ended.
    await Promise.race([this.stopped, sleep(STOP_NOTICED_MS, undefined, { ref: false })]);
    return this.#stop ?? (this.#hasFilledDisk ? DISK_FULL : undefined);
  }

  /** Lately. */
  get #hasFilledDisk(): boolean {
    return Date.now() - this.#diskFullAt < BLAMED_MS;
  }

  dispose(): Promise<void> {
    this.#removal ??= this.#remove().catch((error) => {
      this.#removal = undefined;
      throw error;
    });
    return this.#removal;
  }

  async #remove(): Promise<void> {
    this.#finish(DISPOSED);
    try {
      await this.#endChild();
      await removeServerFolder(this.#options.folder);
    } finally {
      this.#options.onRemoved();
    }
  }

  async #endChild(): Promise<void> {
    const child = this.#child;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGQUIT');
    await Promise.race([exited, sleep(SHUTDOWN_MS, undefined, { ref: false })]);
    child.kill('SIGKILL');
    await exited;
  }

  #finish(stop: ServerStop): void {
    if (this.#stop) return;
    this.#stop = stop;
    this.#resolveStopped(stop);
  }
}

/** Ends what still runs in it first. */
export async function removeServerFolder(folder: string): Promise<void> {
  await endProcesses(basename(folder), SHUTDOWN_MS);
  await removeFolder(folder);
}
