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

export interface Pace {
  /** How long a read may wait for the next byte. */
  readonly idleMs: number;
  /** What has to arrive per second of waiting, looked at whenever `idleMs` have been waited. */
  readonly minBytes: number;
}

/**
 * The content of an uploaded file as its resolver reads it: takes bytes from the socket only when read, and fails
 * when its reader has to wait too long for the next ones, or for too few.
 */
export class UploadStream extends Readable {
  readonly #source: Readable;
  readonly #pace: Pace;
  #idle: NodeJS.Timeout | undefined;
  #waitingSince: number | undefined;
  /** Since the pace was looked at last. */
  #waitedMs = 0;
  #arrived = 0;

  constructor(source: Readable, pace: Pace) {
    super({ highWaterMark: READ_AHEAD_BYTES });
    this.#source = source;
    this.#pace = pace;
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
    this.#arrived += chunk.length;
    this.#checkPace();
    if (!this.push(chunk)) this.#source.pause();
  }

  #wait(): void {
    if (this.destroyed || this.#source.readableEnded) return;
    const { idleMs } = this.#pace;
    this.#waitingSince ??= performance.now();
    this.#idle ??= setTimeout(() => this.#giveUp(`no byte arrived for ${idleMs / 1000} s`), idleMs);
  }

  #stopWaiting(): void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    this.#noteWaiting();
    this.#waitingSince = undefined;
  }

  #noteWaiting(): void {
    if (this.#waitingSince === undefined) return;
    const now = performance.now();
    this.#waitedMs += now - this.#waitingSince;
    this.#waitingSince = now;
  }

  /** A client that sends a byte now and then would keep a replication for as long as it pleases. */
  #checkPace(): void {
    this.#noteWaiting();
    const { idleMs, minBytes } = this.#pace;
    if (this.#waitedMs < idleMs) return;
    const arrived = (this.#arrived / this.#waitedMs) * 1000;
    this.#waitedMs = 0;
    this.#arrived = 0;
    if (arrived < minBytes) this.#giveUp(`less than ${minBytes} bytes per second arrived (MIN_UPLOAD_RATE)`);
  }

  #giveUp(why: string): void {
    this.destroy(new UploadAborted(`The upload was given up: ${why}.`));
  }
}
