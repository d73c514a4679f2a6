import type { Logger } from 'pino';
import { ReplichatError } from '../domain/errors.js';
import type { ReplicaServer } from '../ports.js';
import { announcePresence } from './presence.js';

/** What an engine answers for: the servers that run, and those that are being started. */
export class Fleet<S extends ReplicaServer> {
  readonly #servers = new Map<string, S>();
  readonly #starting = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #presence: ReturnType<typeof announcePresence> | undefined;

  constructor(
    private readonly instance: string,
    private readonly logger: Logger,
  ) {}

  /** Aborted when the engine is being closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  get(id: string): S | undefined {
    return this.#servers.get(id);
  }

  all(): S[] {
    return [...this.#servers.values()];
  }

  forget(id: string): void {
    this.#servers.delete(id);
  }

  /** Runs what `close` aborts and waits for. Others can see from here on that this instance lives. */
  async run<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    either.throwIfAborted();
    this.#presence ??= announcePresence(this.instance).catch((error) => {
      this.#presence = undefined;
      throw error;
    });
    const running = this.#presence.then(() => work(either));
    this.#starting.add(running);
    try {
      return await running;
    } finally {
      this.#starting.delete(running);
    }
  }

  /** The server is known before anything of it exists, and gone when it could not be started. */
  async start(
    server: S,
    signal: AbortSignal,
    boot: () => Promise<void>,
    explain: (error: unknown) => Promise<unknown>,
  ): Promise<S> {
    this.#servers.set(server.id, server);
    try {
      await boot();
      return server;
    } catch (error) {
      const failure = signal.aborted ? signal.reason : await explain(error).catch(() => error);
      await server.dispose().catch((problem) => {
        this.logger.warn({ server: server.id, err: problem }, 'what failed to start is left to the reaper');
      });
      throw failure;
    }
  }

  /** A server that runs already: it is left alone when that fails. */
  async adopt(server: S, attach: () => Promise<void>): Promise<S> {
    this.#servers.set(server.id, server);
    try {
      await attach();
      return server;
    } catch (error) {
      this.#servers.delete(server.id);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new ReplichatError('ENGINE_UNAVAILABLE', 'the server is shutting down'));
    await Promise.allSettled(this.#starting);
    const disposals = await Promise.allSettled(this.all().map((server) => server.dispose()));
    await (await this.#presence)?.close();
    const failed = disposals.find((disposal) => disposal.status === 'rejected');
    if (failed) throw failed.reason;
  }
}
