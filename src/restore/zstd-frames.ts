/** The bytes are no zstd file, or not one that can be unpacked here; the message says why. */
export class ZstdError extends Error {
  override readonly name = 'ZstdError';
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** No block is longer, packed or unpacked. */
const BLOCK_BYTES = 128 * 1024;
/** As far as zstd itself looks back unless it is told to (its --long=27). */
const WINDOW_BYTES = 128 * 1024 * 1024;
const MiB = 1024 * 1024;
/** By the two highest bits of the frame header's descriptor. */
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
/** By its two lowest bits. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];

/**
 * Cuts a zstd file (RFC 8878), pushed in chunks of any size, into its headers, blocks and checksums, each of which
 * unpacks to 128 KiB at most. Says what libzstd would only call corrupt.
 */
export class ZstdFrames {
  readonly #chunks: Buffer[] = [];
  #buffered = 0;
  readonly #pieces: Buffer[] = [];
  readonly #grammar = this.#file();
  #wanted: number;
  #betweenFrames = true;

  constructor() {
    this.#wanted = this.#grammar.next().value as number;
  }

  /** The input may end here. */
  get complete(): boolean {
    return this.#betweenFrames && this.#buffered === 0;
  }

  /** The pieces that are whole now. Throws ZstdError; then no more may be pushed. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    while (this.#buffered >= this.#wanted) {
      this.#wanted = this.#grammar.next(this.#take(this.#wanted)).value as number;
      yield* this.#pieces.splice(0);
    }
  }

  #take(length: number): Buffer {
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks.splice(0, this.#chunks.length, all.subarray(length));
    this.#buffered -= length;
    return all.subarray(0, length);
  }

  /** Never ends; each `yield` is answered with that many bytes. */
  *#file(): Generator<number, never, Buffer> {
    for (;;) {
      this.#betweenFrames = true;
      const start = yield 4;
      this.#betweenFrames = false;
      const magic = start.readUInt32LE();
      if (magic === MAGIC) yield* this.#frame(start);
      else if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) yield* this.#skip();
      else throw new ZstdError('there is something else where a frame should begin');
    }
  }

  *#frame(magic: Buffer): Generator<number, void, Buffer> {
    const descriptor = yield 1;
    const flags = descriptor.readUInt8();
    if (flags & 0x08) throw new ZstdError('a frame is of a version that is not known');
    const isSingleSegment = (flags & 0x20) !== 0;
    const contentSizeBytes = CONTENT_SIZE_BYTES[flags >> 6] || (isSingleSegment ? 1 : 0);
    const window = isSingleSegment ? Buffer.alloc(0) : yield 1;
    const dictionary = yield* some(DICTIONARY_ID_BYTES[flags & 3] as number);
    if (dictionary.some((byte) => byte !== 0)) throw new ZstdError('it was made with a dictionary');
    const contentSize = yield* some(contentSizeBytes);
    const windowBytes = isSingleSegment ? littleEndian(contentSize) : windowSize(window.readUInt8());
    if (windowBytes > WINDOW_BYTES) {
      const mebibytes = Math.ceil(windowBytes / MiB);
      throw new ZstdError(`it needs a window of ${mebibytes} MiB (--long), of which 128 MiB can be had`);
    }
    this.#pieces.push(Buffer.concat([magic, descriptor, window, dictionary, contentSize]));
    for (let isLast = false; !isLast; ) isLast = yield* this.#block();
    if (flags & 0x04) this.#pieces.push(yield 4);
  }

  *#block(): Generator<number, boolean, Buffer> {
    const header = yield 3;
    const bits = header.readUIntLE(0, 3);
    const [type, size] = [(bits >> 1) & 3, bits >> 3];
    if (type === 3 || size > BLOCK_BYTES) throw new ZstdError('a block has a header that cannot be');
    // Type 1 is one byte, repeated.
    this.#pieces.push(Buffer.concat([header, yield* some(type === 1 ? 1 : size)]));
    return (bits & 1) === 1;
  }

  *#skip(): Generator<number, void, Buffer> {
    for (let left = (yield 4).readUInt32LE(); left > 0; left -= Math.min(left, BLOCK_BYTES)) {
      yield Math.min(left, BLOCK_BYTES);
    }
  }
}

function* some(length: number): Generator<number, Buffer, Buffer> {
  return length === 0 ? Buffer.alloc(0) : yield length;
}

function littleEndian(digits: Buffer): number {
  return digits.reduceRight((sum, digit) => sum * 256 + digit, 0) + (digits.length === 2 ? 256 : 0);
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}
