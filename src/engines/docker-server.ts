import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Dockerode from 'dockerode';
import type { ReplicaServer, ServerStop } from '../ports.js';
import { takeOver } from '../postgres/boot.js';
import { abortable } from './abortable.js';
import { convertArchive } from './docker-archive.js';
import { containerName } from './docker-container.js';
import { statusOf } from './docker-errors.js';
import { textOf } from './docker-frames.js';
import { execOutput, openRelay } from './docker-relay.js';
import { SocketFolder } from './docker-socket.js';
import { BLAMED_MS, DISK_FULL, DISPOSED, outOfMemory, STOP_NOTICED_MS, saysDiskFull } from './server-stop.js';

const CALL_TIMEOUT_MS = 60_000;
const OPEN_TIMEOUT_MS = 15_000;
/** A relay takes a tenth of a second: the administrator's, two of a restore and the first query's are there before. */
const RELAYS_AHEAD = 4;
const DRAIN_MS = 1_000;
const PAUSE_MS = 2_000;
const REMOVE_ATTEMPTS = 6;
const LONGEST_PAUSE_MS = 3_200;
const LOG_LINES = 20;
/** Whoever asks why a session was lost is told in time, or that it is not known. */
const FAULT_TIMEOUT_MS = 5_000;

/** Where the kernel counts the processes that it killed for memory, in cgroup v2 and v1. */
const OOM_COUNTERS = ['cat', '/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory/memory.oom_control'];

/** How PostgreSQL is reached: auto is by its socket where that can be, else by docker exec. */
export type ConnectMode = 'auto' | 'exec';

export interface DockerServerOptions {
  docker: Dockerode;
  name: string;
  image: string;
  admin: ReplicaServer['admin'];
  memoryBytes: number;
  cpus: number;
  connect: ConnectMode;
  startTimeoutMs: number;
  /** Called when nothing of the container is left. */
  onRemoved: () => void;
}

/** One container. It exists as an object before the Engine has been asked for it, so that nothing is ever ownerless. */
export class DockerServer implements ReplicaServer {
  readonly id: string;
  readonly stopped: Promise<ServerStop>;
  // Private, so that a server which is logged or serialised does not tell its password.
  readonly #options: DockerServerOptions;
  /** By its name until the Engine has told its id: the name changes when the server is assigned. */
  #container: Dockerode.Container;
  readonly #ahead: Promise<Duplex>[] = [];
  readonly #streams = new Set<Duplex>();
  /** Where PostgreSQL is reached without the Engine, if it can be. */
  #folder: SocketFolder | undefined;
  /** As far as the Engine has answered. */
  #exists = false;
  readonly #gone = new AbortController();
  #resolveStopped!: (stop: ServerStop) => void;
  #stop: ServerStop | undefined;
  #outOfMemoryAt = Number.NEGATIVE_INFINITY;
  #oomKills = 0;
  #removal: Promise<void> | undefined;

  constructor(options: DockerServerOptions) {
    this.#options = options;
    this.id = options.name;
    this.#container = options.docker.getContainer(options.name);
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
  }

  get admin(): ReplicaServer['admin'] {
    return this.#options.admin;
  }

  get cpus(): number {
    return this.#options.cpus;
  }

  /** On failure the container may be there, for `lastLogLines` and `dispose`. */
  async start(container: Dockerode.ContainerCreateOptions, signal: AbortSignal): Promise<void> {
    const { docker, connect, startTimeoutMs } = this.#options;
    // Not the caller's signal: a call that is cut off would leave open whether the container exists.
    this.#container = await docker.createContainer({
      ...container,
      abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    this.#exists = true;
    signal.throwIfAborted();
    await this.#container.start({ abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS) });
    if (connect === 'auto') this.#folder = await this.#socketFolder();
    const open = () => this.#open({ waitMs: startTimeoutMs });
    const takingOver = takeOver({ open, admin: this.admin }, signal);
    for (let count = 0; !this.#folder && count < RELAYS_AHEAD; count++) this.#openAhead();
    await abortable(takingOver, signal);
  }

  /** What runs already. Rejects when it does not. */
  async attach(containerId: string): Promise<void> {
    this.#container = this.#options.docker.getContainer(containerId);
    this.#exists = true;
    await this.noticeExit();
    if (this.#stop) throw new Error(this.#stop.message);
    if (this.#options.connect === 'auto') this.#folder = await this.#socketFolder();
  }

  async #socketFolder(): Promise<SocketFolder | undefined> {
    const { Id, State } = await this.#container.inspect({ abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS) });
    const folder = await SocketFolder.of({ id: Id, pid: State.Pid });
    if (this.#gone.signal.aborted) await folder?.close();
    return folder;
  }

  /** Also when an event was missed. */
  async assign(chatId: string): Promise<void> {
    const abortSignal = AbortSignal.timeout(CALL_TIMEOUT_MS);
    const name = containerName(chatId, this.id);
    await Promise.all([this.#container.rename({ name, abortSignal }), this.noticeExit(abortSignal)]);
    if (this.#stop) throw new Error(this.#stop.message);
  }

  async open(): Promise<Duplex> {
    const ahead = await this.#ahead.shift()?.catch(() => undefined);
    return ahead && !ahead.destroyed ? ahead : this.#open({ waitMs: 0 });
  }

  #openAhead(): void {
    const opening = this.#open({ waitMs: 0, ahead: true });
    // Flowing, it notices its end.
    opening.then((stream) => stream.resume()).catch(() => {});
    this.#ahead.push(opening);
  }

  async #open(options: { waitMs: number; ahead?: boolean }): Promise<Duplex> {
    if (this.#stop) throw new Error(this.#stop.message);
    const signal = AbortSignal.any([this.#gone.signal, AbortSignal.timeout(options.waitMs + OPEN_TIMEOUT_MS)]);
    const stream = await (this.#folder?.connect() ?? openRelay(this.#container, { ...options, signal }));
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    return stream;
  }

  async *convertArchive(archive: AsyncGenerator<Buffer, void>, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    const { image } = this.#options;
    const either = AbortSignal.any([signal, this.#gone.signal]);
    yield* convertArchive(this.#container, { image, archive, signal: either });
  }

  async fault(): Promise<ServerStop | undefined> {
    const signal = AbortSignal.timeout(FAULT_TIMEOUT_MS);
    for (const waitMs of [0, STOP_NOTICED_MS]) {
      // Sessions may be lost before the Engine has noticed that the container ends.
      await Promise.race([this.stopped, sleep(waitMs, undefined, { ref: false })]);
      if (!this.#stop) await Promise.all([this.noticeExit(signal), this.#countOomKills(signal)]);
      if (this.#stop) return this.#stop;
      if (this.#ranOutOfMemory) return outOfMemory(this.#options.memoryBytes);
      if (await this.#hasFilledDisk()) return DISK_FULL;
    }
    return undefined;
  }

  get #ranOutOfMemory(): boolean {
    return Date.now() - this.#outOfMemoryAt < BLAMED_MS;
  }

  noticeOutOfMemory(): void {
    this.#outOfMemoryAt = Date.now();
  }

  /** Docker pauses a container for a moment when it is committed, too. */
  noticePause(): void {
    setTimeout(() => void this.noticeExit(), PAUSE_MS).unref();
  }

  /** Looks whether the container still runs. An Engine that does not answer has not said no. */
  async noticeExit(signal = AbortSignal.timeout(CALL_TIMEOUT_MS)): Promise<void> {
    if (!this.#exists || this.#gone.signal.aborted) return;
    try {
      const { State } = await this.#container.inspect({ abortSignal: signal });
      // It ends because we are removing it, or has not begun.
      if (this.#gone.signal.aborted || State.Status === 'created') return;
      if (State.Paused)
        this.#finish({ reason: 'EXITED', message: `the container ${this.id} was paused by somebody else` });
      if (State.Running) return;
      if (State.OOMKilled || this.#ranOutOfMemory) return this.#finish(outOfMemory(this.#options.memoryBytes));
      const isFull = await this.#hasFilledDisk();
      if (this.#gone.signal.aborted) return;
      const message = `the container ${this.id} ended with exit code ${State.ExitCode}`;
      this.#finish(isFull ? DISK_FULL : { reason: 'EXITED', message });
    } catch (error) {
      if (statusOf(error) !== 404) return;
      this.#finish({ reason: 'EXITED', message: `the container ${this.id} was removed by somebody else` });
    }
  }

  /** What an event may not have said yet, and Podman never says: a process was killed and the server runs on. */
  async #countOomKills(signal: AbortSignal): Promise<void> {
    const output = await execOutput(this.#container, OOM_COUNTERS, signal).catch(() => '');
    const kills = Number(/^oom_kill (\d+)$/m.exec(output)?.[1] ?? 0);
    if (kills > this.#oomKills) this.noticeOutOfMemory();
    this.#oomKills = Math.max(kills, this.#oomKills);
  }

  /** Lately. */
  async #hasFilledDisk(): Promise<boolean> {
    const log = await this.lastLogLines(new Date(Date.now() - BLAMED_MS)).catch(() => '');
    return saysDiskFull(log);
  }

  async lastLogLines(since = new Date(0)): Promise<string> {
    const multiplexed = await this.#container.logs({
      stdout: true,
      stderr: true,
      tail: LOG_LINES,
      since: Math.floor(since.getTime() / 1000),
      abortSignal: AbortSignal.timeout(FAULT_TIMEOUT_MS),
    });
    return textOf(multiplexed);
  }

  async leave(): Promise<void> {
    this.#gone.abort(new Error('the server has left its replicas to others'));
    await this.#folder?.close();
    for (const stream of this.#streams) stream.destroy();
    this.#options.onRemoved();
  }

  /** Rejects when the Engine does not do it; another call tries again, and so does the engine's reaper. */
  dispose(): Promise<void> {
    this.#removal ??= this.#remove().catch((error) => {
      this.#removal = undefined;
      throw error;
    });
    return this.#removal;
  }

  async #remove(): Promise<void> {
    this.#gone.abort(new Error(DISPOSED.message));
    await this.#folder?.close();
    try {
      await removeContainer(this.#container);
    } finally {
      this.#finish(DISPOSED);
      for (const stream of this.#streams) stream.destroy();
      this.#options.onRemoved();
    }
  }

  #finish(stop: ServerStop): void {
    if (this.#stop) return;
    this.#stop = stop;
    this.#resolveStopped(stop);
    // Sessions end by themselves, with what PostgreSQL had to say; this is for an Engine that forgot them.
    setTimeout(() => {
      for (const stream of this.#streams) stream.destroy();
    }, DRAIN_MS).unref();
  }
}

/** Removes it with its volumes, however often it is asked for. */
export async function removeContainer(container: Dockerode.Container): Promise<void> {
  const deadline = Date.now() + CALL_TIMEOUT_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      return await container.remove({ force: true, v: true, abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS) });
    } catch (error) {
      if (statusOf(error) === 404) return;
      // 409: somebody else is removing it, and it is not yet gone.
      const isTried = statusOf(error) === 409 ? Date.now() > deadline : attempt >= REMOVE_ATTEMPTS;
      if (isTried) throw error;
    }
    await sleep(Math.min(100 * 2 ** attempt, LONGEST_PAUSE_MS));
  }
}
