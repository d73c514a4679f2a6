import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { type Chat, type Credentials, chatNotFound } from '../domain/chat.js';
import { badInput, messageOf, ReplichatError } from '../domain/errors.js';
import { hasEnded, queued, type Replica, type ReplicaState, type ReplicationStatus } from '../domain/replica.js';
import type { ChatStore, EventBus, Inheritance, Registry, ReplicaEngine } from '../ports.js';
import { inspect } from './dump.js';
import { InUse, isUnderWay } from './in-use.js';
import { insist } from './insist.js';
import { endedEarly, INTERRUPTED, type Job } from './job.js';
import { Lease } from './lease.js';
import { Places } from './places.js';
import { type QuotaLimits, Quotas } from './quotas.js';
import { type DumpUpload, Replication, type RestoredServer } from './replication.js';
import type { ClientSession, LiveReplica, RunningReplica } from './running.js';
import { watchReplication } from './watch.js';

export interface ReplicaLimits {
  readonly quotas: QuotaLimits;
  /** Of the server's own disk, for what an upload is ahead of its restore. */
  readonly spoolBytes: number;
  readonly restoreTimeoutMs: number;
  readonly maxUnpackedBytes: number;
  /** How long a replica lives after it was last used; null for as long as the server. */
  readonly ttlSeconds: number | null;
}

export interface UploadOptions {
  readonly onError: 'STOP' | 'CONTINUE';
  readonly ttlSeconds: number | null;
  /** About how long the file is, when the client says so beforehand. */
  readonly expectedBytes?: number;
}

/** Where PostgreSQL clients reach replicas. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
}

const REAP_INTERVAL_MS = 30_000;
const USE_INTERVAL_MS = 1_000;
const LONGEST_TTL_SECONDS = 365 * 86_400;

/** The rules of replicas: one replication at a time per chat, an earlier replica in use until the new one is READY. */
export class ReplicaService {
  readonly #inUse: InUse;
  readonly #lease: Lease;
  readonly #places: Places;
  readonly #quotas: Quotas;
  readonly #underWay = new Set<Replication>();
  readonly #timers: NodeJS.Timeout[] = [];
  #closed = false;

  constructor(
    private readonly store: ChatStore,
    private readonly events: EventBus,
    private readonly registry: Registry,
    private readonly engine: ReplicaEngine,
    /** Names this server, as the registry does. */
    instance: string,
    private readonly limits: ReplicaLimits,
    /** Undefined when clients cannot reach replicas. */
    private readonly clientAddress: () => ClientAddress | undefined,
    private readonly logger: Logger,
  ) {
    this.#quotas = new Quotas(limits.quotas);
    const { quotas, ttlSeconds } = limits;
    const { bytes: diskBytes } = quotas.disk;
    const parts = { store, events, engine, instance, quotas: this.#quotas, diskBytes, ttlSeconds, logger };
    this.#inUse = new InUse(parts);
    const inherited = (inheritances: readonly Inheritance[]) => this.#inherit(inheritances);
    this.#lease = new Lease(registry, { inherited, lost: () => this.#endEverything() }, logger);
    this.#places = new Places(store, events, this.#lease);
  }

  /** Removes what servers have left behind that are gone, now and every 30 s, and what has expired. */
  async start(): Promise<void> {
    await this.#lease.start();
    await this.#reap();
    this.#timers.push(
      setInterval(() => this.#reap(), REAP_INTERVAL_MS),
      setInterval(() => this.#inUse.lookAfter(), USE_INTERVAL_MS),
    );
  }

  async #reap(): Promise<void> {
    try {
      const count = await this.engine.reap(() => this.registry.living());
      if (count > 0) this.logger.info({ count }, 'removed replicas that have no owner');
    } catch (error) {
      this.logger.warn(`replicas without owner could not be looked for: ${messageOf(error)}`);
    }
  }

  /** Of servers that are gone: their replications end, and their replicas are used on where that can be. */
  async #inherit(inheritances: readonly Inheritance[]): Promise<void> {
    for (const { chatId, isServerLeft } of inheritances) {
      const inherit = () => this.#inUse.inherit(chatId, isServerLeft);
      await this.#places.settle(chatId, inherit).catch((error) => {
        this.logger.warn({ chatId }, `what a server has left cannot be taken over yet: ${messageOf(error)}`);
      });
    }
    await this.#reap();
  }

  /** Others have done so in the store. */
  async #endEverything(): Promise<void> {
    void this.#places.stopAll(INTERRUPTED);
    await this.#inUse.look();
  }

  /** Of what this server, and no other one, answers for: the replications under way, and READY for each replica in use. */
  states(): ReplicaState[] {
    const underWay = [...this.#underWay].map(({ status }) => status.state).filter((state) => !hasEnded(state));
    return [...underWay, ...Array<ReplicaState>(this.#inUse.ownCount).fill('READY')];
  }

  async replica(owner: string, chatId: string): Promise<Replica | undefined> {
    const replica = await this.store.replica(owner, chatId);
    return replica && this.#inUse.withLastUse(replica);
  }

  /** A dump is likely to come soon. */
  expectUpload(): void {
    if (!this.#closed) this.engine.expectUse?.();
  }

  /**
   * Resolves with the QUEUED replica as soon as the file looks like a dump; the rest happens in the background.
   * Throws NOT_FOUND, CONFLICT, QUOTA_EXCEEDED, ENGINE_UNAVAILABLE or UNSUPPORTED_DUMP; then `file` is destroyed and
   * nothing has changed.
   */
  async accept(owner: string, chatId: string, file: Readable, options: UploadOptions): Promise<Replica> {
    let job: Job | undefined;
    try {
      const chat = await this.#chat(owner, chatId);
      if (this.#closed) throw endedEarly(INTERRUPTED);
      job = await this.#places.reserve(chatId, () => this.#quotas.take(owner, chatId));
      return await this.#accept(job, chat, file, options);
    } catch (error) {
      file.destroy();
      if (job) await this.#places.leave(chatId, job);
      throw job?.controller.signal.aborted ? endedEarly(job.controller.signal.reason) : error;
    }
  }

  async #accept(job: Job, chat: Chat, file: Readable, options: UploadOptions): Promise<Replica> {
    const { id: chatId } = chat;
    const { ttlSeconds } = options;
    if (ttlSeconds !== null && !(ttlSeconds >= 1 && ttlSeconds <= LONGEST_TTL_SECONDS)) {
      throw badInput('ttlSeconds', `${ttlSeconds} is out of range; give 1 to ${LONGEST_TTL_SECONDS}`);
    }
    const { signal } = job.controller;
    const stopUpload = () => file.destroy();
    signal.addEventListener('abort', stopUpload, { once: true });
    await this.engine.check();
    const inspection = await inspect(file, this.engine);
    const upload: DumpUpload = { ...inspection, rest: file, expectedBytes: options.expectedBytes };
    const lastSequence = await this.store.lastSequence(chatId);
    const accepted = (earlier?: Replica): Replica => {
      const status = queued(chatId, earlier?.status.sequence ?? lastSequence, new Date());
      const times = { createdAt: status.at, lastUsedAt: status.at, expiresAt: earlier?.expiresAt ?? null };
      const { server = null, serverVersion = null, sizeBytes = null } = earlier ?? {};
      return { chatId, status, engine: this.engine.name, server, serverVersion, sizeBytes, ...times };
    };
    signal.throwIfAborted();
    // Made of what is stored at that moment: an earlier replica may be reset, expire or end at any time.
    const replica = (await this.store.updateReplica(chatId, accepted)) ?? (await this.#add(accepted()));
    signal.removeEventListener('abort', stopUpload);
    job.sequence = replica.status.sequence;
    this.#replicate(job, chat, upload, replica.status, options);
    return replica;
  }

  async #add(replica: Replica): Promise<Replica> {
    if (!(await this.store.saveReplica(replica))) throw chatNotFound(replica.chatId);
    return replica;
  }

  /** In the background. From here on the status tells what becomes of it. */
  #replicate(job: Job, chat: Chat, upload: DumpUpload, status: ReplicationStatus, options: UploadOptions): void {
    const logger = this.logger.child({ chatId: chat.id });
    const announce = (changed: ReplicationStatus) => this.#announce(job, chat.id, changed);
    const replication = new Replication(status, job.controller, announce, logger);
    const { spoolBytes, maxUnpackedBytes, restoreTimeoutMs: timeoutMs } = this.limits;
    const diskBytes = this.limits.quotas.disk.bytes;
    const limits = { diskBytes, spoolBytes, maxUnpackedBytes, timeoutMs };
    const keep = (restored: RestoredServer) => this.#inUse.keep(job, replication.status, restored, options.ttlSeconds);
    this.#underWay.add(replication);
    logger.info('replication accepted');
    const run = async () => {
      await this.events.publish('replication', chat.id, status);
      await replication.run(chat, upload, this.engine, { onError: options.onError, ...limits }, keep);
      if (job.replaced) this.#inUse.retire(job.replaced);
      const { state, error } = replication.status;
      logger.info({ state, code: error?.code }, 'replication ended');
      if (state === 'READY') await this.#inUse.endUnserved(chat.id);
    };
    run()
      .catch((error) => logger.error({ err: error }, 'a replication did not end as it should'))
      .finally(async () => {
        this.#underWay.delete(replication);
        await this.#places.leave(chat.id, job);
        this.expectUpload();
      });
  }

  async #announce(job: Job, chatId: string, status: ReplicationStatus): Promise<void> {
    if (hasEnded(status.state)) job.isOver = true;
    const save = () =>
      this.store.updateReplica(chatId, (stored) =>
        isUnderWay(stored.status, status) ? { ...stored, status } : stored,
      );
    const replica = await insist(save);
    // Others have taken this server for gone.
    if (replica && replica.status !== status) job.controller.abort(INTERRUPTED);
    else await this.events.publish('replication', chatId, status);
  }

  /** Gives the replica to `work`, which only reads. Throws REPLICA_NOT_READY or NOT_FOUND. */
  async read<T>(owner: string, chatId: string, work: (replica: LiveReplica) => Promise<T>): Promise<T> {
    return this.#use(owner, chatId, (running) => running.read(work));
  }

  /** Gives the replica to `work`, which may write. Throws REPLICA_NOT_READY or NOT_FOUND. */
  async write<T>(owner: string, chatId: string, work: (replica: LiveReplica) => Promise<T>): Promise<T> {
    return this.#use(owner, chatId, (running) => running.write(work));
  }

  /**
   * Gives the replica to a session until that is closed, whoever's it is: the replica itself asks for its password.
   * Throws REPLICA_NOT_READY, NOT_FOUND or QUOTA_EXCEEDED.
   */
  async join(chatId: string, session: ClientSession): Promise<LiveReplica> {
    const owner = await this.store.ownerOf(chatId);
    if (owner === undefined) throw chatNotFound(chatId);
    // It is a use when the replica has let it in.
    const running = await this.#inUse.find(chatId);
    if (!running) throw await this.#notReady(owner, chatId);
    return running.join(session);
  }

  async #use<T>(owner: string, chatId: string, work: (running: RunningReplica) => Promise<T>): Promise<T> {
    await this.#chat(owner, chatId);
    const running = await this.#inUse.findForUse(chatId);
    if (!running) throw await this.#notReady(owner, chatId);
    return work(running);
  }

  async #chat(owner: string, chatId: string): Promise<Chat> {
    const chat = await this.store.chat(owner, chatId);
    if (!chat) throw chatNotFound(chatId);
    return chat;
  }

  async #notReady(owner: string, chatId: string): Promise<ReplichatError> {
    const replica = await this.store.replica(owner, chatId);
    const state = replica?.status.state ?? null;
    if (replica?.server) {
      const message = 'the replica runs on another server, and only that one can reach it; ask there';
      return new ReplichatError('REPLICA_NOT_READY', message, { state });
    }
    const running = state !== null && !hasEnded(state);
    return new ReplichatError(
      'REPLICA_NOT_READY',
      running
        ? `the replica is ${state}; subscribe to replicationStatus and wait for READY`
        : `this chat has no replica${state ? ` (the last one is ${state})` : ''}; upload a dump with uploadReplica`,
      { state },
    );
  }

  /** For PostgreSQL clients: whose user name leads through the gateway. Throws NOT_FOUND or REPLICA_NOT_READY. */
  async credentials(owner: string, chatId: string): Promise<Credentials> {
    const { dbms } = await this.#chat(owner, chatId);
    const running = await this.#inUse.find(chatId);
    if (!running) throw await this.#notReady(owner, chatId);
    const address = this.clientAddress();
    if (!address) {
      const message = 'PostgreSQL clients cannot connect, as GATEWAY_PORT is off; set it, or query with runQuery';
      throw new ReplichatError('REPLICA_NOT_READY', message, { state: 'READY' });
    }
    const { user, password, database } = running.tenant;
    return { chatId, ...address, user: `${user}.${chatId}`, password, database, dbms, environment: 'LOCAL' };
  }

  /** See `watchReplication`. */
  watch(
    owner: string,
    chatId: string,
    signal: AbortSignal,
    after?: number,
  ): Promise<AsyncIterableIterator<ReplicationStatus>> {
    return watchReplication(this.store, this.events, { owner, chatId, signal, after });
  }

  /** Ends the replication under way, if any; an earlier READY replica stays in use. Throws NOT_FOUND. */
  async cancel(owner: string, chatId: string): Promise<Replica> {
    await this.#chat(owner, chatId);
    await this.#places.cancel(chatId);
    return this.#stored(owner, chatId);
  }

  async #stored(owner: string, chatId: string): Promise<Replica> {
    const replica = await this.replica(owner, chatId);
    if (replica) return replica;
    await this.#chat(owner, chatId);
    throw new ReplichatError('NOT_FOUND', 'this chat has no replica; upload a dump with uploadReplica');
  }

  /** Back to the state right after the restore; open queries and sessions are ended. Throws REPLICA_NOT_READY or NOT_FOUND. */
  async reset(owner: string, chatId: string): Promise<Replica> {
    await this.#use(owner, chatId, async (running) => {
      const facts = await running.reset();
      await this.store.updateReplica(chatId, (stored) =>
        stored.server?.id === running.server.id ? { ...stored, ...facts } : stored,
      );
    });
    return this.#stored(owner, chatId);
  }

  /** The chat stays. Throws NOT_FOUND when there is no replica. */
  async remove(owner: string, chatId: string): Promise<void> {
    await this.#chat(owner, chatId);
    await this.#dropAnd(chatId, async () => {
      await this.#stored(owner, chatId);
      await this.store.deleteReplica(owner, chatId);
      await this.events.publish('removed', chatId, { chatDeleted: false });
    });
  }

  /** Ends and removes whatever of its caller's chat runs, and calls `deleteChat` before anything of it can start again. */
  async removeWithChat(chatId: string, deleteChat: () => Promise<void>): Promise<void> {
    await this.#dropAnd(chatId, deleteChat);
  }

  async #dropAnd(chatId: string, work: () => Promise<void>): Promise<void> {
    const job = await this.#places.clear(chatId);
    try {
      await this.#inUse.remove(chatId, work);
    } finally {
      await this.#places.leave(chatId, job);
    }
  }

  /** Ends every replication as INTERRUPTED, and leaves the replicas to other servers, or removes them. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#places.stopAll(INTERRUPTED);
    await this.#inUse.close();
    await this.#lease.close();
  }
}
