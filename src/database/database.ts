import pg from 'pg';
import type { Logger } from 'pino';
import { messageOf, ReplichatError } from '../domain/errors.js';
import { isStorable } from '../domain/text.js';

const MOST_CONNECTIONS = 10;
const CONNECT_TIMEOUT_MS = 5_000;
/** How long one of the pool's connections is waited for: when hundreds ask at once, the last ones have to. */
const TURN_TIMEOUT_MS = 20_000;
/** Nothing that is asked here takes long: who does not answer by then is gone. */
const QUERY_TIMEOUT_MS = 60_000;

const INT8 = 20;

/** Counts and positions stay below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format)),
};

export interface Session {
  /** No text that PostgreSQL cannot hold is there: in the place of one among `values`, it is asked for null. */
  query<R extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<pg.QueryResult<R>>;
}

export function clientConfig(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'replichat',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    types,
  };
}

/** The pool has one time limit for both, and hands it on. */
class QuickClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super({ ...config, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  }
}

/**
 * The server's own PostgreSQL (DATABASE_URL). Throws STORE_UNAVAILABLE while it does not answer; when it does again,
 * everything goes on by itself.
 */
export class Database {
  readonly #pool: pg.Pool;

  constructor(
    url: string,
    private readonly logger: Logger,
  ) {
    this.#pool = new pg.Pool({
      ...clientConfig(url),
      max: MOST_CONNECTIONS,
      connectionTimeoutMillis: TURN_TIMEOUT_MS,
      Client: QuickClient,
    });
    // A connection that breaks while nobody uses it; the pool leaves it out from then on.
    this.#pool.on('error', (error) => logger.warn(`a connection to the database broke: ${messageOf(error)}`));
    // One that breaks while it is used: its query fails, too.
    this.#pool.on('connect', (client) => client.on('error', () => {}));
  }

  /** Runs one statement, in a transaction of its own. */
  async query<R extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<pg.QueryResult<R>> {
    return this.#withSession((session) => session.query<R>(text, values));
  }

  /** All that `work` does with the session happens, or none of it. */
  async transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#withSession(async (session) => {
      await session.query('BEGIN');
      try {
        const result = await work(session);
        await session.query('COMMIT');
        return result;
      } catch (error) {
        if (!isBroken(error)) await session.query('ROLLBACK');
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #withSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch((error) => this.#fail(error));
    let broken = false;
    try {
      return await work({ query: (text, values = []) => client.query(text, values.map(storable)) });
    } catch (error) {
      broken = isBroken(error);
      if (broken) this.#fail(error);
      throw error;
    } finally {
      client.release(broken);
    }
  }

  #fail(error: unknown): never {
    this.logger.warn(`the database does not answer: ${messageOf(error)}`);
    throw unavailable(error);
  }
}

function storable(value: unknown): unknown {
  return typeof value === 'string' && !isStorable(value) ? null : value;
}

export function isUniqueViolation(error: unknown): boolean {
  return (error as pg.DatabaseError).code === '23505';
}

/** Whether the session is of no use any more, as the server's and node-postgres's errors say it. */
function isBroken(error: unknown): boolean {
  const { code = '', severity, message } = error as Partial<pg.DatabaseError>;
  return severity === undefined
    ? /^E[A-Z]+$/.test(code) || LOST.test(message ?? '')
    : severity === 'FATAL' || severity === 'PANIC';
}

/** node-postgres gives these no code. */
const LOST = /^(Connection terminated|Client has encountered a connection error|Query read timeout)/;

function unavailable(cause: unknown): ReplichatError {
  const message =
    'the server cannot reach its database (DATABASE_URL) right now: try again; what was acknowledged is not lost';
  return new ReplichatError('STORE_UNAVAILABLE', message, {}, { cause });
}
