import { GzipCutOff, GzipError, gunzip } from './gunzip.js';
import { RestoreFailure } from './issues.js';
import { unzstd, ZstdCutOff } from './unzstd.js';
import { ZstdError } from './zstd-frames.js';

export type Compression = 'gzip' | 'zstd';

/** Dumps stay below 30:1. */
const HIGHEST_RATIO = 200;
/** So much may come of next to nothing. */
const RATIO_FROM_BYTES = 32 * 1024 * 1024;
const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

/**
 * The unpacked bytes of a compressed file. Asks `source` for more only when all that it gave has been unpacked and taken,
 * and throws what `source` throws. Throws RestoreFailure: CUT_OFF, UNSUPPORTED_DUMP for what is corrupt, and
 * PAYLOAD_TOO_LARGE for more than `maxBytes` or what only a bomb unpacks to. Whoever leaves it calls `return`.
 */
export async function* unpack(
  compression: Compression,
  source: AsyncIterable<Buffer>,
  options: { readonly maxBytes: number; readonly signal: AbortSignal },
): AsyncGenerator<Buffer, void> {
  const scale = new Scale(options.maxBytes);
  const received = scale.received(source);
  const unpacked = compression === 'gzip' ? gunzip(received) : unzstd(received, options.signal);
  try {
    yield* scale.unpacked(unpacked);
  } catch (error) {
    if (error instanceof GzipError || error instanceof ZstdError) throw failure(compression, error);
    throw error;
  }
}

function failure(compression: Compression, error: GzipError | ZstdError): RestoreFailure {
  const cutOff = error instanceof GzipCutOff || error instanceof ZstdCutOff;
  const issue = cutOff
    ? {
        code: 'CUT_OFF',
        message: `the ${compression} file has been cut off: ${error.message}`,
        hint: 'Upload the whole file.',
      }
    : {
        code: 'UNSUPPORTED_DUMP',
        message: `the ${compression} file cannot be unpacked: ${error.message}`,
        hint: `See whether \`${compression} --test FILE\` finds it whole, or upload the unpacked dump.`,
      };
  return new RestoreFailure(issue, { cause: error });
}

/** Weighs what goes in against what comes out, for whatever makes more out of less. */
export class Scale {
  #received = 0;
  #unpacked = 0;

  constructor(private readonly maxBytes: number) {}

  async *received(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const chunk of source) {
      this.#received += chunk.length;
      yield chunk;
    }
  }

  /** Throws RestoreFailure, PAYLOAD_TOO_LARGE. */
  async *unpacked(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const chunk of source) {
      this.#unpacked += chunk.length;
      this.#check();
      yield chunk;
    }
  }

  #check(): void {
    if (this.#unpacked > this.maxBytes) {
      throw new RestoreFailure({
        code: 'PAYLOAD_TOO_LARGE',
        message: `the dump is larger than ${sizeInWords(this.maxBytes)} when it is unpacked`,
        hint: 'Raise MAX_UNPACKED_BYTES.',
      });
    }
    if (this.#unpacked < RATIO_FROM_BYTES || this.#unpacked < HIGHEST_RATIO * this.#received) return;
    throw new RestoreFailure({
      code: 'PAYLOAD_TOO_LARGE',
      message: `the file unpacks to more than ${HIGHEST_RATIO} times its size, which no dump should`,
      hint: 'If it is one all the same, upload it unpacked.',
    });
  }
}

function sizeInWords(bytes: number): string {
  if (bytes >= GiB) return `${Number((bytes / GiB).toFixed(1))} GiB`;
  return bytes >= MiB ? `${Number((bytes / MiB).toFixed(1))} MiB` : `${bytes} bytes`;
}
