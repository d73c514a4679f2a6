import { messageOf, ReplichatError } from '../domain/errors.js';
import type { ReplicaServer } from '../ports.js';
import { isPreserved } from './preserve.js';
import { Admin, asAdmin, endSessions, type Tenant } from './tenant.js';

/** An advisory lock in the maintenance database, which no chat's role can enter. */
const ONE_AT_A_TIME = 7_241_019;
const END_AGAIN_MS = 100;
const IDLE_MS = 10_000;

/**
 * Between the servers that use one replica: many may write to it together, while the copy for its reset exists; making
 * that copy, and the reset, one does alone.
 */
export class ReplicaLock {
  #users = 0;
  #held: Promise<boolean> | undefined;
  #releasing: Promise<unknown> = Promise.resolve();
  #admin: Promise<Admin> | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(private readonly server: ReplicaServer) {}

  /** Tells `work` whether there is a copy, which there is then until `work` has ended. Throws REPLICA_NOT_READY. */
  async together<T>(work: (isPreserved: boolean) => Promise<T>): Promise<T> {
    this.#users += 1;
    try {
      this.#held ??= this.#acquire();
      return await work(await this.#held);
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#release();
    }
  }

  /** Waits for all others. With a tenant it ends their sessions, so that they end what they do. */
  async alone<T>(work: () => Promise<T>, tenant?: Tenant): Promise<T> {
    return asAdmin(this.server, async ({ client }) => {
      let isOver = false;
      const locked = client.query('SELECT pg_advisory_lock($1)', [ONE_AT_A_TIME]).finally(() => {
        isOver = true;
      });
      locked.catch(() => {});
      while (tenant && !isOver) {
        await Promise.race([locked, new Promise((resolve) => setTimeout(resolve, END_AGAIN_MS))]);
        if (!isOver) await asAdmin(this.server, (other) => endSessions(other, tenant));
      }
      await locked;
      // The lock ends with the session.
      return work();
    });
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    await this.#releasing;
    const admin = await this.#admin?.catch(() => undefined);
    this.#admin = undefined;
    await admin?.end();
  }

  async #acquire(): Promise<boolean> {
    clearTimeout(this.#idle);
    await this.#releasing;
    try {
      this.#admin ??= Admin.connect(this.server);
      const admin = await this.#admin;
      await admin.client.query('SELECT pg_advisory_lock_shared($1)', [ONE_AT_A_TIME]);
      return await isPreserved(admin);
    } catch (error) {
      await this.#discard();
      const message = `the replica could not be prepared to be written to: ${messageOf(error)}; try again`;
      throw new ReplichatError('REPLICA_NOT_READY', message, { state: null }, { cause: error });
    }
  }

  #release(): void {
    const held = this.#held;
    this.#held = undefined;
    this.#releasing = (async () => {
      const isHeld = await held?.then(
        () => true,
        () => false,
      );
      const admin = isHeld ? await this.#admin : undefined;
      await admin?.client.query('SELECT pg_advisory_unlock_shared($1)', [ONE_AT_A_TIME]).catch(() => this.#discard());
      this.#idle = setTimeout(() => this.close(), IDLE_MS).unref();
    })();
  }

  async #discard(): Promise<void> {
    const admin = this.#admin;
    this.#admin = undefined;
    await (await admin?.catch(() => undefined))?.end();
  }
}
