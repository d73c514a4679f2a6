// Runs in a thread of its own: libzstd, as WebAssembly, unpacks what ZstdFrames has cut. What it allocates is not always
// freed when a file is corrupt, and ends with the thread.
import { parentPort } from 'node:worker_threads';
import { ZSTDDecoder } from 'zstddec/stream';

const decoder = new ZSTDDecoder();
await decoder.init();

/** The one that the decoder takes next. */
let piece;
const pieces = {
  next() {
    const value = piece;
    piece = undefined;
    return { value, done: value === undefined };
  },
  [Symbol.iterator]() {
    return this;
  },
};
const unpacked = decoder.decodeStreaming(pieces);

/**
 * The decoder takes a whole piece in one step, for its output always has room for a block. It tells no errors: of the
 * piece that it cannot unpack it has taken nothing, and so it does not ask for the next one.
 */
function unpack(next) {
  piece = next;
  const { value } = unpacked.next();
  if (piece !== undefined) throw new Error('corrupt');
  return value;
}

function end() {
  if (!unpacked.next().done) throw new Error('corrupt');
}

parentPort.on('message', ({ bytes, lengths }) => {
  const outputs = [];
  try {
    let at = 0;
    for (const length of lengths) {
      const output = unpack(bytes.subarray(at, at + length));
      if (output.length > 0) outputs.push(output);
      at += length;
    }
    if (lengths.length === 0) end();
  } catch {
    parentPort.postMessage({ outputs: [], isCorrupt: true });
    return;
  }
  const buffers = outputs.map(({ buffer }) => buffer);
  parentPort.postMessage({ outputs, isCorrupt: false }, buffers);
});
