import { badInput } from '../domain/errors.js';
import type { Message, Row } from '../domain/message.js';
import { requireStorable } from '../domain/text.js';
import type { ReplicaServer } from '../ports.js';
import { readTables, type Table } from '../postgres/catalog.js';
import { schemaText } from '../postgres/schema-text.js';
import { runStatement, type StatementAnswer } from '../postgres/statement.js';
import { type ColumnType, ColumnTypes } from '../postgres/types.js';
import { uniqueNames } from '../postgres/values.js';
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
  /** As PostgreSQL writes them, in the order of `columns`. */
  readonly columnTypes: readonly string[];
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
const LEAST_CHARS = 1_000;
const MOST_CHARS = 1_000_000;

/** Queries on a chat's replica. */
export class QueryService {
  /** What a replica says of PostgreSQL's types is believed of that replica alone. */
  readonly #types = new WeakMap<ReplicaServer, ColumnTypes>();

  constructor(
    private readonly chats: ChatService,
    private readonly replicas: ReplicaService,
    private readonly limits: { readonly maxMessageBytes: number; readonly maxResultBytes: number },
  ) {}

  /**
   * Runs one statement in a transaction of its own, by default a read-only one. Throws BAD_USER_INPUT, NOT_FOUND,
   * REPLICA_NOT_READY, SQL_ERROR, QUERY_TIMEOUT, or QUOTA_EXCEEDED for too large an answer.
   */
  async run(owner: string, request: QueryRequest, signal: AbortSignal): Promise<QueryAnswer> {
    validate(request, this.limits.maxMessageBytes);
    const startedAt = performance.now();
    const { chatId, sql, access, maxRows, timeoutMs } = request;
    const readOnly = access === 'READ_ONLY';
    const maxBytes = this.limits.maxResultBytes;
    const query = (replica: LiveReplica) =>
      inSession(replica, timeoutMs, signal, async (client) => {
        const answer = await runStatement(client, sql, { readOnly, timeoutMs, maxRows, maxBytes });
        return { answer, types: await this.#typesOf(replica.server).of(client, answer.fields) };
      });
    const { answer, types } = await (readOnly
      ? this.replicas.read(owner, chatId, query)
      : this.replicas.write(owner, chatId, query));
    const result = resultOf(answer, types);
    const durationMs = Math.round((performance.now() - startedAt) * 100) / 100;
    return { ...result, durationMs, messages: request.record ? await this.#record(owner, request, result) : [] };
  }

  #typesOf(server: ReplicaServer): ColumnTypes {
    const known = this.#types.get(server) ?? new ColumnTypes();
    this.#types.set(server, known);
    return known;
  }

  async #record(owner: string, { chatId, sql }: QueryRequest, result: Result): Promise<Message[]> {
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

  /** Throws BAD_USER_INPUT, NOT_FOUND, REPLICA_NOT_READY, QUERY_TIMEOUT or QUOTA_EXCEEDED. */
  async tables(owner: string, chatId: string, search: string | null, signal: AbortSignal): Promise<Table[]> {
    if (search !== null) requireStorable('search', search);
    return this.replicas.read(owner, chatId, (replica) =>
      inSession(replica, CATALOG_TIMEOUT_MS, signal, (client) => readTables(client, search)),
    );
  }

  /** The same for a prompt. */
  async schemaText(
    owner: string,
    chatId: string,
    { maxChars, search }: { maxChars: number; search: string | null },
    signal: AbortSignal,
  ): Promise<string> {
    if (!(maxChars >= LEAST_CHARS && maxChars <= MOST_CHARS)) {
      throw badInput('maxChars', `${maxChars} is out of range; give ${LEAST_CHARS} to ${MOST_CHARS}`);
    }
    return schemaText(await this.tables(owner, chatId, search, signal), maxChars);
  }
}

function validate({ sql, maxRows, timeoutMs, record }: QueryRequest, maxMessageBytes: number): void {
  if (sql.trim() === '') throw badInput('sql', 'is empty; give one SQL statement');
  requireStorable('sql', sql);
  if (sql.length > LONGEST_SQL)
    throw badInput('sql', `has ${sql.length} characters; at most ${LONGEST_SQL} are allowed`);
  if (record && Buffer.byteLength(JSON.stringify(sql)) > maxMessageBytes) {
    const problem = `is larger than a message may be, ${maxMessageBytes} bytes (MAX_MESSAGE_BYTES)`;
    throw badInput('sql', `${problem}; run it with record: false`);
  }
  if (!(maxRows >= 1 && maxRows <= MOST_ROWS)) {
    throw badInput('maxRows', `${maxRows} is out of range; give 1 to ${MOST_ROWS}`);
  }
  if (!(timeoutMs >= 1 && timeoutMs <= LONGEST_TIMEOUT_MS)) {
    throw badInput('timeoutMs', `${timeoutMs} is out of range; give 1 to ${LONGEST_TIMEOUT_MS}`);
  }
}

interface Result {
  readonly columns: readonly string[];
  readonly columnTypes: readonly string[];
  readonly rows: readonly Row[];
  readonly rowCount: number;
  readonly truncated: boolean;
}

/** Each call has a session of its own, in which nothing follows them. */
const TRANSACTION_CONTROL = new Set([
  'BEGIN',
  'START TRANSACTION',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT',
  'RELEASE',
  'PREPARE TRANSACTION',
]);

function resultOf({ fields, rows, truncated, tag }: StatementAnswer, types: readonly ColumnType[]): Result {
  if (tag === undefined) throw badInput('sql', 'holds no statement, only comments or semicolons; give one');
  if (TRANSACTION_CONTROL.has(tag)) {
    throw badInput('sql', `${tag} has no effect: each call is a transaction of its own; give what it is to do`);
  }
  const columns = uniqueNames(fields.map(({ name }) => name));
  const read = (text: string | null, index: number) => (text === null ? null : types[index]?.read(text));
  return {
    columns,
    columnTypes: types.map(({ name }) => name),
    rows: rows.map((row) => Object.fromEntries(row.map((text, index) => [columns[index], read(text, index)]))),
    rowCount: columns.length > 0 ? rows.length : Number(/\d+$/.exec(tag)?.[0] ?? 0),
    truncated,
  };
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
