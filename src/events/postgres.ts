import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { clientConfig, type Database } from '../database/database.js';
import { messageOf } from '../domain/errors.js';
import { newId } from '../domain/ids.js';
import type { EventBus, Events } from '../ports.js';
import { Listeners } from './listeners.js';

const CHANNEL = 'replichat';
/** PostgreSQL takes less than 8000 bytes. */
const MOST_PAYLOAD_BYTES = 7_900;
const RECONNECT_MS = 250;
/** A connection of which nothing is heard may be gone without a word. */
const PROBE_INTERVAL_MS = 5_000;
const PROBE_TIMEOUT_MS = 5_000;
/** Larger events are kept for so long; whoever listens reads them at once. */
const KEPT_SECONDS = 60;
/** Of those that could not be told because the database was away; who listens reads the store when it is back. */
const MOST_UNTOLD = 10_000;

/** An event on its way; `id` keeps PostgreSQL from taking two of the same words for one. */
interface Letter {
  readonly id: string;
  readonly kind: keyof Events;
  readonly chatId: string;
  /** As JSON; when it is too large for a notification, the table `event` has it under the id. */
  readonly event?: string;
}

/** An EventBus for all servers on one database, by LISTEN and NOTIFY. Everybody hears the same order. */
export class PostgresEventBus implements EventBus {
  readonly #listeners = new Listeners();
  readonly #missed = new Set<() => void>();
  #untold: Letter[] = [];
  #telling: Promise<void> | undefined;
  #hearing: Promise<void> = Promise.resolve();
  #client: pg.Client | undefined;
  #probing: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(
    private readonly url: string,
    private readonly database: Database,
    private readonly logger: Logger,
  ) {}

  /** Listens when it resolves. The database stays the caller's. */
  static async open(url: string, database: Database, logger: Logger): Promise<PostgresEventBus> {
    const bus = new PostgresEventBus(url, database, logger);
    await bus.#listen();
    return bus;
  }

  /**
   * Resolves when the event is on its way, or has to wait until the database is back: what it tells of is saved, and
   * its caller has done what was asked.
   */
  async publish<K extends keyof Events>(kind: K, chatId: string, event: Events[K]): Promise<void> {
    if (this.#closed) return;
    this.#untold.push({ id: newId(), kind, chatId, event: JSON.stringify(event) });
    // What comes while others are being told goes with the next ones.
    await this.#telling;
    await this.#tell();
  }

  subscribe<K extends keyof Events>(kind: K, chatId: string, listener: (event: Events[K]) => void): () => void {
    return this.#listeners.add(kind, chatId, listener);
  }

  onMissed(listener: () => void): () => void {
    // A Set holds a listener once.
    const own = () => listener();
    this.#missed.add(own);
    return () => void this.#missed.delete(own);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    this.#missed.clear();
    clearInterval(this.#probing);
    await this.#telling;
    await this.#client?.end().catch(() => {});
    await this.#hearing;
  }

  /** All that are untold, in one transaction, which keeps their order. */
  #tell(): Promise<void> {
    const letters = this.#untold;
    if (letters.length === 0 || this.#telling) return this.#telling ?? Promise.resolve();
    this.#untold = [];
    this.#telling = this.#send(letters)
      .catch((error) => {
        this.logger.warn(`events have to wait: ${messageOf(error)}`);
        this.#untold = [...letters, ...this.#untold].slice(-MOST_UNTOLD);
        if (!this.#closed) setTimeout(() => this.#tell(), RECONNECT_MS).unref();
      })
      .finally(() => {
        this.#telling = undefined;
      });
    return this.#telling;
  }

  async #send(letters: readonly Letter[]): Promise<void> {
    const large = letters.filter((letter) => Buffer.byteLength(JSON.stringify(letter)) > MOST_PAYLOAD_BYTES);
    const payloads = letters.map((letter) =>
      JSON.stringify(large.includes(letter) ? { ...letter, event: undefined } : letter),
    );
    await this.database.transaction(async (session) => {
      // What is lost with the database's last moment is read from the store.
      await session.query('SET LOCAL synchronous_commit = off');
      if (large.length > 0) {
        await session.query(
          `WITH outdated AS (DELETE FROM replichat.event WHERE at < now() - $3 * interval '1 s')
           INSERT INTO replichat.event (id, event) SELECT * FROM unnest($1::text[], $2::text[])`,
          [large.map(({ id }) => id), large.map(({ event }) => event), KEPT_SECONDS],
        );
      }
      await session.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [CHANNEL, payloads]);
    });
  }

  async #listen(): Promise<void> {
    const client = new pg.Client({ ...clientConfig(this.url), query_timeout: PROBE_TIMEOUT_MS });
    client.on('error', () => {});
    client.on('notification', ({ payload = '' }) => this.#receive(payload));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
    this.#client = client;
    client.once('end', () => this.#relisten());
    const probe = () => client.query('SELECT').catch(() => client.end().catch(() => {}));
    this.#probing = setInterval(probe, PROBE_INTERVAL_MS).unref();
  }

  /** Whoever may connect to the database may notify. */
  #receive(payload: string): void {
    try {
      this.#hear(JSON.parse(payload));
    } catch (error) {
      this.logger.warn(`a notification is not Replichat's: ${messageOf(error)}`);
    }
  }

  /** Everybody is told that events may have been missed before anything new is told: they read what is stored first. */
  #relisten(): void {
    clearInterval(this.#probing);
    if (this.#closed) return;
    this.logger.warn('the connection that events come by broke');
    const again = this.#reconnect().then(() => {
      for (const listener of [...this.#missed]) listener();
    });
    this.#hearing = this.#hearing.then(() => again);
  }

  /** Until it succeeds, or the bus is closed. */
  async #reconnect(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#listen();
        this.logger.info('events come again');
        break;
      } catch {
        await sleep(RECONNECT_MS, undefined, { ref: false });
      }
    }
    if (this.#closed) await this.#client?.end().catch(() => {});
  }

  /** One after the other, also when one has to be read first. */
  #hear(letter: Letter): void {
    const { kind, chatId } = letter;
    if (!this.#listeners.has(kind, chatId)) return;
    this.#hearing = this.#hearing.then(async () => {
      const json = letter.event ?? (await this.#read(letter.id));
      if (json !== undefined) this.#listeners.tell(kind, chatId, revived(kind, JSON.parse(json)));
    });
  }

  async #read(id: string): Promise<string | undefined> {
    try {
      const { rows } = await this.database.query('SELECT event FROM replichat.event WHERE id = $1', [id]);
      if (rows[0]) return rows[0].event;
      throw new Error('the event is gone');
    } catch (error) {
      this.logger.warn(`an event could not be read: ${messageOf(error)}`);
      for (const listener of [...this.#missed]) listener();
      return undefined;
    }
  }
}

/** JSON has no dates. */
function revived(kind: keyof Events, event: Record<string, unknown>): Events[keyof Events] {
  const dates = DATES[kind].map((name) => [name, new Date(event[name] as string)]);
  return { ...event, ...Object.fromEntries(dates) } as unknown as Events[keyof Events];
}

const DATES: Record<keyof Events, readonly string[]> = {
  replication: ['at', 'acceptedAt'],
  message: ['createdAt'],
  removed: [],
  stop: [],
};
