import { once } from 'node:events';
import { Duplex } from 'node:stream';
import type pg from 'pg';
import type { ReplicaServer } from '../ports.js';
import { AnswerTooLarge, MOST_ANSWER_BYTES, WellFormed } from './well-formed.js';

type Opener = Pick<ReplicaServer, 'open'>;
type Callback = (error?: Error | null) => void;

/** How long a server may take to hang up after we have said goodbye. */
const LINGER_MS = 5_000;
const CONNECT_TIMEOUT_MS = 30_000;

/** From now on, of an answer to one request in this session. */
export function limitAnswers(client: pg.PoolClient, bytes: number): void {
  (client.connection.stream as ReplicaSocket).mostAnswerBytes = bytes;
}

/** For pg.Client and pg.Pool: every connection runs through `server.open()`, none through an address. */
export function clientConfig(
  server: Opener,
  login: { user: string; password: string; database: string },
): pg.ClientConfig {
  return {
    user: login.user,
    password: login.password,
    database: login.database,
    // Set, so that no PGHOST, PGPORT or PGSSLMODE of the environment has a say.
    host: 'replica',
    port: 5432,
    ssl: false,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    stream: () => new ReplicaSocket(server),
  };
}

const CANCEL_REQUEST = 80_877_102;

/** Asks the server, by a connection of its own, to cancel what a session is at. Resolves when the server has passed it on. */
export async function cancelQuery(server: Opener, session: pg.PoolClient): Promise<void> {
  const { processID, secretKey } = session as unknown as { processID: number; secretKey: number };
  const request = Buffer.alloc(16);
  [request.length, CANCEL_REQUEST, processID, secretKey].forEach((field, index) => {
    request.writeInt32BE(field, 4 * index);
  });
  const stream = await server.open();
  const tooLate = setTimeout(() => stream.destroy(), LINGER_MS);
  const closed = once(stream, 'close').finally(() => clearTimeout(tooLate));
  stream.resume().end(request);
  await closed;
}

/** What node-postgres takes for its net.Socket. */
class ReplicaSocket extends Duplex {
  mostAnswerBytes = MOST_ANSWER_BYTES;
  #inner: Duplex | undefined;
  readonly #answers = new WellFormed();
  #answered = 0;
  #linger: NodeJS.Timeout | undefined;

  constructor(private readonly server: Opener) {
    super({ allowHalfOpen: false });
  }

  connect(): this {
    this.server.open().then(
      (inner) => this.#attach(inner),
      (error) => this.destroy(error),
    );
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  #attach(inner: Duplex): void {
    inner.on('error', (error) => this.destroy(error));
    if (this.destroyed) {
      inner.destroy();
      return;
    }
    this.#inner = inner;
    inner.on('data', (chunk: Buffer) => {
      this.#answered += chunk.length;
      if (this.#answered > this.mostAnswerBytes) this.destroy(new AnswerTooLarge(this.mostAnswerBytes));
      else this.#receive(chunk, inner);
    });
    inner.on('end', () => this.push(null));
    inner.on('close', () => {
      if (!inner.readableEnded) this.destroy();
    });
    this.emit('connect');
  }

  #receive(chunk: Buffer, inner: Duplex): void {
    try {
      const answers = this.#answers.take(chunk, this.mostAnswerBytes);
      if (answers.length > 0 && !this.push(answers)) inner.pause();
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  override _read(): void {
    this.#inner?.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: Callback): void {
    this.#answered = 0;
    if (this.#inner) this.#inner.write(chunk, encoding, callback);
    else callback(new Error('the connection to the replica is not open'));
  }

  /** What is corked goes as one: in pieces, each would wait for the one before it to be acknowledged. */
  override _writev(chunks: { chunk: Buffer }[], callback: Callback): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'utf8', callback);
  }

  override _final(callback: Callback): void {
    this.#inner?.end();
    this.#linger = setTimeout(() => this.destroy(), LINGER_MS).unref();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    clearTimeout(this.#linger);
    this.#inner?.destroy();
    callback(error);
  }
}
