import type { Duplex } from 'node:stream';
import type { Connection, DatabaseError, FieldDef, PoolClient, Submittable } from 'pg';
import { badInput } from '../domain/errors.js';
import { limitAnswers } from './connect.js';
import { MOST_ANSWER_BYTES } from './well-formed.js';

export interface StatementLimits {
  /** In a read-only transaction that is rolled back; otherwise in none of ours, as VACUUM wants none. */
  readonly readOnly: boolean;
  readonly timeoutMs: number;
  readonly maxRows: number;
  /** Of the answer as the server sends it. */
  readonly maxBytes: number;
}

/** What PostgreSQL answers to one statement. */
export interface StatementAnswer {
  /** Empty when it returns no rows. */
  readonly fields: readonly FieldDef[];
  /** As PostgreSQL's text. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Whether there were more than `maxRows`. */
  readonly truncated: boolean;
  /** PostgreSQL's command tag: "SELECT 3", "INSERT 0 1"; undefined when there is no statement in the text. */
  readonly tag: string | undefined;
}

/**
 * Runs one statement of anybody's: by the extended protocol, which takes no second one, and through a portal, which
 * hands out so many rows and then stops. Throws the server's DatabaseError, or BAD_USER_INPUT for a COPY from or to the
 * client. What may write is committed after its whole answer has arrived: when that is refused, nothing has changed.
 */
export async function runStatement(client: PoolClient, sql: string, limits: StatementLimits): Promise<StatementAnswer> {
  if (!limits.readOnly) {
    // The role may have been given another default.
    await client.query(`SET default_transaction_read_only = off; SET statement_timeout = ${limits.timeoutMs}`);
  }
  limitAnswers(client, limits.maxBytes);
  try {
    return await client.query(new Statement(sql, limits)).answer;
  } finally {
    limitAnswers(client, MOST_ANSWER_BYTES);
  }
}

/** What a query may send by. @types/pg describes another version of it. */
interface Wire {
  readonly stream: Duplex;
  parse(statement: { text: string }): void;
  bind(): void;
  describe(what: { type: 'P' }): void;
  execute(portal?: { rows: number }): void;
  close(what: { type: 'P' }): void;
  flush(): void;
  sync(): void;
  sendCopyFail(reason: string): void;
}

const COPY_REFUSED = 'COPY from or to the client is not possible here; use INSERT or SELECT';

/** What node-postgres sends and hands the answers to, message by message. */
class Statement implements Submittable {
  readonly answer: Promise<StatementAnswer>;
  #succeed!: (answer: StatementAnswer) => void;
  #fail!: (error: Error) => void;
  /** How many of ours are still to be executed before it; negative after it. */
  #before = 0;
  #fields: FieldDef[] = [];
  #rows: (string | null)[][] = [];
  #tag: string | undefined;
  #copies = false;
  #synced = false;

  constructor(
    private readonly sql: string,
    private readonly limits: StatementLimits,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.#succeed = resolve;
      this.#fail = reject;
    });
  }

  /** What only reads goes in one piece, to be answered in one. */
  submit(connection: Connection): void {
    const wire = connection as unknown as Wire;
    const { readOnly, timeoutMs, maxRows } = this.limits;
    wire.stream.cork();
    if (readOnly) {
      const before = ['BEGIN READ ONLY', `SET LOCAL statement_timeout = ${timeoutMs}`];
      for (const sql of before) send(wire, sql);
      this.#before = before.length;
    }
    wire.parse({ text: this.sql });
    wire.bind();
    wire.describe({ type: 'P' });
    wire.execute({ rows: maxRows + 1 });
    if (readOnly) {
      // A COPY FROM STDIN reads on until something comes that is no row and no Sync.
      wire.close({ type: 'P' });
      // Before PostgreSQL 16, large objects could be written in a read-only transaction.
      send(wire, 'ROLLBACK');
      this.#sync(wire);
    } else {
      wire.flush();
    }
    wire.stream.uncork();
  }

  handleRowDescription({ fields }: { fields: FieldDef[] }): void {
    this.#fields = fields;
  }

  handleDataRow({ fields }: { fields: (string | null)[] }): void {
    this.#rows.push(fields);
  }

  handleCommandComplete({ text }: { text: string }, wire: Wire): void {
    this.#executed(wire, text);
  }

  handlePortalSuspended(wire: Wire): void {
    this.#executed(wire, 'SELECT');
  }

  handleEmptyQuery(wire: Wire): void {
    this.#executed(wire, undefined);
  }

  #executed(wire: Wire, tag: string | undefined): void {
    if (this.#before === 0) this.#tag = tag;
    this.#before -= 1;
    this.#sync(wire);
  }

  /** Ends the transaction that is not explicit. */
  #sync(wire: Wire): void {
    if (!this.#synced) wire.sync();
    this.#synced = true;
  }

  handleReadyForQuery(): void {
    const { maxRows } = this.limits;
    const truncated = this.#rows.length > maxRows;
    if (truncated) this.#rows.pop();
    this.#succeed({ fields: this.#fields, rows: this.#rows, truncated, tag: this.#tag });
  }

  handleCopyInResponse(wire: Wire): void {
    this.#copies = true;
    wire.sendCopyFail(COPY_REFUSED);
  }

  /** It would go on to its end. */
  handleCopyData(_row: unknown, { stream }: Wire): void {
    if (!stream.destroyed) stream.destroy(badInput('sql', COPY_REFUSED));
  }

  /** Of the server, or that the connection has ended. */
  handleError(error: DatabaseError | Error, wire: Wire): void {
    this.#sync(wire);
    if ('code' in error) error.hint ??= hintFor(error, this.limits.readOnly);
    this.#fail(this.#copies ? badInput('sql', COPY_REFUSED) : error);
  }
}

/** For what the limits of this road make of a statement, which PostgreSQL cannot know. */
function hintFor({ code, routine }: DatabaseError, readOnly: boolean): string | undefined {
  if (code === '42601' && routine === 'exec_parse_message') return 'Run one statement per call.';
  if (code === '42P18' || code === '42P02' || code === '08P01') {
    return 'There are no parameters here: write the values into the statement.';
  }
  // Read-only transaction, inside of a transaction, invalid end of a transaction.
  if (readOnly && (code === '25006' || code === '25001' || code === '2D000')) {
    return 'This ran with access READ_ONLY, in a read-only transaction. Run it with access READ_WRITE.';
  }
  return undefined;
}

function send(wire: Wire, sql: string): void {
  wire.parse({ text: sql });
  wire.bind();
  wire.execute();
}
