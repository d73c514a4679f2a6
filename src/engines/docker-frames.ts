export interface Frame {
  stream: 'stdout' | 'stderr';
  payload: Buffer;
}

const HEADER_BYTES = 8;

/**
 * Takes apart Docker's multiplexed stdout and stderr (ContainerAttach, "Stream format"): 8 bytes of header, of which
 * the first names the stream and the last four the length. Chunks may be cut anywhere; payloads are not copied.
 */
export class FrameReader {
  #header = Buffer.alloc(0);
  #stream: Frame['stream'] = 'stdout';
  #left = 0;

  *read(chunk: Buffer): Generator<Frame> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) {
        rest = this.#readHeader(rest);
        continue;
      }
      const payload = rest.subarray(0, this.#left);
      this.#left -= payload.length;
      rest = rest.subarray(payload.length);
      yield { stream: this.#stream, payload };
    }
  }

  #readHeader(chunk: Buffer): Buffer {
    const missing = HEADER_BYTES - this.#header.length;
    const header = Buffer.concat([this.#header, chunk.subarray(0, missing)]);
    if (header.length < HEADER_BYTES) {
      this.#header = header;
      return chunk.subarray(missing);
    }
    this.#header = Buffer.alloc(0);
    if (header.readUInt8(0) > 2) throw new Error('the Docker Engine sent a stream that is not multiplexed');
    this.#stream = header.readUInt8(0) === 2 ? 'stderr' : 'stdout';
    this.#left = header.readUInt32BE(4);
    return chunk.subarray(missing);
  }
}

/** All of a multiplexed answer that has arrived as a whole. */
export function textOf(multiplexed: Buffer): string {
  const payloads = [...new FrameReader().read(multiplexed)].map(({ payload }) => payload);
  return Buffer.concat(payloads).toString();
}
