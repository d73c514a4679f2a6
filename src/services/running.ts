import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { ReplichatError } from '../domain/errors.js';
import type { ReplicaServer } from '../ports.js';
import { clientConfig } from '../postgres/connect.js';
import { ReplicaLock } from '../postgres/lock.js';
import { ROLE_CONNECTIONS, type Tenant, type TenantFacts, terminateBackend } from '../postgres/tenant.js';
import { OUTPUT_SETTINGS } from '../postgres/values.js';
import { watchDisk } from './disk.js';
import { Pristine } from './pristine.js';
import { Turns } from './turns.js';

/** A replica that can be used: its server, and connections to the chat's database that are kept open. */
export interface LiveReplica {
  readonly server: ReplicaServer;
  readonly tenant: Tenant;
  readonly pool: pg.Pool;
  /** Aborted with what a query is to be told when it is stopped: the replica is reset, or goes. */
  readonly ending: AbortSignal;
  /** Of the queries, for the sessions in `pool`. */
  readonly turns: Turns;
  /** The last resort against a query that resists being cancelled. */
  endBackend(processId: number): Promise<void>;
}

/** A session of a PostgreSQL client, which comes through the gateway. */
export interface ClientSession {
  /**
   * When bytes last flowed; now, while a query is under way; null before PostgreSQL has let it in. An idle session does
   * not keep its replica.
   */
  readonly lastActiveAt: Date | null;
  readonly closed: Promise<void>;
  /** Ends it with a word to its client. Resolves when that has been said, or cannot be. */
  end(why: string): Promise<void>;
}

export interface RunningOptions {
  /** null for as long as the server. */
  readonly ttlSeconds: number | null;
  /** By whichever server; now without it. */
  readonly lastUsedAt?: Date;
  /** Others may use it, too, and go on when this server leaves. */
  readonly isShared?: boolean;
  readonly diskBytes: number;
  readonly onDiskFull: () => void;
  /** As of `takeOver`; without it, another server answers for the replica. */
  readonly onGone?: (() => void) | undefined;
  readonly logger: Logger;
}

/** How long connections may take to end after their server is gone. */
const POOL_END_MS = 5_000;
/** What nobody has used for so long does not grow. */
const DISK_WATCH_IDLE_MS = 10_000;
const RESET = 'the replica was reset; try again';
const POOL_SIZE = 8;
const POOL_IDLE_MS = 30_000;
/** What the queries of the API leave of the role's connections. */
const MOST_SESSIONS = ROLE_CONNECTIONS - POOL_SIZE;

/** A chat's replica from READY to its end: who uses it, and when it was last used. */
export class RunningReplica implements LiveReplica {
  readonly turns = new Turns(POOL_SIZE);
  readonly #lock: ReplicaLock | undefined;
  readonly #pristine: Pristine;
  readonly #sessions = new Set<ClientSession>();
  #pool: pg.Pool;
  #ending = newEnding();
  #uses = 0;
  /** Without those that are only being let in. */
  #working = 0;
  #lastUsedAt: Date;
  #watching: AbortController | undefined;
  #ended = false;
  #onGone: (() => void) | undefined;

  constructor(
    readonly server: ReplicaServer,
    readonly tenant: Tenant,
    private readonly options: RunningOptions,
  ) {
    this.#pool = this.#openPool();
    this.#lastUsedAt = options.lastUsedAt ?? new Date();
    this.#onGone = options.onGone;
    this.#lock = options.isShared ? new ReplicaLock(server) : undefined;
    this.#pristine = new Pristine(server, tenant, {
      lock: this.#lock,
      diskBytes: options.diskBytes,
      endSessions: async () => {
        this.#endQueries(RESET);
        this.#pool = this.#openPool();
        this.#ending = newEnding();
        await this.#endSessions(RESET);
      },
    });
  }

  get pool(): pg.Pool {
    return this.#pool;
  }

  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  get lastUsedAt(): Date {
    return this.#lastUsedAt;
  }

  /** null for never. */
  get expiresAt(): Date | null {
    const { ttlSeconds } = this.options;
    return ttlSeconds === null ? null : new Date(this.#lastUsedAt.getTime() + ttlSeconds * 1000);
  }

  /** Whether this server answers for it. */
  get isOwn(): boolean {
    return this.#onGone !== undefined;
  }

  /** This server answers for it, until it is gone or another one does: then `onGone` is called. */
  takeOver(onGone: () => void): void {
    if (this.#onGone || this.#ended) onGone();
    else this.#onGone = onGone;
  }

  handOver(): void {
    this.#onGone?.();
    this.#onGone = undefined;
  }

  endBackend(processId: number): Promise<void> {
    return terminateBackend(this.server, processId);
  }

  /** For `work` that only reads. */
  read<T>(work: (replica: LiveReplica) => Promise<T>): Promise<T> {
    return this.#use(() => this.#pristine.use(false, () => work(this)));
  }

  /** For `work` that may write. */
  write<T>(work: (replica: LiveReplica) => Promise<T>): Promise<T> {
    return this.#use(() => this.#pristine.use(true, () => work(this)));
  }

  /**
   * Lets a session in, which may write at any time: the way back is kept from then on, and nobody waits for it to end.
   * It is a use when the session says so: PostgreSQL may refuse it. Throws REPLICA_NOT_READY or QUOTA_EXCEEDED.
   */
  join(session: ClientSession): Promise<LiveReplica> {
    return this.#hold(() => this.#pristine.use(true, async () => this.#admit(session)));
  }

  #admit(session: ClientSession): LiveReplica {
    if (this.#ended) throw new ReplichatError('REPLICA_NOT_READY', 'the replica has just been ended; connect again');
    if (this.#sessions.size >= MOST_SESSIONS) {
      const message = `PostgreSQL clients have ${MOST_SESSIONS} sessions on this replica, as many as there may be; close one`;
      throw new ReplichatError('QUOTA_EXCEEDED', message, { quota: 'sessions' });
    }
    this.#sessions.add(session);
    session.closed.then(() => this.#sessions.delete(session));
    return this;
  }

  /** Back to the state right after the restore. Ends every session, whoever uses it. */
  reset(): Promise<TenantFacts> {
    return this.#use(() => this.#pristine.reset());
  }

  async #use<T>(work: () => Promise<T>): Promise<T> {
    this.#working += 1;
    this.#lastUsedAt = new Date();
    try {
      return await this.#hold(work);
    } finally {
      this.#working -= 1;
      this.#lastUsedAt = new Date();
    }
  }

  /** Meanwhile it does not expire, and its disk is watched. */
  async #hold<T>(work: () => Promise<T>): Promise<T> {
    this.#uses += 1;
    this.#watchDisk();
    try {
      return await work();
    } finally {
      this.#uses -= 1;
    }
  }

  /** Looks whether it is in use, and whether sessions have used it since it was last used otherwise. */
  noticeUses(now: Date): void {
    const active = [...this.#sessions].map(({ lastActiveAt }) => lastActiveAt?.getTime() ?? 0);
    const latest = this.#working > 0 ? now.getTime() : Math.max(...active);
    if (latest <= this.#lastUsedAt.getTime()) return;
    this.#lastUsedAt = new Date(latest);
    this.#watchDisk();
  }

  /** Whether nobody has used it for its time to live. */
  hasExpired(now: Date): boolean {
    if (this.#uses > 0) return false;
    if (now.getTime() - this.#lastUsedAt.getTime() > DISK_WATCH_IDLE_MS) {
      this.#watching?.abort();
      this.#watching = undefined;
    }
    return this.expiresAt !== null && this.expiresAt <= now;
  }

  #watchDisk(): void {
    if (this.#watching || this.#ended) return;
    this.#watching = new AbortController();
    const { diskBytes, onDiskFull } = this.options;
    watchDisk(this.server, diskBytes, this.#watching.signal, onDiskFull);
  }

  /** Another server says when it used it, or it is just about to be used. */
  noticeUse(lastUsedAt: Date): void {
    if (lastUsedAt > this.#lastUsedAt) this.#lastUsedAt = lastUsedAt;
  }

  /** Leaves the server to others. Never rejects. */
  leave(why: string): Promise<void> {
    return this.#end(why, async () => this.server.leave?.());
  }

  /** Removes the server. Never rejects: what cannot be removed now, the reaper removes. */
  dispose(why: string): Promise<void> {
    return this.#end(why, () => this.server.dispose());
  }

  async #end(why: string, end: () => Promise<void>): Promise<void> {
    this.#ended = true;
    this.#watching?.abort();
    const queriesEnded = this.#endQueries(why);
    await this.#endSessions(why);
    try {
      await Promise.race([this.#lock?.close(), sleep(POOL_END_MS, undefined, { ref: false })]);
      await end();
    } catch (error) {
      this.options.logger.error({ err: error, server: this.server.id }, 'a server could not be left or removed');
    }
    this.handOver();
    await Promise.race([queriesEnded, sleep(POOL_END_MS, undefined, { ref: false })]);
  }

  /** Also those that wait for their turn. Resolves when their connections are closed. */
  #endQueries(why: string): Promise<void> {
    const closed = this.#pool.end().catch(() => {});
    this.#ending.abort(new ReplichatError('REPLICA_NOT_READY', `the query was stopped: ${why}`, { state: null }));
    return closed;
  }

  async #endSessions(why: string): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.end(why)));
  }

  #openPool(): pg.Pool {
    const pool = new pg.Pool({
      ...clientConfig(this.server, this.tenant),
      application_name: 'replichat',
      options: OUTPUT_SETTINGS,
      max: POOL_SIZE,
      idleTimeoutMillis: POOL_IDLE_MS,
    });
    const note = (error: Error) => this.options.logger.debug({ err: error }, 'a connection to a replica broke');
    pool.on('error', note);
    // Also of one that is just being given back: a client's error that nobody listens to would end the process.
    pool.on('connect', (client) => client.on('error', note));
    return pool;
  }
}

/** Every query listens to it. */
function newEnding(): AbortController {
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  return ending;
}
