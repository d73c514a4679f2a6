import { createGunzip, type Gunzip } from 'node:zlib';

/** The bytes are no gzip file; the message says why. */
export class GzipError extends Error {
  override readonly name: string = 'GzipError';
}

/** What ends before its last checksum. */
export class GzipCutOff extends GzipError {}

const OUTPUT_BYTES = 128 * 1024;

/**
 * Unpacks a gzip file, also one of several members. Asks `source` for more only when all that it gave has been unpacked
 * and taken. Throws GzipError.
 */
export async function* gunzip(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const inflater = new Inflater();
  try {
    for await (const chunk of source) yield* inflater.push(chunk);
    yield* inflater.end();
  } finally {
    inflater.close();
  }
}

/** Node's stream, one chunk after the other. */
class Inflater {
  readonly #gunzip: Gunzip = createGunzip({ chunkSize: OUTPUT_BYTES });
  #pushed = 0;
  #ended = false;
  #failure: NodeJS.ErrnoException | undefined;
  #wake = () => {};

  constructor() {
    this.#gunzip.on('readable', () => this.#wake());
    this.#gunzip.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
    this.#gunzip.on('error', (error) => {
      this.#failure = error;
      this.#wake();
    });
  }

  async *push(chunk: Buffer): AsyncGenerator<Buffer, void> {
    this.#pushed += chunk.length;
    if (!this.#ended) yield* this.#take((taken) => this.#gunzip.write(chunk, taken));
    if (!this.#ended) return;
    // As for gunzip: zeros after the last member fill up a block of a tape, anything else is a mistake.
    const rest = chunk.subarray(Math.max(0, chunk.length - (this.#pushed - this.#gunzip.bytesWritten)));
    if (rest.some((byte) => byte !== 0)) throw new GzipError('something follows its end');
  }

  async *end(): AsyncGenerator<Buffer, void> {
    if (!this.#ended) yield* this.#take(() => this.#gunzip.end());
  }

  /** What comes out until `taken` has been called, or there is no more. */
  async *#take(give: (taken: () => void) => void): AsyncGenerator<Buffer, void> {
    let isTaken = false;
    give(() => {
      isTaken = true;
      this.#wake();
    });
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const output: Buffer | null = this.#gunzip.read();
      if (output) yield output;
      else if (this.#failure) throw translated(this.#failure);
      else if (isTaken || this.#ended) return;
      else await woken;
    }
  }

  close(): void {
    this.#gunzip.destroy();
  }
}

function translated(error: NodeJS.ErrnoException): GzipError {
  if (error.code === 'Z_BUF_ERROR') return new GzipCutOff('it ends before its checksum', { cause: error });
  return new GzipError(error.message, { cause: error });
}
