import { Readable } from 'node:stream';
import { messageOf, ReplichatError } from '../domain/errors.js';

/** Node's 16 kB, less than a read of the socket, would stop and start the socket with every chunk. */
export const READ_AHEAD_BYTES = 256 * 1024;

/** The upload ended before the file did: the client has gone or fallen silent, or the multipart body breaks off. */
export class UploadAborted extends Error {
  override readonly name = 'UploadAborted';
}

/** The parser's complaint about a multipart body, as the reader of the file gets it. */
export function brokenOff(error: unknown): Error {
  if (error instanceof ReplichatError || error instanceof UploadAborted) return error;
  return new UploadAborted(`The upload broke off: ${messageOf(error)}.`, { cause: error });
}

/**
 * The content of an uploaded file as its resolver reads it: takes bytes from the socket only when read, and fails
 * when its reader has to wait longer than `idleMs` for the next ones.
 */
export class UploadStream extends Readable {
  readonly #source: Readable;
  readonly #idleMs: number;
  #idle: NodeJS.Timeout | undefined;

  constructor(source: Readable, idleMs: number) {
    super({ highWaterMark: READ_AHEAD_BYTES });
    this.#source = source;
    this.#idleMs = idleMs;
    // A client may disconnect while nobody is reading yet; whoever reads later gets the error then.
    this.on('error', () => {});
    source.pause();
    source.on('data', (chunk: Buffer) => this.#receive(chunk));
    source.once('end', () => {
      this.#stopWaiting();
      this.push(null);
    });
    source.once('error', (error) => this.destroy(brokenOff(error)));
    if (source.errored) this.destroy(brokenOff(source.errored));
  }

  override _read(): void {
    this.#source.resume();
  }

  /** With null in hand its reader waits; with bytes in hand it is busy. Node asks for 0 to fill the buffer. */
  override read(size?: number): Buffer | null {
    const bytes: Buffer | null = super.read(size);
    if (size === 0) return bytes;
    if (bytes === null) this.#wait();
    else this.#stopWaiting();
    return bytes;
  }

  override pause(): this {
    this.#stopWaiting();
    return super.pause();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#stopWaiting();
    this.#source.destroy();
    callback(error);
  }

  #receive(chunk: Buffer): void {
    this.#idle?.refresh();
    if (!this.push(chunk)) this.#source.pause();
  }

  #wait(): void {
    if (this.destroyed || this.#source.readableEnded) return;
    this.#idle ??= setTimeout(() => this.#giveUp(), this.#idleMs);
  }

  #stopWaiting(): void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
  }

  #giveUp(): void {
    this.destroy(new UploadAborted(`The upload was given up: no byte arrived for ${this.#idleMs / 1000} s.`));
  }
}
