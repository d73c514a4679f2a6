import { ReplichatError } from '../domain/errors.js';
import type { ReplicaServer } from '../ports.js';
import {
  preserveTenant,
  resetSessions,
  resetTenant,
  type Tenant,
  type TenantFacts,
  usedBytes,
} from '../postgres/tenant.js';

/** How long a first write waits for the uses under way to end. */
const QUIET_MS = 30_000;

/**
 * Keeps the way back to the state right after the restore. A replica that is only read from is that state; before the
 * first use that may write, the database is copied inside of the server, as soon as no other use is under way.
 */
export class Pristine {
  #users = 0;
  #waiting: (() => void)[] = [];
  #copied = false;
  #changing: Promise<unknown> | undefined;

  constructor(
    private readonly server: ReplicaServer,
    private readonly tenant: Tenant,
    private readonly options: {
      /** Of the replica's disk. */
      readonly diskBytes: number;
      /** Ends those of PostgreSQL clients before a reset, each with a word. While there are any, the copy exists. */
      readonly endSessions: () => Promise<void>;
      /** Called when all sessions have been ended: what is pooled of them must not be handed out. */
      readonly onSessionsEnded: () => void;
    },
  ) {}

  /** Throws QUOTA_EXCEEDED when there is no room for the copy, QUERY_TIMEOUT when the others do not end. */
  async use<T>(mayWrite: boolean, work: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + QUIET_MS;
    for (;;) {
      if (this.#changing) await this.#changing.catch(() => {});
      else if (!mayWrite || this.#copied) break;
      else if (this.#users === 0) await this.#change(() => this.#copy());
      else await this.#quiet(deadline);
    }
    this.#users += 1;
    try {
      return await work();
    } finally {
      this.#users -= 1;
      if (this.#users === 0) for (const wake of this.#waiting.splice(0)) wake();
    }
  }

  /** Ends every session, whoever uses it. */
  async reset(): Promise<TenantFacts> {
    while (this.#changing) await this.#changing.catch(() => {});
    return this.#change(async () => {
      await this.options.endSessions();
      return (this.#copied ? resetTenant : resetSessions)(this.server, this.tenant);
    });
  }

  async #quiet(deadline: number): Promise<void> {
    const left = deadline - Date.now();
    if (left <= 0) {
      const message = 'the first query that may write waits for those under way to end, and one did not; try again';
      throw new ReplichatError('QUERY_TIMEOUT', message);
    }
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      timer = setTimeout(resolve, left);
    });
    clearTimeout(timer);
  }

  async #copy(): Promise<void> {
    const used = await usedBytes(this.server);
    // The database is most of it, and a reset makes one more copy for a moment.
    if (3 * used > this.options.diskBytes) {
      const message =
        'a replica that is written to takes up to three times the disk, to be reset: more than it may use (REPLICA_DISK)';
      throw new ReplichatError('QUOTA_EXCEEDED', message, { quota: 'disk' });
    }
    await preserveTenant(this.server, this.tenant);
    this.#copied = true;
  }

  /** Whoever comes meanwhile waits. */
  async #change<T>(work: () => Promise<T>): Promise<T> {
    const changing = work();
    this.#changing = changing;
    try {
      return await changing;
    } finally {
      this.options.onSessionsEnded();
      this.#changing = undefined;
    }
  }
}
