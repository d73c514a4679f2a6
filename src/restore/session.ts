import type { Duplex } from 'node:stream';
import pg, { type DatabaseError } from 'pg';

/**
 * Statements and COPY data sent to PostgreSQL as the bytes that they are in the file. node-postgres (and
 * pg-copy-streams) encode every statement as UTF-8; a dump may be in any client encoding, which the server, told by
 * the dump's own `SET client_encoding`, then converts. Message formats: PostgreSQL manual, 55.7.
 */

/** What node-postgres emits for each message that the server sends. */
interface Connection {
  readonly stream: Duplex;
  on(event: string, listener: (message: never) => void): this;
  removeAllListeners(event: string): this;
}

/** Messages that the session handles itself once node-postgres has logged in. */
const MESSAGES = ['errorMessage', 'readyForQuery', 'rowDescription', 'dataRow', 'emptyQuery', 'commandComplete'];
const COPY_MESSAGES = ['copyInResponse', 'copyOutResponse', 'copyData', 'copyDone'];

/** What may be on its way to the server before the first of it is answered. */
const MOST_AHEAD = 256;
const MOST_AHEAD_BYTES = 256 * 1024;
/** Beyond it, copying a statement costs more than sending it in pieces. */
const ONE_PIECE_BYTES = 64 * 1024;
const HEADER_BYTES = 5;

/**
 * A session of one role, which takes statements before the earlier ones have been answered. node-postgres logs in and
 * reads the messages; its own queue sends one custom query at a time, which is what this one is for.
 */
export class Session {
  /** In order of sending; the server answers the first. */
  readonly #unanswered: Request[] = [];
  readonly #connection: Connection;
  #bytesAhead = 0;
  #status: 'I' | 'T' | 'E' = 'I';
  #broken: Error | undefined;
  #wake: (() => void) | undefined;

  private constructor(private readonly client: pg.Client) {
    this.#connection = client.connection as unknown as Connection;
    const connection = this.#connection;
    for (const event of [...MESSAGES, ...COPY_MESSAGES]) connection.removeAllListeners(event);
    connection.on('errorMessage', (error: DatabaseError) => this.#failed(error));
    connection.on('readyForQuery', (message: { status: 'I' | 'T' | 'E' }) => this.#ready(message.status));
    connection.on('dataRow', (row: { fields: (string | null)[] }) => this.#unanswered[0]?.rows?.push(row.fields));
    connection.on('commandComplete', () => this.#completed());
    connection.on('copyInResponse', () => this.#copyIn());
    connection.on('error', (error: Error) => this.#break(error));
    connection.on('end', () => this.#break(new Error('the connection ended')));
    connection.stream.on('drain', () => this.#wake?.());
  }

  /** Rejects when the server does not let it in. */
  static async open(config: pg.ClientConfig): Promise<Session> {
    const client = new pg.Client(config);
    client.on('error', () => {});
    await client.connect();
    return new Session(client);
  }

  /** As of the last answer: I for none, T inside of a transaction, E inside of one that has failed. */
  get transaction(): 'I' | 'T' | 'E' {
    return this.#status;
  }

  /** Runs one statement after those sent before. Rejects with the server's DatabaseError or the connection's end. */
  run(statement: Buffer): Promise<void> {
    return this.#send(new Request(statement.length), statement);
  }

  /** The answer's rows, each value as PostgreSQL's text. */
  async rows(query: string): Promise<(string | null)[][]> {
    const statement = Buffer.from(query);
    const request = new Request(statement.length, { rows: [] });
    await this.#send(request, statement);
    return request.rows as (string | null)[][];
  }

  /** Sends `COPY ... FROM STDIN` and resolves when the server waits for rows. */
  async startCopy(statement: Buffer): Promise<CopyIn> {
    const request = new Request(statement.length, { copies: true });
    this.#send(request, statement).catch(() => {});
    await Promise.race([request.copyReady, request.ended]);
    return new CopyIn(this, request);
  }

  /** COPY with all of its rows in one go, for few. The server ignores the rows of a COPY that it refuses. */
  copy(statement: Buffer, rows: Buffer): Promise<void> {
    const request = new Request(statement.length + rows.length, { copies: true });
    const ended = this.#send(request, statement);
    if (rows.length > 0) this.#write(message('d', rows));
    this.#write(message('c'));
    return ended;
  }

  /** Resolves when another statement may be sent, rejects when the connection has ended. */
  async room(): Promise<void> {
    while (!this.#broken && (this.#isFull || this.#connection.stream.writableNeedDrain)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#broken) throw this.#broken;
  }

  async end(): Promise<void> {
    if (!this.#broken) await this.client.end();
  }

  destroy(): void {
    this.#connection.stream.destroy();
  }

  get #isFull(): boolean {
    return this.#unanswered.length >= MOST_AHEAD || this.#bytesAhead >= MOST_AHEAD_BYTES;
  }

  #send(request: Request, statement: Buffer): Promise<void> {
    if (this.#broken) {
      request.fail(this.#broken);
      request.end();
      return request.ended;
    }
    this.#unanswered.push(request);
    this.#bytesAhead += request.bytes;
    for (const piece of messagePieces('Q', statement)) this.#write(piece);
    return request.ended;
  }

  #write(bytes: Buffer): boolean {
    return this.#connection.stream.write(bytes);
  }

  /** For CopyIn: resolves when the socket has taken it, and `framed` may be written over. */
  sendFramed(framed: Buffer): Promise<void> {
    frame('d', framed);
    return new Promise((resolve, reject) => {
      this.#connection.stream.write(framed, (error) => (error ? reject(error) : resolve()));
    });
  }

  finishCopy(): void {
    this.#write(message('c'));
  }

  #failed(error: Error): void {
    this.#unanswered[0]?.fail(error);
  }

  /** The lexer's idea of where a statement ends must be the server's. */
  #completed(): void {
    const request = this.#unanswered[0];
    if (request?.completed) request.fail(new NotOneStatement());
    if (request) request.completed = true;
  }

  #copyIn(): void {
    const request = this.#unanswered[0];
    if (request?.copies) request.startCopy();
    else if (this.#unanswered.length === 1)
      this.#write(message('f', Buffer.from('no rows follow this statement in the file\0')));
    // The statements behind it would be read as its rows.
    else this.destroy();
  }

  #ready(status: 'I' | 'T' | 'E'): void {
    this.#status = status;
    const request = this.#unanswered.shift();
    if (request) this.#bytesAhead -= request.bytes;
    request?.end();
    this.#wake?.();
  }

  #break(error: Error): void {
    this.#broken ??= error;
    for (const request of this.#unanswered.splice(0)) {
      request.fail(this.#broken);
      request.end();
    }
    this.#wake?.();
  }
}

/** The rows' way to the server. */
export class CopyIn {
  /** Left free at the beginning of what `write` is given. */
  static readonly HEADER_BYTES = HEADER_BYTES;

  constructor(
    private readonly session: Session,
    private readonly request: Request,
  ) {}

  /**
   * Rows, which may end anywhere within a row, after HEADER_BYTES of room. Resolves when the buffer may be used again.
   * Rejects as soon as the server has refused the COPY.
   */
  async write(framed: Buffer): Promise<void> {
    if (this.request.failure) throw this.request.failure;
    await new Promise<void>((resolve, reject) => {
      // Instead of a race with `ended`, which would remember every write until the COPY ends.
      this.request.onEnd = resolve;
      this.session.sendFramed(framed).then(resolve, reject);
    });
    if (this.request.failure) throw this.request.failure;
  }

  /** Resolves when the server has stored all rows. */
  async finish(): Promise<void> {
    if (!this.request.failure) this.session.finishCopy();
    await this.request.ended;
  }
}

/** The server does not see the statement end where the script was split. */
export class NotOneStatement extends Error {
  override readonly name = 'NotOneStatement';

  constructor() {
    super('the server found more than one statement where the script seems to have one');
  }
}

class Request {
  readonly ended: Promise<void>;
  readonly copyReady: Promise<void>;
  readonly copies: boolean;
  readonly rows: (string | null)[][] | undefined;
  failure: Error | undefined;
  completed = false;
  onEnd: () => void = () => {};
  startCopy!: () => void;
  #succeed!: () => void;
  #fail!: (error: Error) => void;

  constructor(
    readonly bytes: number,
    options: { copies?: boolean; rows?: (string | null)[][] } = {},
  ) {
    this.copies = options.copies ?? false;
    this.rows = options.rows;
    this.ended = new Promise((resolve, reject) => {
      this.#succeed = resolve;
      this.#fail = reject;
    });
    // Whoever sends several looks at them one after the other.
    this.ended.catch(() => {});
    this.copyReady = new Promise((resolve) => {
      this.startCopy = resolve;
    });
  }

  fail(error: Error): void {
    this.failure ??= error;
  }

  end(): void {
    if (this.failure) this.#fail(this.failure);
    else this.#succeed();
    this.onEnd();
  }
}

function message(type: string, body: Buffer = Buffer.alloc(0)): Buffer {
  return frame(type, Buffer.concat([Buffer.alloc(HEADER_BYTES), body]));
}

/** In pieces, a short message would wait for the acknowledgement of the first one, on the relay's TCP connection. */
function messagePieces(type: string, text: Buffer): Buffer[] {
  if (text.length <= ONE_PIECE_BYTES) return [message(type, Buffer.concat([text, Buffer.alloc(1)]))];
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(type, 0, 'latin1');
  header.writeUInt32BE(4 + text.length + 1, 1);
  return [header, text, Buffer.alloc(1)];
}

function frame(type: string, framed: Buffer): Buffer {
  framed.write(type, 0, 'latin1');
  framed.writeUInt32BE(framed.length - 1, 1);
  return framed;
}
