import type { CancelKey } from './messages.js';

const HEADER_BYTES = 5;
const BACKEND_KEY_DATA = 0x4b;
const READY_FOR_QUERY = 0x5a;
/** NoticeResponse, NotificationResponse, ParameterStatus: come at any time and answer nothing. */
const ASYNCHRONOUS = new Set([0x4e, 0x41, 0x53]);
/** The longest key of protocol 3.2 with its process id. */
const MOST_KEY_BYTES = 4 + 256;

/**
 * Follows what PostgreSQL answers from message to message (55.7: a type, a length, a body), and keeps none of it but a
 * header that is cut, and BackendKeyData, in which it replaces the secret.
 */
export class Answers {
  /** Everything that was asked has been answered. */
  idle = false;
  /** The session has begun: its first ReadyForQuery has come. */
  ready = false;
  /** Of the message that has begun, still to come. */
  #left = 0;
  #held: Buffer = Buffer.alloc(0);
  #hasKey = false;

  /** `newKey` is told the server's key and gives the one that the client gets, of the same length. */
  constructor(private readonly newKey: (key: CancelKey) => CancelKey) {}

  /** What is to be passed on: up to the end of the chunk, or of the last message whose header is complete. */
  read(chunk: Buffer): Buffer {
    const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    let at = this.#skip(bytes, 0);
    while (bytes.length - at >= HEADER_BYTES) {
      const type = bytes.readUInt8(at);
      const length = bytes.readUInt32BE(at + 1);
      if (length < 4) throw new Error('the replica does not speak the protocol of PostgreSQL');
      if (type === BACKEND_KEY_DATA && !this.ready && !this.#replaceKey(bytes, at + HEADER_BYTES, length - 4)) break;
      if (!ASYNCHRONOUS.has(type)) this.idle = type === READY_FOR_QUERY;
      this.ready ||= this.idle;
      this.#left = length + 1;
      at = this.#skip(bytes, at);
    }
    this.#held = bytes.subarray(at);
    return bytes.subarray(0, at);
  }

  /** Like `read`, but only to the end of the message that has begun. */
  rest(chunk: Buffer): Buffer {
    return chunk.subarray(0, this.#skip(chunk, 0));
  }

  /** Whether something else may be said to the client now. */
  get betweenMessages(): boolean {
    return this.#left === 0;
  }

  #skip(bytes: Buffer, at: number): number {
    const skipped = Math.min(this.#left, bytes.length - at);
    this.#left -= skipped;
    return at + skipped;
  }

  /** False when it has not arrived as a whole. */
  #replaceKey(bytes: Buffer, start: number, length: number): boolean {
    if (this.#hasKey) throw new Error('the replica sent a second key');
    if (length < 8 || length > MOST_KEY_BYTES) throw new Error(`the replica sent a key of ${length} bytes`);
    if (bytes.length < start + length) return false;
    this.#hasKey = true;
    const key = bytes.subarray(start, start + length);
    key.set(this.newKey(Buffer.from(key)));
    return true;
  }
}
