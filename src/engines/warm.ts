import type { Logger } from 'pino';
import { messageOf } from '../domain/errors.js';
import type { Living, ProvisionRequest, ReplicaEngine, ReplicaServer } from '../ports.js';
import { abortable } from './abortable.js';

export interface WarmEngineOptions {
  /** How many servers are kept started. */
  servers: number;
  /** How long they wait for a chat when nobody seems to want one. */
  idleMs?: number | undefined;
  logger: Logger;
}

/** A server that waits for its chat, or is still starting. */
interface Warm {
  /** As of ReplicaEngine.serverFor. */
  readonly kind: string;
  readonly abandoned: AbortController;
  readonly started: Promise<ReplicaServer>;
  onProgress: (activity: string) => void;
  /** Whether it runs. */
  isReady: boolean;
}

const IDLE_MS = 600_000;

/**
 * Another engine that keeps servers started ahead of need, so that a replication need not wait for a boot. They are of
 * the kind that was asked for last, and there only while somebody seems to want one: the chats' service says when.
 */
export class WarmEngine implements ReplicaEngine {
  readonly name: string;
  readonly description: string;
  readonly convertsArchives: boolean;
  readonly attach?: NonNullable<ReplicaEngine['attach']>;
  readonly #warm = new Set<Warm>();
  /** Of the last request. */
  #majorVersion: number | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isTold = false;
  #closed = false;

  constructor(
    private readonly engine: ReplicaEngine,
    private readonly options: WarmEngineOptions,
  ) {
    this.name = engine.name;
    this.description = engine.description;
    this.convertsArchives = engine.convertsArchives;
    if (engine.attach) this.attach = engine.attach.bind(engine);
  }

  check(): Promise<void> {
    return this.engine.check();
  }

  serverFor(majorVersion: number | undefined): string {
    return this.engine.serverFor(majorVersion);
  }

  reap(living?: () => Promise<Living>): Promise<number> {
    return this.engine.reap(living);
  }

  /** The warm servers are the other engine's, which disposes all that it runs. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    await this.engine.close();
  }

  /** How many servers wait for a chat. */
  get ready(): number {
    return [...this.#warm].filter(({ isReady }) => isReady).length;
  }

  expectUse(): void {
    clearTimeout(this.#idle);
    if (this.#closed) return;
    this.#idle = setTimeout(() => this.#keepOnly(undefined), this.options.idleMs ?? IDLE_MS).unref();
    const kind = this.engine.serverFor(this.#majorVersion);
    this.#keepOnly(kind);
    this.#fill(kind);
  }

  async provision(request: ProvisionRequest): Promise<ReplicaServer> {
    this.#majorVersion = request.majorVersion;
    const kind = this.engine.serverFor(request.majorVersion);
    // What is being started or pulled in vain would compete with what is wanted now.
    for (const warm of this.#warm) if (warm.kind !== kind && !warm.isReady) this.#abandon(warm);
    const warm = this.#take(kind);
    return (warm && (await this.#handOver(warm, request))) ?? this.engine.provision(request);
  }

  /** One that runs rather than one that is still starting, which has an advance all the same. */
  #take(kind: string): Warm | undefined {
    const fitting = [...this.#warm].filter((warm) => warm.kind === kind);
    const warm = fitting.find(({ isReady }) => isReady) ?? fitting[0];
    if (warm) this.#warm.delete(warm);
    return warm;
  }

  /** Undefined when it has come to nothing. */
  async #handOver(warm: Warm, { chatId, signal, onProgress }: ProvisionRequest): Promise<ReplicaServer | undefined> {
    warm.onProgress = onProgress;
    try {
      const server = await abortable(warm.started, signal);
      if (chatId !== undefined) await server.assign(chatId);
      signal.throwIfAborted();
      return server;
    } catch (error) {
      await this.#abandon(warm);
      signal.throwIfAborted();
      this.options.logger.debug({ err: error }, 'a server that was started ahead of need is of no use');
      return undefined;
    }
  }

  /** One after the other: the first is the likeliest to be wanted, and a start keeps a core busy. */
  #fill(kind: string): void {
    const isStarting = [...this.#warm].some(({ isReady }) => !isReady);
    if (this.#closed || isStarting || this.#warm.size >= this.options.servers) return;
    const warm = this.#start(kind);
    this.#warm.add(warm);
    warm.started.then(
      (server) => {
        warm.isReady = true;
        this.#isTold = false;
        server.stopped.then(() => {
          if (this.#warm.has(warm)) this.#abandon(warm);
        });
        if (this.#warm.has(warm)) this.#fill(kind);
      },
      (error) => {
        // Else it was taken, and whoever waits for it tries again, or it was given up.
        if (this.#warm.delete(warm)) this.#complain(error);
      },
    );
  }

  #start(kind: string): Warm {
    const abandoned = new AbortController();
    const started = this.engine.provision({
      chatId: undefined,
      majorVersion: this.#majorVersion,
      signal: abandoned.signal,
      onProgress: (activity) => warm.onProgress(activity),
    });
    const warm: Warm = { kind, abandoned, started, onProgress: () => {}, isReady: false };
    return warm;
  }

  #keepOnly(kind: string | undefined): void {
    for (const warm of this.#warm) if (warm.kind !== kind) this.#abandon(warm);
  }

  /** Never rejects: what cannot be removed now, the reaper removes. */
  async #abandon(warm: Warm): Promise<void> {
    this.#warm.delete(warm);
    warm.abandoned.abort(new Error('nobody waits for this server any more'));
    const server = await warm.started.catch(() => undefined);
    await server?.dispose().catch((error) => {
      this.options.logger.warn({ err: error, server: server.id }, 'a server could not be removed');
    });
  }

  /** Once, until it works again: the next hint tries. */
  #complain(error: unknown): void {
    if (this.#isTold || this.#closed) return;
    this.#isTold = true;
    this.options.logger.warn(
      { err: error },
      `no server is kept started ahead of need (REPLICA_WARM): ${messageOf(error)}`,
    );
  }
}
