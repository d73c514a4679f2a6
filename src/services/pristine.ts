import { messageOf, ReplichatError } from '../domain/errors.js';
import type { ReplicaServer } from '../ports.js';
import type { ReplicaLock } from '../postgres/lock.js';
import { dropLeftovers, isPreserved, preserveTenant, resetTenant } from '../postgres/preserve.js';
import { asAdmin, type Tenant, type TenantFacts, usedBytes } from '../postgres/tenant.js';

/** How long a first write waits for the uses under way to end. */
const QUIET_MS = 30_000;
/** SQLSTATE of disk_full. */
const DISK_FULL = '53100';

/**
 * Keeps the way back to the state right after the restore. A replica that is only read from is that state; before the
 * first use that may write, the database is copied inside of the server, as soon as no other use is under way. A reset
 * puts the copy into the database's place, which takes no time, and is that first state again.
 */
export class Pristine {
  #users = 0;
  #waiting: (() => void)[] = [];
  /** Known to exist: it may, too, when a reset has failed. */
  #copied = false;
  #changing: Promise<unknown> | undefined;
  #tidying: Promise<void> | undefined;

  constructor(
    private readonly server: ReplicaServer,
    private readonly tenant: Tenant,
    private readonly options: {
      /** Of the replica's disk. */
      readonly diskBytes: number;
      /** Ends queries and sessions of PostgreSQL clients, each with a word, before the server ends what is left. */
      readonly endSessions: () => Promise<void>;
      /** When other servers may use the replica, too. */
      readonly lock?: ReplicaLock | undefined;
    },
  ) {}

  /** Throws QUOTA_EXCEEDED when there is no room for the copy, QUERY_TIMEOUT when the others do not end. */
  async use<T>(mayWrite: boolean, work: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + QUIET_MS;
    const { lock } = this.options;
    if (!mayWrite || !lock) return this.#use(mayWrite, deadline, work);
    for (;;) {
      await this.#changing?.catch(() => {});
      const outcome = await lock.together(async (isPreserved) => {
        // A reset waits for the lock.
        if (this.#changing) return undefined;
        this.#copied = isPreserved;
        return isPreserved ? { done: await this.#counted(work) } : undefined;
      });
      if (outcome) return outcome.done;
      if (!this.#changing) await this.#use(true, deadline, async () => {});
    }
  }

  async #use<T>(mayWrite: boolean, deadline: number, work: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#changing) await this.#changing.catch(() => {});
      else if (!mayWrite || this.#copied) break;
      else if (this.#users === 0) await this.#change('copied', () => this.#copyAlone());
      else await this.#quiet(deadline);
    }
    return this.#counted(work);
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
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
    return this.#change('reset', async () => {
      this.#copied = false;
      const facts = await this.#alone(() => resetTenant(this.server, this.tenant), this.tenant);
      // If that fails, the next copy tries again.
      this.#tidying = this.#alone(() => dropLeftovers(this.server)).catch(() => {});
      return facts;
    });
  }

  #alone<T>(work: () => Promise<T>, tenant?: Tenant): Promise<T> {
    return this.options.lock?.alone(work, tenant) ?? work();
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

  async #copyAlone(): Promise<void> {
    await this.#tidying;
    await this.#alone(() => this.#copy());
    this.#copied = true;
  }

  async #copy(): Promise<void> {
    // By another server, or in the time of an earlier one.
    if (await asAdmin(this.server, isPreserved)) return;
    await dropLeftovers(this.server);
    // The database is most of it.
    if (2 * (await usedBytes(this.server)) > this.options.diskBytes) {
      const message =
        'a replica that is written to takes twice the disk, to be reset: more than it may use; raise REPLICA_DISK';
      throw new ReplichatError('QUOTA_EXCEEDED', message, { quota: 'disk' });
    }
    await preserveTenant(this.server, this.tenant);
  }

  /** Whoever comes meanwhile waits. */
  async #change<T>(what: string, work: () => Promise<T>): Promise<T> {
    const changing = this.options
      .endSessions()
      .then(work)
      .catch(async (error) => {
        throw await this.#failure(error, what);
      });
    this.#changing = changing;
    try {
      return await changing;
    } finally {
      this.#changing = undefined;
    }
  }

  async #failure(error: unknown, what: string): Promise<ReplichatError> {
    if (error instanceof ReplichatError) return error;
    if ((error as { code?: unknown }).code === DISK_FULL) {
      const message = `the replica could not be ${what}, as the disk of its server is full; make room there`;
      return new ReplichatError('QUOTA_EXCEEDED', message, { quota: 'disk' }, { cause: error });
    }
    const fault = await this.server.fault().catch(() => undefined);
    const message = `the replica could not be ${what}: ${fault?.message ?? messageOf(error)}; try again, or upload the dump again`;
    return new ReplichatError('REPLICA_NOT_READY', message, { state: null }, { cause: error });
  }
}
