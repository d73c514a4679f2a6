import type { Logger } from 'pino';
import { chatNotFound } from '../domain/chat.js';
import { messageOf, ReplichatError } from '../domain/errors.js';
import {
  hasEnded,
  next,
  type Replica,
  type ReplicationEvent,
  type ReplicationStatus,
  type RestoreIssue,
} from '../domain/replica.js';
import type { ChatStore, EventBus, ReplicaEngine, ReplicaServer } from '../ports.js';
import type { Tenant } from '../postgres/tenant.js';
import { diskIssue } from './disk.js';
import { insist } from './insist.js';
import { INTERRUPTED, type Job } from './job.js';
import type { Quotas } from './quotas.js';
import type { RestoredServer } from './replication.js';
import { RunningReplica } from './running.js';

interface Entry {
  readonly running: RunningReplica;
  readonly stopListening: () => void;
  /** The last use that the store knows of. */
  notedAt: Date;
  /** Since when nobody has used it for its time to live, as far as the store knows. */
  overdueSince: number | undefined;
  isLookedAfter: boolean;
}

interface Parts {
  readonly store: ChatStore;
  readonly events: EventBus;
  readonly engine: ReplicaEngine;
  readonly quotas: Quotas;
  /** Names this server. */
  readonly instance: string;
  readonly diskBytes: number;
  /** Unless the upload says otherwise; null for as long as the server. */
  readonly ttlSeconds: number | null;
  readonly logger: Logger;
}

interface Life {
  readonly ttlSeconds: number | null;
  readonly lastUsedAt?: Date;
  readonly onGone?: (() => void) | undefined;
}

/** What the replica of a server ends with that is gone. */
const ABANDONED: RestoreIssue = {
  code: 'INTERRUPTED',
  message: 'the server that ran the replica has ended',
  hint: 'Upload the dump again.',
};
const LOST: RestoreIssue = {
  code: 'SERVER_STOPPED',
  message: 'the replica has stopped while no server was using it',
  hint: 'Upload the dump again.',
};

/** Each server notes within a second or two that it uses a replica: for so long no use may have been noted. */
const GRACE_MS = 5_000;

const REPLACED = 'a newer dump has replaced the replica; connect with its credentials';

/**
 * The replicas that are used through this server, each for as long as the store names its PostgreSQL as the one in use.
 * Where the engine can attach those of other servers, they may be used through several; one of them answers for it.
 */
export class InUse {
  readonly #entries = new Map<string, Entry>();
  readonly #attaching = new Map<string, Promise<RunningReplica | undefined>>();
  /** On their way to be removed. */
  readonly #leaving = new Set<Promise<void>>();
  #isClosed = false;

  constructor(private readonly parts: Parts) {}

  /** Also one that another server has made. Undefined when there is none that can be reached from here. */
  async find(chatId: string): Promise<RunningReplica | undefined> {
    const running = this.#entries.get(chatId)?.running;
    if (running || this.#isClosed) return running;
    const attaching = this.#attaching.get(chatId) ?? this.#attach(chatId).finally(() => this.#attaching.delete(chatId));
    this.#attaching.set(chatId, attaching);
    return attaching;
  }

  /** The same, for a use: nobody ends it for want of one from here on. */
  async findForUse(chatId: string): Promise<RunningReplica | undefined> {
    const running = await this.find(chatId);
    const entry = this.#entries.get(chatId);
    if (!running?.hasExpired(new Date()) || entry?.running !== running) return running;
    running.noticeUse(new Date());
    await this.#note(chatId, entry);
    await this.#look(chatId, running);
    return this.#entries.get(chatId)?.running;
  }

  /** With the last use through this server, which the store may not know of yet. */
  withLastUse(replica: Replica): Replica {
    const running = this.#entries.get(replica.chatId)?.running;
    const isNewer = running?.server.id === replica.server?.id && running && running.lastUsedAt > replica.lastUsedAt;
    return isNewer ? { ...replica, lastUsedAt: running.lastUsedAt, expiresAt: running.expiresAt } : replica;
  }

  /** Of the replicas that this server answers for. */
  get ownCount(): number {
    return this.#all().filter(([, { isOwn }]) => isOwn).length;
  }

  /** The swap: from here on queries go to the new server. The earlier one goes when `job` ends. */
  async keep(job: Job, status: ReplicationStatus, restored: RestoredServer, ttlSeconds: number | null): Promise<void> {
    const { store, engine, instance } = this.parts;
    const { server, tenant, facts } = restored;
    const { chatId } = status;
    const life = { ttlSeconds: ttlSeconds ?? this.parts.ttlSeconds };
    const access = { serverId: server.id, admin: server.admin, tenant, ...life };
    if (engine.attach) await insist(() => store.saveAccess(chatId, access));
    const running = this.#run(chatId, server, tenant, { ...life, onGone: job.givePlaceBack });
    const { lastUsedAt, expiresAt } = running;
    const reference = { id: server.id, instance };
    const keep = (stored: Replica) =>
      isUnderWay(stored.status, status) ? { ...stored, ...facts, server: reference, lastUsedAt, expiresAt } : stored;
    const kept = await insist(() => store.updateReplica(chatId, keep));
    if (!kept) throw chatNotFound(chatId);
    if (kept.server !== reference) throw INTERRUPTED;
    job.replaced = this.#put(chatId, running);
    job.givePlaceBack = undefined;
  }

  /** Nobody waits for it: the chat may be uploaded to again. */
  retire(replaced: RunningReplica, why = REPLACED): void {
    const removal = replaced.dispose(why).finally(() => this.#leaving.delete(removal));
    this.#leaving.add(removal);
  }

  async #note(chatId: string, entry: Entry): Promise<void> {
    const { running } = entry;
    const { lastUsedAt, expiresAt } = running;
    if (lastUsedAt <= entry.notedAt) return;
    const use = { lastUsedAt, expiresAt };
    await this.parts.store.updateReplica(chatId, (stored) =>
      stored.server?.id === running.server.id && stored.lastUsedAt < lastUsedAt ? { ...stored, ...use } : stored,
    );
    entry.notedAt = lastUsedAt;
  }

  /** Removes the replica's server after `work`, which removes its record. */
  async remove(chatId: string, work: () => Promise<void>): Promise<void> {
    const running = this.#entries.get(chatId)?.running;
    if (running) this.#take(chatId, running);
    try {
      await work();
    } catch (error) {
      if (running) this.#put(chatId, running);
      throw error;
    }
    await running?.dispose('the replica was deleted');
  }

  /** Answers from here on for what another server has left, or ends it when that cannot be. */
  async inherit(chatId: string, isServerLeft: boolean): Promise<void> {
    const { store, events, engine, instance, quotas, logger } = this.parts;
    const left = await storedReplica(store, chatId);
    const running = left?.server && isServerLeft && engine.attach ? await this.find(chatId) : undefined;
    const server = (stored: Replica) => {
      if (!isServerLeft) return stored.server;
      return running && stored.server?.id === running.server.id ? { id: stored.server.id, instance } : null;
    };
    const replica = await store.updateReplica(chatId, (stored) => {
      const now = server(stored);
      return { ...stored, server: now, status: abandoned(stored.status, now) };
    });
    if (!replica) return;
    if (running && left) running.takeOver(quotas.count((await store.ownerOf(chatId)) ?? '', chatId));
    await events.publish('replication', chatId, replica.status);
    logger.warn({ chatId, server: replica.server?.id }, 'took over what a server has left');
  }

  /** Whether the store still names each of them. */
  async look(): Promise<void> {
    await Promise.all(this.#all().map(([chatId, running]) => this.#look(chatId, running)));
  }

  /** To be called every second: notes the uses since then, and ends those that nobody has used for their time to live. */
  async lookAfter(): Promise<void> {
    await Promise.all([...this.#entries].map(([chatId, entry]) => this.#lookAfter(chatId, entry)));
  }

  /** The server may have stopped between the last statement and the READY. */
  async endUnserved(chatId: string): Promise<void> {
    const event: ReplicationEvent = {
      type: 'failed',
      error: { ...LOST, message: 'the replica stopped as soon as it was restored; upload the dump again' },
    };
    const end = (stored: Replica) => (stored.server ? stored : { ...stored, status: endOfUse(stored.status, event) });
    const { store, events } = this.parts;
    const replica = await store.updateReplica(chatId, end);
    if (replica && replica.status.state !== 'READY') await events.publish('replication', chatId, replica.status);
  }

  /** Leaves to other servers what they can attach, and ends the rest. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#attaching.values());
    const why = 'the server is shutting down';
    const close = async (chatId: string, entry: Entry) => {
      const { running } = entry;
      running.noticeUses(new Date());
      await this.#note(chatId, entry).catch(() => {});
      if (!this.#take(chatId, running)) return;
      if (this.parts.engine.attach) await running.leave(`${why}; connect again`);
      else await this.#end(chatId, running, { type: 'failed', error: ABANDONED }, why).catch(() => {});
    };
    await Promise.all([...this.#leaving, ...[...this.#entries].map(([chatId, entry]) => close(chatId, entry))]);
  }

  #all(): [chatId: string, running: RunningReplica][] {
    return [...this.#entries].map(([chatId, { running }]) => [chatId, running]);
  }

  async #attach(chatId: string): Promise<RunningReplica | undefined> {
    const { store, engine } = this.parts;
    const replica = await storedReplica(store, chatId);
    if (!replica?.server || !engine.attach || replica.engine !== engine.name) return undefined;
    const access = await store.access(chatId);
    if (access?.serverId !== replica.server.id) return undefined;
    const { tenant, admin, ttlSeconds } = access;
    const server = await engine.attach(access.serverId, admin).catch(async (error) => {
      if (error instanceof ReplichatError) throw error;
      await this.#endServer(chatId, access.serverId, { type: 'failed', error: LOST });
      return undefined;
    });
    if (!server) return undefined;
    const running = this.#run(chatId, server, tenant, { ttlSeconds, lastUsedAt: replica.lastUsedAt });
    const earlier = this.#put(chatId, running);
    if (earlier) this.retire(earlier);
    await this.#look(chatId, running);
    return this.#entries.get(chatId)?.running;
  }

  #run(chatId: string, server: ReplicaServer, tenant: Tenant, life: Life): RunningReplica {
    const { engine, diskBytes, logger } = this.parts;
    const running = new RunningReplica(server, tenant, {
      ...life,
      isShared: engine.attach !== undefined,
      diskBytes,
      onDiskFull: () => this.#stopped(chatId, running, diskIssue(diskBytes)),
      logger,
    });
    return running;
  }

  /** In the place of an earlier one, which is returned. */
  #put(chatId: string, running: RunningReplica): RunningReplica | undefined {
    const { events } = this.parts;
    const earlier = this.#entries.get(chatId)?.running;
    if (earlier) this.#take(chatId, earlier);
    const look = () => void this.#look(chatId, running).catch(() => {});
    const endings = [
      events.subscribe('replication', chatId, ({ state }) => hasEnded(state) && look()),
      events.subscribe('removed', chatId, look),
      events.onMissed(look),
    ];
    const stopListening = () => {
      for (const end of endings) end();
    };
    const { lastUsedAt: notedAt } = running;
    this.#entries.set(chatId, { running, stopListening, notedAt, overdueSince: undefined, isLookedAfter: false });
    void running.server.stopped.then((stop) =>
      this.#stopped(chatId, running, { code: stop.reason, message: stop.message }),
    );
    return earlier;
  }

  /** Whether it was in use; from here on it is not, and nobody else ends it. */
  #take(chatId: string, running: RunningReplica): boolean {
    const entry = this.#entries.get(chatId);
    if (entry?.running !== running) return false;
    entry.stopListening();
    return this.#entries.delete(chatId);
  }

  /** Another server may have replaced or removed it. */
  async #look(chatId: string, running: RunningReplica): Promise<void> {
    const replica = await storedReplica(this.parts.store, chatId);
    if (replica?.server?.id === running.server.id) {
      if (replica.server.instance !== this.parts.instance) running.handOver();
      return;
    }
    if (!this.#take(chatId, running)) return;
    this.retire(running, replica?.server ? REPLACED : 'the replica is gone; upload the dump again');
  }

  async #lookAfter(chatId: string, entry: Entry): Promise<void> {
    if (entry.isLookedAfter) return;
    entry.isLookedAfter = true;
    const { running } = entry;
    try {
      running.noticeUses(new Date());
      await this.#note(chatId, entry);
      if (await this.#isOverdue(chatId, entry)) await this.#expire(chatId, running);
    } catch (error) {
      entry.overdueSince = undefined;
      this.parts.logger.warn({ chatId }, `the use of a replica could not be noted: ${messageOf(error)}`);
    } finally {
      entry.isLookedAfter = false;
    }
  }

  /** Where others may use it, too, they get the time to say so, while the store answers. */
  async #isOverdue(chatId: string, entry: Entry): Promise<boolean> {
    const { running } = entry;
    const { store, engine } = this.parts;
    const replica = engine.attach && running.hasExpired(new Date()) ? await storedReplica(store, chatId) : undefined;
    if (replica) running.noticeUse(replica.lastUsedAt);
    if (!running.hasExpired(new Date())) entry.overdueSince = undefined;
    else entry.overdueSince ??= Date.now();
    return entry.overdueSince !== undefined && Date.now() - entry.overdueSince >= (engine.attach ? GRACE_MS : 0);
  }

  /** Unless it is used at this moment, from wherever. */
  async #expire(chatId: string, running: RunningReplica): Promise<void> {
    const { store, events, logger } = this.parts;
    let isOver = false;
    const replica = await store.updateReplica(chatId, (stored) => {
      if (stored.server?.id !== running.server.id) return stored;
      running.noticeUse(stored.lastUsedAt);
      isOver = running.hasExpired(new Date());
      return isOver ? ended(stored, { type: 'expired' }) : stored;
    });
    if (!replica || !isOver) return;
    const isOurs = this.#take(chatId, running);
    logger.info({ chatId }, 'replica expired');
    await events.publish('replication', chatId, replica.status);
    if (isOurs) await running.dispose('the replica has expired; upload the dump again');
  }

  /** Never rejects: nobody waits for it. */
  async #stopped(chatId: string, running: RunningReplica, issue: RestoreIssue): Promise<void> {
    if (!this.#take(chatId, running)) return;
    const { logger } = this.parts;
    logger.warn({ chatId, code: issue.code }, `a replica stopped: ${issue.message}`);
    await this.#end(chatId, running, { type: 'failed', error: issue }, issue.message).catch((error) =>
      logger.error({ err: error, chatId }, 'the end of a replica could not be told'),
    );
  }

  /** Its server goes, even when that cannot be told. */
  async #end(chatId: string, running: RunningReplica, event: ReplicationEvent, why: string): Promise<void> {
    try {
      await this.#endServer(chatId, running.server.id, event);
    } finally {
      await running.dispose(why);
    }
  }

  /** It is in use no more. */
  async #endServer(chatId: string, serverId: string, event: ReplicationEvent): Promise<void> {
    const { store, events } = this.parts;
    const end = (stored: Replica) => (stored.server?.id === serverId ? ended(stored, event) : stored);
    const replica = await insist(() => store.updateReplica(chatId, end));
    if (replica) await events.publish('replication', chatId, replica.status);
  }
}

/** Whoever's it is. */
export async function storedReplica(store: ChatStore, chatId: string): Promise<Replica | undefined> {
  const owner = await store.ownerOf(chatId);
  return owner === undefined ? undefined : store.replica(owner, chatId);
}

/** Whether the stored one is of the same replication, which has not ended. */
export function isUnderWay(stored: ReplicationStatus, { acceptedAt }: ReplicationStatus): boolean {
  return stored.acceptedAt.getTime() === acceptedAt.getTime() && !hasEnded(stored.state);
}

/** Without a server. */
function ended(stored: Replica, event: ReplicationEvent): Replica {
  return { ...stored, server: null, status: endOfUse(stored.status, event) };
}

/** The status of what is left by a server that is gone: a replication under way is over, and so is what it served. */
function abandoned(status: ReplicationStatus, server: Replica['server']): ReplicationStatus {
  const isOver = status.state === 'READY' ? server === null : !hasEnded(status.state);
  return isOver ? next(status, { type: 'failed', error: ABANDONED }, new Date()) : status;
}

/** What is used no more is no longer READY; what a newer replication says of itself stays. */
function endOfUse(status: ReplicationStatus, event: ReplicationEvent): ReplicationStatus {
  return status.state === 'READY' ? next(status, event, new Date()) : status;
}
