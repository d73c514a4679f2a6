/**
 * A server that runs what a dump brought is not to be trusted with node-postgres' parser: an ErrorResponse without its
 * end keeps that in a loop for ever, field lengths that lead back make it read the same bytes again and again, and what
 * is too short for it is thrown where nobody catches it. It gets whole messages, and none but well-formed ones
 * (PostgreSQL manual, 55.7 and 55.8).
 */
export class WellFormed {
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Of the message that has begun, its header included; 0 before that is known. */
  #awaited = 0;

  /** As many whole messages as have arrived, of at most so many bytes each. Throws MalformedAnswer or AnswerTooLarge. */
  take(chunk: Buffer, mostBytes = MOST_ANSWER_BYTES): Buffer {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < Math.max(this.#awaited, HEADER_BYTES)) return NOTHING;
    const bytes = this.#held.length > 1 ? Buffer.concat(this.#held) : chunk;
    let end = 0;
    this.#awaited = 0;
    while (bytes.length - end >= HEADER_BYTES) {
      const type = String.fromCharCode(bytes.readUInt8(end));
      const size = 1 + bytes.readUInt32BE(end + 1);
      if (!Object.hasOwn(BODIES, type) || size < HEADER_BYTES) throw new MalformedAnswer(type);
      if (size > mostBytes) throw new AnswerTooLarge(mostBytes);
      if (bytes.length - end < size) {
        this.#awaited = size;
        break;
      }
      if (!isWellFormed(type, bytes.subarray(end + HEADER_BYTES, end + size))) throw new MalformedAnswer(type);
      end += size;
    }
    const rest = bytes.subarray(end);
    this.#held = rest.length > 0 ? [rest] : [];
    this.#heldBytes = rest.length;
    return bytes.subarray(0, end);
  }
}

/**
 * Of an answer to one request. node-postgres makes a string of every field, throws where nobody catches it when that is
 * longer than V8 allows (512 MB), and gathers rows and notices in memory.
 */
export const MOST_ANSWER_BYTES = 64 * 1024 * 1024;

/** What a session breaks with when the server answers more than it may. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge';

  constructor(bytes: number) {
    super(`the answer is larger than ${Number((bytes / 2 ** 20).toFixed(2))} MiB`);
  }
}

/** What a session breaks with when the server does not speak the protocol. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';

  constructor(type: string) {
    super(`the server sent a message of type ${JSON.stringify(type)} that is none of PostgreSQL's`);
  }
}

const HEADER_BYTES = 5;
const NOTHING = Buffer.alloc(0);

/** By the type of a message: its body, from its beginning to its end. */
const BODIES: Record<string, (body: Body) => void> = {
  '1': () => {},
  '2': () => {},
  '3': () => {},
  A: (body) => body.skip(4).string().string(),
  C: (body) => body.string(),
  c: () => {},
  D: (body) =>
    body.times(() => {
      const length = body.int32();
      if (length !== -1) body.skip(length);
    }),
  d: (body) => body.rest(),
  E: (body) => body.fields(),
  G: (body) => body.skip(1).times(() => body.skip(2)),
  H: (body) => body.skip(1).times(() => body.skip(2)),
  I: () => {},
  K: (body) => body.skip(8),
  N: (body) => body.fields(),
  n: () => {},
  R: (body) => authentication(body),
  S: (body) => body.string().string(),
  s: () => {},
  T: (body) => body.times(() => body.string().skip(18)),
  t: (body) => body.times(() => body.skip(4)),
  Z: (body) => body.skip(1),
};

/** AuthenticationOk, and those ways to log in that node-postgres knows. */
function authentication(body: Body): void {
  const code = body.int32();
  if (code === 0 || code === 3) return;
  if (code === 5) body.skip(4);
  else if (code === 10) body.strings();
  else if (code === 11 || code === 12) body.rest();
  else body.fail();
}

function isWellFormed(type: string, bytes: Buffer): boolean {
  const body = new Body(bytes);
  BODIES[type]?.(body);
  return body.isAtEnd;
}

/** Never reads beyond its end, and has failed from then on. */
class Body {
  #at = 0;

  constructor(private readonly bytes: Buffer) {}

  get isAtEnd(): boolean {
    return this.#at === this.bytes.length;
  }

  fail(): void {
    this.#at = Number.POSITIVE_INFINITY;
  }

  rest(): void {
    this.#at = this.bytes.length;
  }

  skip(count: number): this {
    if (count < 0 || this.#at + count > this.bytes.length) this.fail();
    else this.#at += count;
    return this;
  }

  int32(): number {
    const at = this.#at;
    return Number.isFinite(this.skip(4).#at) ? this.bytes.readInt32BE(at) : 0;
  }

  string(): this {
    const end = this.#at < this.bytes.length ? this.bytes.indexOf(0, this.#at) : -1;
    if (end === -1) this.fail();
    else this.#at = end + 1;
    return this;
  }

  /** Up to an empty one. */
  strings(): void {
    while (this.#at < this.bytes.length && this.bytes[this.#at] !== 0) this.string();
    this.skip(1);
  }

  /** Of an error or a notice: a type and a string each, up to a type that is 0. */
  fields(): void {
    while (this.#at < this.bytes.length && this.bytes[this.#at] !== 0) this.skip(1).string();
    this.skip(1);
  }

  /** A count, and so many of the same. */
  times(one: () => void): void {
    const at = this.#at;
    const count = Number.isFinite(this.skip(2).#at) ? this.bytes.readInt16BE(at) : 0;
    if (count < 0) this.fail();
    for (let n = 0; n < count && Number.isFinite(this.#at); n++) one();
  }
}
