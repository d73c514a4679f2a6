import type { DatabaseError, PoolClient } from 'pg';
import { messageOf, ReplichatError } from '../domain/errors.js';
import { AnswerTooLarge } from '../postgres/connect.js';
import type { LiveReplica } from './running.js';

/** How long a query may take to heed its cancellation before its session is ended. */
const GRACE_MS = 1_000;

/**
 * Gives `work` a session on the replica, as good as new. It ends, whatever `work` is waiting for, when the time is up
 * (waiting for a free session included), when the client has gone, when the replica is reset or goes, and when the
 * connection breaks. Throws what `work`
 * throws as ReplichatError, QUERY_TIMEOUT, QUOTA_EXCEEDED for too large an answer, or REPLICA_NOT_READY.
 */
export async function inSession<T>(
  replica: LiveReplica,
  timeoutMs: number,
  signal: AbortSignal,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const { interrupted, interrupt } = interruption();
  const deadline = setTimeout(() => interrupt(timedOut(timeoutMs)), timeoutMs + GRACE_MS);
  const abandoned = () => interrupt(new ReplichatError('QUERY_TIMEOUT', 'the client has gone: the query was stopped'));
  signal.addEventListener('abort', abandoned, { once: true });
  if (signal.aborted) abandoned();
  const { ending } = replica;
  const ended = () => interrupt(ending.reason);
  ending.addEventListener('abort', ended, { once: true });
  if (ending.aborted) ended();
  try {
    const client = await connect(replica, interrupted);
    const { stream } = client.connection;
    const broken = () => interrupt(new Error('the connection ended'));
    stream.once('error', interrupt).once('close', broken);
    try {
      const result = await orInterrupted(work(client), interrupted);
      giveBack(client);
      return result;
    } catch (error) {
      if (isServerError(error)) {
        giveBack(client);
      } else {
        // Nobody knows what the session is at. A backend that is gone already needs no ending.
        if (!ending.aborted) replica.endBackend(processIdOf(client)).catch(() => {});
        client.release(true);
      }
      throw error;
    } finally {
      stream.off('error', interrupt).off('close', broken);
    }
  } catch (error) {
    throw asReplichatError(error, timeoutMs);
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

function orInterrupted<T>(work: Promise<T>, interrupted: Promise<never>): Promise<T> {
  work.catch(() => {});
  return Promise.race([interrupted, work]);
}

async function connect(replica: LiveReplica, interrupted: Promise<never>): Promise<PoolClient> {
  const connecting = replica.pool.connect();
  try {
    return await orInterrupted(connecting, interrupted);
  } catch (error) {
    connecting.then(
      (late) => late.release(),
      () => {},
    );
    throw error;
  }
}

/** Back to the pool as if it were new; the caller need not wait for that. */
function giveBack(client: PoolClient): void {
  const renewed = (async () => {
    if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK');
    await client.query('DISCARD ALL');
  })();
  renewed.then(
    () => client.release(),
    (error) => client.release(error),
  );
}

/** From BackendKeyData; @types/pg leaves it out. */
function processIdOf(client: PoolClient): number {
  return (client as unknown as { processID: number }).processID;
}

function isServerError(error: unknown): error is DatabaseError {
  return (error as DatabaseError).severity === 'ERROR';
}

const QUERY_CANCELED = '57014';

function asReplichatError(error: unknown, timeoutMs: number): ReplichatError {
  if (error instanceof ReplichatError) return error;
  if (error instanceof AnswerTooLarge) {
    const remedy = 'select fewer or smaller columns, or lower maxRows';
    return new ReplichatError('QUOTA_EXCEEDED', `${error.message}; ${remedy}`, { quota: 'result bytes' });
  }
  if (!isServerError(error)) {
    const remedy = 'query again, or upload again if the replica is gone';
    const message = `the connection to the replica broke: ${messageOf(error)}; ${remedy}`;
    return new ReplichatError('REPLICA_NOT_READY', message, { state: null }, { cause: error });
  }
  const { code, message, detail, hint, position } = error;
  if (code === QUERY_CANCELED) return timedOut(timeoutMs);
  const facts = { sqlstate: code, position: position === undefined ? null : Number(position), detail, hint };
  return new ReplichatError('SQL_ERROR', message, facts);
}

function timedOut(timeoutMs: number): ReplichatError {
  const message = `the query was stopped after ${timeoutMs} ms; make it cheaper or raise timeoutMs`;
  return new ReplichatError('QUERY_TIMEOUT', message, { timeoutMs });
}
