import { LF } from './bytes.js';

const EMPTY = Buffer.alloc(0);

/** The part of a file that is still needed, and where it stands in the file. Indexes are those of `bytes`. */
export class Window {
  bytes: Buffer = EMPTY;
  /** File offset of bytes[0]. */
  base = 0;
  /** Of the file; what is added to its end does not count. */
  received = 0;
  /** Memory of our own behind the window, and how much of it is taken. */
  #room: Buffer = EMPTY;
  #taken = 0;
  /** Newlines are counted up to the one at `newline` (the window's end: none is known). */
  #lines = 1;
  #newline = 0;

  /** Gives up what lies before `from`. */
  slide(from: number, chunk: Buffer): void {
    const kept = this.bytes.length - from;
    this.lineOf(from);
    const newlineKnown = this.#newline < this.bytes.length;
    if (kept === 0) {
      this.bytes = chunk;
      this.#room = EMPTY;
      this.#taken = 0;
    } else {
      this.bytes = this.#append(from, chunk);
    }
    this.base += from;
    this.#newline = newlineKnown ? this.#newline - from : this.#nextNewline(kept);
  }

  /** Room is made by doubling, so that a long statement is copied only a few times. What has been handed out is left alone. */
  #append(from: number, chunk: Buffer): Buffer {
    const kept = this.bytes.length - from;
    if (this.#room.length - this.#taken < chunk.length) {
      const needed = kept + chunk.length;
      this.#room = Buffer.allocUnsafeSlow(kept > chunk.length ? 2 * needed : needed);
      this.#taken = this.bytes.copy(this.#room, 0, from);
    }
    this.#taken += chunk.copy(this.#room, this.#taken);
    return this.#room.subarray(this.#taken - kept - chunk.length, this.#taken);
  }

  offsetOf(index: number): number {
    return Math.min(this.base + index, this.received);
  }

  /** Counts on from where it was last asked: never ask for an earlier line afterwards. */
  lineOf(index: number): number {
    while (this.#newline < index) {
      this.#lines++;
      this.#newline = this.#nextNewline(this.#newline + 1);
    }
    return this.#lines;
  }

  #nextNewline(from: number): number {
    const newline = this.bytes.indexOf(LF, from);
    return newline === -1 ? this.bytes.length : newline;
  }
}
