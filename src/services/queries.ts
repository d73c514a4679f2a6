import type { QueryResult as PgResult, PoolClient } from 'pg';
import Cursor from 'pg-cursor';
import { badInput } from '../domain/errors.js';
import type { Message, Row } from '../domain/message.js';
import { readTables, type Table } from '../postgres/catalog.js';
import { jsonTypes, uniqueNames } from '../postgres/values.js';
import { type ChatService, newMessage } from './chats.js';
import type { ReplicaService } from './replicas.js';
import type { LiveReplica } from './running.js';
import { inSession } from './session.js';

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
const CATALOG_TIMEOUT_MS = 15_000;

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
  async run(owner: string, request: QueryRequest, signal: AbortSignal): Promise<QueryAnswer> {
    validate(request);
    const startedAt = performance.now();
    const query = (replica: LiveReplica) =>
      inSession(replica, request.timeoutMs, signal, (client) => runOne(client, request));
    const { chatId } = request;
    const result = await (request.access === 'READ_WRITE'
      ? this.replicas.write(owner, chatId, query)
      : this.replicas.read(owner, chatId, query));
    const durationMs = Math.round((performance.now() - startedAt) * 100) / 100;
    const answer = { ...result, durationMs };
    return { ...answer, messages: request.record ? await this.#record(owner, request, result) : [] };
  }

  async #record(owner: string, { chatId, sql }: QueryRequest, result: StatementResult): Promise<Message[]> {
    const { columns, rowCount } = result;
    const rows = fitting(result.rows, this.limits.maxMessageBytes);
    const truncated = result.truncated || rows.length < result.rows.length;
    const messages = [
      newMessage(chatId, 'USER', { type: 'QUERY', sql }),
      newMessage(chatId, 'ASSISTANT', { type: 'TABLE', columns, rows, rowCount, truncated }),
    ];
    await this.chats.add(owner, chatId, messages);
    return messages;
  }

  /** Throws NOT_FOUND, REPLICA_NOT_READY, QUERY_TIMEOUT or QUOTA_EXCEEDED. */
  async tables(owner: string, chatId: string, search: string | null, signal: AbortSignal): Promise<Table[]> {
    return this.replicas.read(owner, chatId, (replica) =>
      inSession(replica, CATALOG_TIMEOUT_MS, signal, (client) => readTables(client, search)),
    );
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

/** By the extended protocol, which takes one statement only, and through a portal, which hands out so many rows. */
async function runOne(client: PoolClient, { sql, access, maxRows, timeoutMs }: QueryRequest): Promise<StatementResult> {
  await client.query(
    `BEGIN ${access === 'READ_ONLY' ? 'READ ONLY' : 'READ WRITE'}; SET LOCAL statement_timeout = ${timeoutMs}`,
  );
  const cursor = client.query(new StatementCursor(sql, [], { rowMode: 'array', types: jsonTypes }));
  const { rows, result } = await read(cursor, maxRows + 1);
  await cursor.close();
  // Before PostgreSQL 16, large objects could be written in a read-only transaction.
  await client.query(access === 'READ_ONLY' ? 'ROLLBACK' : 'COMMIT');
  const columns = uniqueNames(result.fields.map((field) => field.name));
  const kept = rows.slice(0, maxRows);
  return {
    columns,
    rows: kept.map((values) => Object.fromEntries(columns.map((column, index) => [column, values[index]]))),
    rowCount: columns.length > 0 ? kept.length : (result.rowCount ?? 0),
    truncated: rows.length > maxRows,
  };
}

/** pg-cursor knows nothing of COPY, whose messages would find no handler and end the process. */
class StatementCursor extends Cursor<unknown[]> {
  #refused = false;

  handleCopyInResponse(): void {
    this.#refuse();
  }

  handleCopyData(): void {
    this.#refuse();
  }

  #refuse(): void {
    if (this.#refused) return;
    this.#refused = true;
    const error = badInput('sql', 'COPY to or from the client is not possible here; use SELECT or INSERT');
    (this as unknown as { handleError(error: Error): void }).handleError(error);
  }
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
