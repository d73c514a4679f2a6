import type { Spool } from './spool.js';

/** One session loads so much of a table at a time; another may load the next piece meanwhile. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** Fewer stay in memory. */
export const HELD_BYTES = 16 * 1024;
const READ_BYTES = 256 * 1024;
const FRAME_HEADER_BYTES = 8;
const LF = 0x0a;
const BACKSLASH = 0x5c;

/** Whole rows of COPY, or whole statements, one after the other in the file. */
export interface Piece {
  readonly bytes: number;
  readonly lines: number;
  /** Of the file, in which it begins. */
  readonly line: number;
  readonly held?: Buffer;
  /** In the spool, unless held. */
  readonly position: number;
}

/**
 * What is to be loaded into one table, as far as it has arrived: rows of COPY, or INSERT statements. It is appended at
 * one end and taken in pieces, each once, by one session or several.
 */
export class Rows {
  #held: Buffer[] | undefined = [];
  #heldBytes = 0;
  readonly #pieces: Piece[] = [];
  #waiting: (() => void)[] = [];
  #pieceLine = 0;
  #pieceStart = 0;
  /** Where the piece that is being appended to could end, and has not because the next line's number is not known. */
  #boundary: number | undefined;
  #spooled = false;
  /** The end of what has arrived of whole rows. */
  #tail: { readonly at: number; readonly line: () => number } | undefined;
  #closed = false;
  #discarded = false;
  #firstLine = 0;
  #lastLine = 0;
  #bytes = 0;
  /** Called when a piece can be taken. */
  onPiece: () => void = () => {};

  constructor(private readonly spool: Spool) {}

  /** As far as they have arrived. */
  get bytes(): number {
    return this.#bytes;
  }

  get lines(): number {
    return this.#lastLine - this.#firstLine;
  }

  /** All of it is in memory, and there is no more. */
  get isSmall(): boolean {
    return this.#closed && !this.#spooled;
  }

  /** Pieces that could be taken at once. */
  get waiting(): number {
    return this.#pieces.length;
  }

  /** Of COPY; `bytes` may begin and end anywhere. */
  async appendRows(bytes: Buffer, line: number): Promise<void> {
    this.#begin(line);
    this.#lastLine = line;
    if (this.#boundary !== undefined) await this.#cut(this.#boundary, line);
    await this.#append(bytes);
    if (this.#held !== undefined) return;
    const end = endOfRows(bytes);
    if (end === 0) return;
    const at = this.spool.end - bytes.length + end;
    this.#tail = { at, line: () => line + newlinesIn(bytes, end) };
    if (at - this.#pieceStart >= PIECE_BYTES) this.#boundary = at;
    this.#wakeOne();
  }

  async appendStatement(bytes: Buffer, line: number): Promise<void> {
    this.#begin(line);
    this.#lastLine += 1;
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32LE(bytes.length, 0);
    header.writeUInt32LE(line, 4);
    await this.#append(header);
    await this.#append(bytes);
    if (this.#held !== undefined) return;
    const at = this.spool.end;
    this.#tail = { at, line: () => line };
    if (at - this.#pieceStart >= PIECE_BYTES) await this.#cut(at, line);
    else this.#wakeOne();
  }

  /** There are no more. `line` is the one after the last row. */
  async close(line = this.#lastLine): Promise<void> {
    this.#lastLine = line;
    if (this.#held) {
      const held = Buffer.concat(this.#held);
      if (held.length > 0) {
        const lines = line - this.#firstLine;
        this.#pieces.push({ bytes: held.length, lines, line: this.#firstLine, held, position: 0 });
      }
      this.#held = undefined;
    } else if (this.spool.end > this.#pieceStart) {
      await this.#cut(this.spool.end, line);
    }
    this.#closed = true;
    if (this.#discarded) this.discard();
    this.#wake();
  }

  /** The next piece, undefined when all have been taken. Whoever would have to wait is given what there is. */
  async take(): Promise<Piece | undefined> {
    while (this.#pieces.length === 0 && !this.#closed) {
      const tail = this.#tail;
      this.#tail = undefined;
      if (tail && tail.at > this.#pieceStart) {
        await this.#cut(tail.at, tail.line());
        continue;
      }
      await this.spool.hunger((fed) => this.#waiting.push(fed));
    }
    return this.#pieces.shift();
  }

  /** It has been taken and will not be read. */
  release(piece: Piece): void {
    if (!piece.held) this.spool.release(piece.position, piece.bytes);
  }

  /** What has not been taken is not needed. */
  discard(): void {
    this.#discarded = true;
    for (const piece of this.#pieces.splice(0)) this.release(piece);
  }

  /**
   * The bytes of a piece, each chunk after `room` bytes that are the caller's. A chunk is written over once the one
   * after the next is asked for.
   */
  async *read(piece: Piece, room: number): AsyncGenerator<Buffer> {
    if (piece.held) {
      yield Buffer.concat([Buffer.alloc(room), piece.held]);
      return;
    }
    const buffers = [Buffer.allocUnsafeSlow(room + READ_BYTES), Buffer.allocUnsafeSlow(room + READ_BYTES)] as const;
    const end = piece.position + piece.bytes;
    let at = piece.position;
    try {
      for (let turn = 0; at < end; turn = 1 - turn) {
        const buffer = buffers[turn] as Buffer;
        const length = await this.spool.read(buffer.subarray(room, room + end - at), at);
        yield buffer.subarray(0, room + length);
        this.spool.release(at, length);
        at += length;
      }
    } finally {
      this.spool.release(at, end - at);
    }
  }

  /** The statements of a piece. */
  async *statements(piece: Piece): AsyncGenerator<{ bytes: Buffer; line: number }> {
    let parts: Buffer[] = [];
    let [have, needed] = [0, FRAME_HEADER_BYTES];
    for await (const chunk of this.read(piece, 0)) {
      parts.push(Buffer.from(chunk));
      have += chunk.length;
      if (have < needed) continue;
      const bytes = Buffer.concat(parts);
      let at = 0;
      for (;;) {
        const known = bytes.length - at >= FRAME_HEADER_BYTES;
        needed = FRAME_HEADER_BYTES + (known ? bytes.readUInt32LE(at) : 0);
        if (bytes.length - at < needed) break;
        yield { bytes: bytes.subarray(at + FRAME_HEADER_BYTES, at + needed), line: bytes.readUInt32LE(at + 4) };
        at += needed;
      }
      parts = [bytes.subarray(at)];
      have = bytes.length - at;
    }
  }

  #begin(line: number): void {
    if (this.#bytes > 0) return;
    this.#firstLine = line;
    this.#lastLine = line;
    this.#pieceLine = line;
  }

  async #append(bytes: Buffer): Promise<void> {
    this.#bytes += bytes.length;
    if (this.#held) {
      this.#held.push(bytes);
      this.#heldBytes += bytes.length;
      if (this.#heldBytes <= HELD_BYTES) return;
      const held = this.#held;
      this.#held = undefined;
      this.#spooled = true;
      this.#pieceStart = this.spool.end;
      for (const part of held) await this.spool.append(part);
    } else {
      await this.spool.append(bytes);
    }
  }

  async #cut(at: number, nextLine: number): Promise<void> {
    const [position, line] = [this.#pieceStart, this.#pieceLine];
    // Before waiting: the other end may cut as well.
    this.#pieceStart = at;
    this.#pieceLine = nextLine;
    this.#boundary = undefined;
    await this.spool.flush();
    this.#pieces.push({ bytes: at - position, lines: nextLine - line, line, position });
    if (this.#discarded) this.discard();
    this.#wake();
  }

  /** For what there is, which is not yet a piece. */
  #wakeOne(): void {
    this.#waiting.shift()?.();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
    this.onPiece();
  }
}

function newlinesIn(bytes: Buffer, end: number): number {
  let count = 0;
  for (let at = bytes.indexOf(LF); at !== -1 && at < end; at = bytes.indexOf(LF, at + 1)) count++;
  return count;
}

/** After the last newline that ends a row; a backslash before it would make it part of a value. 0 when there is none. */
function endOfRows(bytes: Buffer): number {
  let at = bytes.lastIndexOf(LF);
  while (at > 0 && bytes[at - 1] === BACKSLASH) at = bytes.lastIndexOf(LF, at - 1);
  return at < 1 ? 0 : at + 1;
}
