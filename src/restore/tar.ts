import { RestoreFailure } from './issues.js';

const BLOCK_BYTES = 512;
const SIZE_AT = 124;
const SIZE_BYTES = 12;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

/**
 * The same bytes, once it is certain that the archive does not end in the middle of a member: pg_restore 15 would read
 * on for ever. Throws RestoreFailure: CUT_OFF or UNSUPPORTED_DUMP.
 */
export async function* wholeTar(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const members = new TarMembers();
  for await (const chunk of source) {
    members.push(chunk);
    yield chunk;
  }
  if (members.complete) return;
  throw new RestoreFailure({
    code: 'CUT_OFF',
    message: 'the tar archive has been cut off: it ends before its last block',
    hint: 'Upload the whole file.',
  });
}

/** Where in the archive we are. The headers are those of POSIX tar, as pg_dump writes and pg_restore reads them. */
class TarMembers {
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #inBlock = 0;
  #skip = 0;
  #closed = false;

  /** A block of zeros has come, and no member after it. */
  get complete(): boolean {
    return this.#closed;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const skipped = Math.min(this.#skip, chunk.length - at);
      this.#skip -= skipped;
      at += skipped;
      const copied = chunk.copy(this.#block, this.#inBlock, at);
      this.#inBlock += copied;
      at += copied;
      if (this.#inBlock === BLOCK_BYTES) this.#header();
    }
  }

  #header(): void {
    this.#inBlock = 0;
    this.#closed = this.#block.every((byte) => byte === 0);
    if (this.#closed) return;
    const bytes = numberIn(this.#block.subarray(SIZE_AT, SIZE_AT + SIZE_BYTES));
    const checksum = numberIn(this.#block.subarray(CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES));
    this.#block.fill(' ', CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES);
    if (checksum !== this.#block.reduce((sum, byte) => sum + byte, 0)) {
      throw new RestoreFailure({
        code: 'UNSUPPORTED_DUMP',
        message: 'the tar archive is damaged: a header has a wrong checksum',
        hint: 'See whether `tar -tf FILE` finds it whole.',
      });
    }
    this.#skip = Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
}

/** In octal digits or, when its highest bit is set, in binary. */
function numberIn(field: Buffer): number {
  if (field.readUInt8() === 0x80) return field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  return Number.parseInt(field.toString('latin1'), 8) || 0;
}
