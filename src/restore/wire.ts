import type { Duplex } from 'node:stream';
import type { Client, DatabaseError, Submittable } from 'pg';

/**
 * Statements and COPY data sent to PostgreSQL as the bytes that they are in the file. node-postgres (and
 * pg-copy-streams) encode every statement as UTF-8; a dump may be in any client encoding, which the server, told by
 * the dump's own `SET client_encoding`, then converts. Message formats: PostgreSQL manual, 53.7.
 */

const ONE_PIECE_BYTES = 64 * 1024;

interface Connection {
  readonly stream: Duplex;
}

/** Runs one statement by the simple query protocol. Rejects with the server's DatabaseError or the connection's end. */
export function runStatement(client: Client, statement: Buffer): Promise<void> {
  return client.query(new RawQuery(statement)).ended;
}

/** Sends `COPY ... FROM STDIN` and resolves when the server waits for rows. */
export async function startCopy(client: Client, statement: Buffer): Promise<CopyIn> {
  const query = client.query(new RawQuery(statement, true));
  // The same failure also rejects copyReady or the first write; unheard it would end the process.
  query.ended.catch(() => {});
  await Promise.race([query.copyReady, query.ended]);
  return new CopyIn(query);
}

/** The rows' way to the server. `write` and `finish` reject as soon as the server has refused the COPY. */
export class CopyIn {
  constructor(private readonly query: RawQuery) {}

  /** Resolves when the socket takes more. `rows` may end anywhere within a row. */
  async write(rows: Buffer): Promise<void> {
    if (!this.query.failure && !this.query.send('d', rows)) await this.query.drained();
    if (this.query.failure) throw this.query.failure;
  }

  /** Resolves when the server has stored all rows. */
  async finish(): Promise<void> {
    if (!this.query.failure) this.query.send('c', Buffer.alloc(0));
    await this.query.ended;
  }
}

class RawQuery implements Submittable {
  readonly ended: Promise<void>;
  readonly copyReady: Promise<void>;
  failure: Error | undefined;
  #connection: Connection | undefined;
  #completed = false;
  #stopWaiting: (() => void) | undefined;
  #succeed!: () => void;
  #fail!: (error: Error) => void;
  #startCopy!: () => void;

  constructor(
    private readonly statement: Buffer,
    private readonly copies = false,
  ) {
    this.ended = new Promise((resolve, reject) => {
      this.#succeed = resolve;
      this.#fail = reject;
    });
    this.copyReady = new Promise((resolve) => {
      this.#startCopy = resolve;
    });
  }

  get stream(): Duplex {
    if (!this.#connection) throw new Error('the statement has not been sent yet');
    return this.#connection.stream;
  }

  /** Resolves when the socket takes more, or never will: then there is a `failure`. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#stopWaiting = undefined;
        this.stream.off('drain', done);
        resolve();
      };
      this.#stopWaiting = done;
      this.stream.on('drain', done);
    });
  }

  /** Returns false when the socket's buffer is full. */
  send(type: string, ...body: Buffer[]): boolean {
    const header = Buffer.alloc(5);
    const length = body.reduce((sum, part) => sum + part.length, 0);
    header.write(type, 0, 'latin1');
    header.writeUInt32BE(4 + length, 1);
    // In pieces, a short message would wait for the acknowledgement of the first one, on the relay's TCP connection.
    if (length <= ONE_PIECE_BYTES) return this.stream.write(Buffer.concat([header, ...body]));
    let more = this.stream.write(header);
    for (const part of body) more = this.stream.write(part);
    return more;
  }

  // What node-postgres calls on the query under way (its Submittable protocol, as pg-cursor uses it).

  submit(connection: unknown): void {
    this.#connection = connection as Connection;
    this.send('Q', this.statement, Buffer.alloc(1));
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}

  /** The lexer's idea of where a statement ends must be the server's. */
  handleCommandComplete(): void {
    if (this.#completed) this.handleError(new Error('the server found a second statement where there should be one'));
    this.#completed = true;
  }

  handleEmptyQuery(): void {}
  handleCopyData(): void {}

  handleCopyInResponse(): void {
    if (this.copies) this.#startCopy();
    else this.send('f', Buffer.from('no rows follow this statement in the file\0'));
  }

  handleError(error: DatabaseError | Error): void {
    this.failure ??= error;
    this.#fail(error);
    this.#stopWaiting?.();
  }

  handleReadyForQuery(): void {
    if (this.copies && !this.failure) this.#startCopy();
    this.#succeed();
  }
}
