import type { DatabaseError, QueryResult as PgResult, PoolClient } from 'pg';
import Cursor from 'pg-cursor';
import { badInput, messageOf, ReplichatError } from '../domain/errors.js';
import type { Message, Row } from '../domain/message.js';
import { readTables, type Table } from '../postgres/catalog.js';
import { jsonTypes, uniqueNames } from '../postgres/values.js';
import { type ChatService, newMessage } from './chats.js';
import type { LiveReplica, ReplicaService } from './replicas.js';

export interface QueryRequest {
  readonly chatId: string;
  readonly sql: string;
  readonly access: 'READ_ONLY' | 'READ_WRITE';
  readonly maxRows: number;
  readonly timeoutMs: number;
  readonly record: boolean;
}

export interface QueryAnswer {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  /** Rows in `rows`, or, for a statement that returns none, rows that it changed. */
  readonly rowCount: number;
  readonly truncated: boolean;
  readonly durationMs: number;
  readonly messages: readonly Message[];
}

const MOST_ROWS = 10_000;
const LONGEST_TIMEOUT_MS = 600_000;
const LONGEST_SQL = 1024 * 1024;
const MOST_RESULT_BYTES = 64 * 1024 * 1024;
/** How long a query may take to heed its cancellation before its backend is ended. */
const GRACE_MS = 1_000;

/** Queries on a chat's replica. */
export class QueryService {
  constructor(
    private readonly chats: ChatService,
    private readonly replicas: ReplicaService,
    private readonly limits: { readonly maxMessageBytes: number },
  ) {}

  /**
   * Runs one statement in a transaction of its own, by default a read-only one. Throws BAD_USER_INPUT, NOT_FOUND,
   * REPLICA_NOT_READY, SQL_ERROR, QUERY_TIMEOUT, or QUOTA_EXCEEDED when the rows are larger than 64 MiB.
   */
  async run(request: QueryRequest, signal: AbortSignal): Promise<QueryAnswer> {
    validate(request);
    const replica = await this.replicas.use(request.chatId);
    const startedAt = performance.now();
    const result = await inSession(replica, request, signal, (client) => runOne(client, request));
    const durationMs = Math.round((performance.now() - startedAt) * 100) / 100;
    const answer = { ...result, durationMs };
    return { ...answer, messages: request.record ? await this.#record(request, result) : [] };
  }

  async #record({ chatId, sql }: QueryRequest, result: StatementResult): Promise<Message[]> {
    const { columns, rowCount } = result;
    const rows = fitting(result.rows, this.limits.maxMessageBytes);
    const truncated = result.truncated || rows.length < result.rows.length;
    const messages = [
      newMessage(chatId, 'USER', { type: 'QUERY', sql }),
      newMessage(chatId, 'ASSISTANT', { type: 'TABLE', columns, rows, rowCount, truncated }),
    ];
    await this.chats.add(chatId, messages);
    return messages;
  }

  /** Throws NOT_FOUND or REPLICA_NOT_READY. */
  async tables(chatId: string, search: string | null): Promise<Table[]> {
    const replica = await this.replicas.use(chatId);
    const client = await replica.pool.connect();
    try {
      return await readTables(client, search);
    } finally {
      client.release();
    }
  }
}

function validate({ sql, maxRows, timeoutMs }: QueryRequest): void {
  if (sql.trim() === '') throw badInput('sql', 'is empty; give one SQL statement');
  if (sql.length > LONGEST_SQL)
    throw badInput('sql', `has ${sql.length} characters; at most ${LONGEST_SQL} are allowed`);
  if (!(maxRows >= 1 && maxRows <= MOST_ROWS)) {
    throw badInput('maxRows', `${maxRows} is out of range; give 1 to ${MOST_ROWS}`);
  }
  if (!(timeoutMs >= 1 && timeoutMs <= LONGEST_TIMEOUT_MS)) {
    throw badInput('timeoutMs', `${timeoutMs} is out of range; give 1 to ${LONGEST_TIMEOUT_MS}`);
  }
}

interface StatementResult {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  readonly rowCount: number;
  readonly truncated: boolean;
}

/** Gives a connection for one statement, and watches over it: its time, its bytes, and whether its client is there. */
async function inSession<T>(
  replica: LiveReplica,
  { timeoutMs }: QueryRequest,
  signal: AbortSignal,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const client = await connect(replica);
  let ended: ReplichatError | undefined;
  const end = (reason: ReplichatError) => {
    ended ??= reason;
    // Its connection breaks, which ends the work; a backend that is gone already needs no ending.
    replica.endBackend(processIdOf(client)).catch(() => {});
  };
  const stream = client.connection.stream;
  let bytes = 0;
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_RESULT_BYTES) {
      end(tooLarge());
      stream.destroy();
    }
  };
  const abandoned = () => end(new ReplichatError('QUERY_TIMEOUT', 'the client has gone'));
  const deadline = setTimeout(() => end(timedOut(timeoutMs)), timeoutMs + GRACE_MS);
  stream.on('data', count);
  signal.addEventListener('abort', abandoned, { once: true });
  try {
    const result = await work(client);
    release(client);
    return result;
  } catch (error) {
    const failure = ended ?? errorOf(error, timeoutMs);
    release(client, ended ?? (isServerError(error) ? undefined : failure));
    throw failure;
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener('abort', abandoned);
    stream.off('data', count);
  }
}

/** From BackendKeyData; @types/pg leaves it out. */
function processIdOf(client: PoolClient): number {
  return (client as unknown as { processID: number }).processID;
}

async function connect(replica: LiveReplica): Promise<PoolClient> {
  try {
    return await replica.pool.connect();
  } catch (error) {
    if (isServerError(error)) throw errorOf(error, 0);
    throw new ReplichatError('REPLICA_NOT_READY', `the replica does not answer: ${messageOf(error)}`, { state: null });
  }
}

/** Back to the pool as if it were new; the caller need not wait for that. */
function release(client: PoolClient, broken?: Error): void {
  if (broken) {
    client.release(broken);
    return;
  }
  const renewed = (async () => {
    if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK');
    await client.query('DISCARD ALL');
  })();
  renewed.then(
    () => client.release(),
    (error) => client.release(error),
  );
}

/** By the extended protocol, which takes one statement only, and through a portal, which hands out so many rows. */
async function runOne(client: PoolClient, { sql, access, maxRows, timeoutMs }: QueryRequest): Promise<StatementResult> {
  await client.query(
    `BEGIN ${access === 'READ_ONLY' ? 'READ ONLY' : 'READ WRITE'}; SET LOCAL statement_timeout = ${timeoutMs}`,
  );
  const cursor = client.query(new Cursor<unknown[]>(sql, [], { rowMode: 'array', types: jsonTypes }));
  const { rows, result } = await read(cursor, maxRows + 1);
  await cursor.close();
  await client.query('COMMIT');
  const columns = uniqueNames(result.fields.map((field) => field.name));
  const kept = rows.slice(0, maxRows);
  return {
    columns,
    rows: kept.map((values) => Object.fromEntries(columns.map((column, index) => [column, values[index]]))),
    rowCount: columns.length > 0 ? kept.length : (result.rowCount ?? 0),
    truncated: rows.length > maxRows,
  };
}

/** Cursor's promise leaves out the columns and the count. */
function read(cursor: Cursor<unknown[]>, count: number): Promise<{ rows: unknown[][]; result: PgResult }> {
  return new Promise((resolve, reject) => {
    cursor.read(count, (error, rows, result) => (error ? reject(error) : resolve({ rows, result })));
  });
}

/** As many rows from the beginning as a message may hold. */
function fitting(rows: readonly Row[], maxBytes: number): Row[] {
  let bytes = 0;
  const end = rows.findIndex((row) => {
    bytes += Buffer.byteLength(JSON.stringify(row)) + 1;
    return bytes > maxBytes;
  });
  return rows.slice(0, end === -1 ? rows.length : end);
}

function isServerError(error: unknown): error is DatabaseError {
  return (error as DatabaseError).severity === 'ERROR';
}

function errorOf(error: unknown, timeoutMs: number): Error {
  if (!isServerError(error)) {
    return new ReplichatError(
      'REPLICA_NOT_READY',
      `the connection to the replica broke during the query: ${messageOf(error)}; query again, or upload again if it is gone`,
      { state: null },
      { cause: error },
    );
  }
  const { code, message, detail, hint, position } = error;
  if (code === '57014') return timedOut(timeoutMs);
  const facts = { sqlstate: code, position: position === undefined ? null : Number(position), detail, hint };
  return new ReplichatError('SQL_ERROR', message, facts);
}

function timedOut(timeoutMs: number): ReplichatError {
  return new ReplichatError(
    'QUERY_TIMEOUT',
    `the query was stopped after ${timeoutMs} ms; make it cheaper or raise timeoutMs`,
    { timeoutMs },
  );
}

function tooLarge(): ReplichatError {
  return new ReplichatError(
    'QUOTA_EXCEEDED',
    `the rows are larger than ${MOST_RESULT_BYTES / 1024 ** 2} MiB; select fewer or smaller columns, or lower maxRows`,
    { quota: 'result bytes' },
  );
}
