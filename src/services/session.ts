import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseError, PoolClient } from 'pg';
import { messageOf, ReplichatError } from '../domain/errors.js';
import { cancelQuery } from '../postgres/connect.js';
import { AnswerTooLarge } from '../postgres/well-formed.js';
import type { LiveReplica } from './running.js';

/** How much later than PostgreSQL we notice that the time is up. */
const LATE_MS = 250;
/** How long what is cancelled may take to heed that, and a session to become as good as new, before it is ended. */
const GRACE_MS = 2_000;

/**
 * Gives `work` a session on the replica, as good as new. It ends, whatever `work` is waiting for, when the time is up
 * (waiting for a free session included), when the client has gone, when the replica is reset or goes, and when the
 * connection breaks. Throws what `work` throws as ReplichatError, QUERY_TIMEOUT, QUOTA_EXCEEDED for too large an answer,
 * or REPLICA_NOT_READY.
 */
export async function inSession<T>(
  replica: LiveReplica,
  timeoutMs: number,
  signal: AbortSignal,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const begin = performance.now();
  const timedOut = () => performance.now() - begin >= timeoutMs;
  const { interrupted, interrupt } = interruption();
  const deadline = setTimeout(() => interrupt(outOfTime(timeoutMs)), timeoutMs + LATE_MS);
  const abandoned = () => interrupt(new ReplichatError('QUERY_TIMEOUT', 'the client has gone: the query was stopped'));
  signal.addEventListener('abort', abandoned, { once: true });
  if (signal.aborted) abandoned();
  const { ending } = replica;
  const ended = () => interrupt(ending.reason);
  ending.addEventListener('abort', ended, { once: true });
  if (ending.aborted) ended();
  try {
    const session = await QuerySession.open(replica, interrupted);
    return await session.run(work, interrupted, ending);
  } catch (error) {
    if (error instanceof ReplichatError) throw error;
    if (error instanceof AnswerTooLarge) throw tooLarge(error);
    if (!isServerError(error)) throw await brokenConnection(replica, error);
    if (error.code === QUERY_CANCELED && timedOut()) throw outOfTime(timeoutMs);
    throw new ReplichatError('SQL_ERROR', error.message, factsOf(error));
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener('abort', abandoned);
    ending.removeEventListener('abort', ended);
  }
}

function interruption(): { interrupted: Promise<never>; interrupt: (reason: Error) => void } {
  let interrupt!: (reason: Error) => void;
  const interrupted = new Promise<never>((_resolve, reject) => {
    interrupt = reject;
  });
  interrupted.catch(() => {});
  return { interrupted, interrupt };
}

const CANNOT_CONNECT_NOW = '57P03';
const RECOVERY_MS = 100;

/** Waits while PostgreSQL is recovering: one backend that is killed, for its use of memory, ends all others. */
async function connect({ pool }: LiveReplica, interrupted: Promise<never>): Promise<PoolClient> {
  for (;;) {
    try {
      return await pool.connect();
    } catch (error) {
      if ((error as DatabaseError).code !== CANNOT_CONNECT_NOW) throw error;
    }
    await Promise.race([sleep(RECOVERY_MS), interrupted]);
  }
}

/** Out of the replica's pool, and back to it or to its end. */
class QuerySession {
  private constructor(
    private readonly replica: LiveReplica,
    private readonly client: PoolClient,
    private readonly giveTurn: () => void,
  ) {}

  static async open(replica: LiveReplica, interrupted: Promise<never>): Promise<QuerySession> {
    const giveTurn = await replica.turns.take(interrupted);
    const connecting = connect(replica, interrupted);
    try {
      return new QuerySession(replica, await Promise.race([interrupted, connecting]), giveTurn);
    } catch (error) {
      connecting.then((late) => late.release()).then(giveTurn, giveTurn);
      throw error;
    }
  }

  async run<T>(work: (client: PoolClient) => Promise<T>, interrupted: Promise<never>, ending: AbortSignal): Promise<T> {
    const { broken, forget } = this.#watch();
    const running = work(this.client);
    running.catch(() => {});
    try {
      const result = await Promise.race([interrupted, broken, running]);
      this.#giveBack();
      return result;
    } catch (error) {
      // Whoever asked need not wait for that.
      if (ending.aborted) this.#end(true);
      else if (isServerError(error)) this.#giveBack();
      else this.#stop(running).catch(() => {});
      throw error;
    } finally {
      forget();
    }
  }

  #watch(): { broken: Promise<never>; forget: () => void } {
    const { stream } = this.client.connection;
    const { interrupted: broken, interrupt } = interruption();
    const closed = () => interrupt(new Error('the connection ended'));
    stream.once('error', interrupt).once('close', closed);
    return { broken, forget: () => stream.off('error', interrupt).off('close', closed) };
  }

  /** Cancels what it is at. What does not heed that costs its backend. */
  async #stop(running: Promise<unknown>): Promise<void> {
    const { server } = this.replica;
    const settled = running.then(() => true, isServerError);
    const cancelled = cancelQuery(server, this.client).then(() => settled);
    const idle = await Promise.race([cancelled.catch(() => false), sleep(GRACE_MS, false, { ref: false })]);
    if (idle) return this.#giveBack();
    // A backend that is gone already needs no ending.
    this.replica.endBackend(processIdOf(this.client)).catch(() => {});
    this.#end(true);
  }

  /** As if it were new. */
  async #giveBack(): Promise<void> {
    const { client } = this;
    const renewed = (async () => {
      if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK');
      await client.query('DISCARD ALL');
    })();
    const late = sleep(GRACE_MS, undefined, { ref: false }).then(() => {
      throw new Error('the session could not be renewed');
    });
    await Promise.race([renewed, late]).then(
      () => this.#end(false),
      () => this.#end(true),
    );
  }

  #end(spoilt: boolean): void {
    this.client.release(spoilt);
    this.giveTurn();
  }
}

/** From BackendKeyData; @types/pg leaves it out. */
function processIdOf(client: PoolClient): number {
  return (client as unknown as { processID: number }).processID;
}

function isServerError(error: unknown): error is DatabaseError {
  return (error as DatabaseError).severity === 'ERROR';
}

const QUERY_CANCELED = '57014';
/** What PostgreSQL says to a session that is ended on purpose. */
const ADMIN_SHUTDOWN = '57P01';

function tooLarge(error: AnswerTooLarge): ReplichatError {
  const remedy = 'select fewer or smaller columns, or lower maxRows';
  return new ReplichatError('QUOTA_EXCEEDED', `${error.message}; ${remedy}`, {
    quota: 'result bytes',
  });
}

async function brokenConnection({ server }: LiveReplica, error: unknown): Promise<ReplichatError> {
  const onPurpose = (error as DatabaseError).code === ADMIN_SHUTDOWN;
  const fault = onPurpose ? undefined : await server.fault().catch(() => undefined);
  const remedy = 'query again, or upload again if the replica is gone';
  const message = `the connection to the replica broke: ${fault?.message ?? messageOf(error)}; ${remedy}`;
  return new ReplichatError('REPLICA_NOT_READY', message, { state: null }, { cause: error });
}

/** What its fields are called in PostgreSQL's protocol, 55.8; those that it has not are left out. */
function factsOf(error: DatabaseError): Record<string, unknown> {
  const { code: sqlstate, position, detail, hint, where, schema, table, column, dataType, constraint } = error;
  return {
    sqlstate,
    position: position === undefined ? null : Number(position),
    ...{ detail, hint, where, schema, table, column, dataType, constraint },
  };
}

function outOfTime(timeoutMs: number): ReplichatError {
  const message = `the query was stopped after ${timeoutMs} ms; make it cheaper or raise timeoutMs`;
  return new ReplichatError('QUERY_TIMEOUT', message, { timeoutMs });
}
