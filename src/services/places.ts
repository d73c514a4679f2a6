import { setTimeout as sleep } from 'node:timers/promises';
import { chatNotFound } from '../domain/chat.js';
import { hasEnded } from '../domain/replica.js';
import type { ChatStore, EventBus } from '../ports.js';
import { storedReplica } from './in-use.js';
import { busy, CANCELLED, Job } from './job.js';
import type { Lease } from './lease.js';
import type { ReplicationStopped } from './replication.js';

/** How long a server may take to end what it is busy with. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 100;

/** What each chat is busy with: one thing at a time, on whichever server. */
export class Places {
  readonly #jobs = new Map<string, Job>();

  constructor(
    private readonly store: ChatStore,
    private readonly events: EventBus,
    private readonly lease: Lease,
  ) {}

  /**
   * Does `work` with a chat that is claimed, and gives it free; whoever wants it waits. Whoever is busy with it here has
   * found it free: then there is nothing to do.
   */
  async settle(chatId: string, work: () => Promise<void>): Promise<void> {
    if (this.#jobs.has(chatId)) return;
    const job = new Job();
    job.isOver = true;
    this.#jobs.set(chatId, job);
    try {
      await work();
    } finally {
      await this.leave(chatId, job);
    }
  }

  /** Throws CONFLICT when the chat is busy, and what `takeQuota` throws, which returns how to give it back. */
  async reserve(chatId: string, takeQuota: () => () => void): Promise<Job> {
    for (let tries = 1; ; tries += 1) {
      const earlier = this.#jobs.get(chatId);
      if (earlier?.isOver) await earlier.ended;
      if (this.#jobs.has(chatId)) throw busy();
      const job = await this.#begin(chatId, takeQuota());
      if (job) return job;
      // What has ended on another server may not have been given free yet.
      const status = (await storedReplica(this.store, chatId))?.status;
      if (tries * RETRY_MS > PATIENCE_MS || !status || !hasEnded(status.state)) throw busy(' on another server');
      await sleep(RETRY_MS);
    }
  }

  /** Ends what the chat is busy with, anywhere. Throws CONFLICT when that does not end. */
  async clear(chatId: string): Promise<Job> {
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(RETRY_MS)) {
      while (this.#jobs.has(chatId)) await this.#stopHere(chatId, CANCELLED);
      const job = await this.#begin(chatId);
      if (job) return job;
      await this.#stopElsewhere(chatId);
    }
    throw busy(' on another server');
  }

  async leave(chatId: string, job: Job): Promise<void> {
    job.isOver = true;
    job.stopListening();
    await this.lease.release(chatId);
    this.#jobs.delete(chatId);
    job.givePlaceBack?.();
    job.end();
  }

  /** Ends the replication under way, if any, anywhere. */
  async cancel(chatId: string): Promise<void> {
    await this.#stopHere(chatId, CANCELLED);
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(RETRY_MS)) {
      const status = (await storedReplica(this.store, chatId))?.status;
      if (!status || hasEnded(status.state)) return;
      await this.#stopElsewhere(chatId);
    }
  }

  /** Those of this server. */
  async stopAll(reason: ReplicationStopped): Promise<void> {
    await Promise.all([...this.#jobs.keys()].map((chatId) => this.#stopHere(chatId, reason)));
  }

  async #stopHere(chatId: string, reason: ReplicationStopped): Promise<void> {
    const job = this.#jobs.get(chatId);
    job?.controller.abort(reason);
    await job?.ended;
  }

  /** With the number of what is meant, so that it ends nothing that begins when that is over. */
  async #stopElsewhere(chatId: string): Promise<void> {
    await this.events.publish('stop', chatId, { sequence: await this.store.lastSequence(chatId) });
  }

  /** Undefined while another server is busy with the chat. Throws NOT_FOUND when it is gone. */
  async #begin(chatId: string, givePlaceBack?: () => void): Promise<Job | undefined> {
    const job = new Job(givePlaceBack);
    this.#jobs.set(chatId, job);
    const isOurs = await this.lease.claim(chatId).catch(async (error) => {
      await this.leave(chatId, job);
      throw error;
    });
    if (!isOurs) {
      await this.leave(chatId, job);
      if ((await this.store.ownerOf(chatId)) === undefined) throw chatNotFound(chatId);
      return undefined;
    }
    job.stopListening = this.events.subscribe('stop', chatId, ({ sequence }) => {
      if (job.sequence <= sequence) job.controller.abort(CANCELLED);
    });
    return job;
  }
}
