import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ZstdError, ZstdFrames } from './zstd-frames.js';

/** It is no TypeScript, for a thread to run as it is, and stays in the source tree, two levels below the root as dist is. */
const WORKER = new URL('../../src/restore/unzstd-worker.js', import.meta.url);

/** What is handed to the thread at once: at most 2 MiB come back. */
const BATCH_PIECES = 16;

interface Answer {
  readonly outputs: readonly Uint8Array[];
  readonly isCorrupt: boolean;
}

/** What ends in the middle of a frame. */
export class ZstdCutOff extends ZstdError {}

/**
 * Unpacks a zstd file. Asks `source` for more only when all that it gave has been unpacked and taken. Throws ZstdError,
 * or the signal's reason; the thread that does the work ends with the generator.
 */
export async function* unzstd(source: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  signal.throwIfAborted();
  const frames = new ZstdFrames();
  const thread = new Worker(WORKER, { env: {} });
  thread.on('error', () => {});
  try {
    for await (const chunk of source) {
      for (const batch of batches(frames.push(chunk))) yield* await unpackIn(thread, batch, signal);
    }
    if (!frames.complete) throw new ZstdCutOff('it ends in the middle of a frame');
    yield* await unpackIn(thread, [], signal);
  } finally {
    await thread.terminate();
  }
}

function* batches(pieces: Iterable<Buffer>): Generator<Buffer[]> {
  let batch: Buffer[] = [];
  for (const piece of pieces) {
    batch.push(piece);
    if (batch.length < BATCH_PIECES) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function unpackIn(thread: Worker, pieces: readonly Buffer[], signal: AbortSignal): Promise<Buffer[]> {
  const lengths = pieces.map(({ length }) => length);
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  const answered = once(thread, 'message', { signal }).catch((error) => {
    signal.throwIfAborted();
    throw error;
  });
  thread.postMessage({ bytes, lengths }, [bytes.buffer]);
  const [{ outputs, isCorrupt }] = (await answered) as [Answer];
  if (isCorrupt) throw new ZstdError('it is corrupt');
  return outputs.map(({ buffer, byteOffset, length }) => Buffer.from(buffer, byteOffset, length));
}
