import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Disk is given back in pieces of this size. */
const SEGMENT_BYTES = 16 * 1024 * 1024;
/** Collected before they are written. */
const WRITE_BYTES = 512 * 1024;

interface Segment {
  readonly file: FileHandle;
  /** Written and not yet released. */
  bytes: number;
  full: boolean;
}

/**
 * Bytes that have arrived and are not needed yet, on disk. Appended at one end; each byte is read at most once, then
 * released, in any order. The files have no name: whatever becomes of the process, nothing of them is left.
 */
export class Spool {
  readonly #segments = new Map<number, Segment>();
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  /** Up to where it is on disk. */
  #written = 0;
  #end = 0;
  #flushing: Promise<void> = Promise.resolve();
  #freed: (() => void) | undefined;
  #closed = false;
  /** Who waits for what has not been appended yet, and may hold up what would free some disk. */
  readonly #hungry = new Set<() => void>();

  constructor(
    private readonly folder: string,
    /** Of disk. At least two segments are taken. */
    private readonly limitBytes: number,
  ) {}

  /** Position of the next byte. */
  get end(): number {
    return this.#end;
  }

  /** Resolves at once most of the time; waits while the disk that it may take is full of what is not released. */
  async append(bytes: Buffer): Promise<void> {
    this.#collected.push(bytes);
    this.#collectedBytes += bytes.length;
    this.#end += bytes.length;
    if (this.#collectedBytes >= WRITE_BYTES) await this.flush();
  }

  /** Writes what has been collected; calls of both ends come one after the other. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flush());
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#collected.splice(0));
    this.#collectedBytes = 0;
    for (let at = 0; at < bytes.length; ) {
      const index = Math.floor(this.#written / SEGMENT_BYTES);
      const segment = this.#segments.get(index) ?? (await this.#begin(index));
      const offset = this.#written - index * SEGMENT_BYTES;
      const part = bytes.subarray(at, at + SEGMENT_BYTES - offset);
      await writeFully(segment.file, part, offset);
      this.#written += part.length;
      segment.bytes += part.length;
      segment.full = offset + part.length === SEGMENT_BYTES;
      at += part.length;
    }
  }

  /** Fills `buffer` from `position` on, as far as the segment goes; resolves with how many bytes. */
  async read(buffer: Buffer, position: number): Promise<number> {
    const index = Math.floor(position / SEGMENT_BYTES);
    const offset = position - index * SEGMENT_BYTES;
    const segment = this.#segments.get(index);
    if (!segment) throw new Error('the spool no longer has these bytes');
    const length = Math.min(buffer.length, SEGMENT_BYTES - offset);
    const { bytesRead } = await segment.file.read(buffer, 0, length, offset);
    return bytesRead;
  }

  /** Waits until there is more, or rejects when the spool is closed. The limit does not hold meanwhile. */
  async hunger(untilMore: (resolve: () => void) => void): Promise<void> {
    let fed!: () => void;
    const more = new Promise<void>((resolve) => {
      fed = resolve;
    });
    this.#hungry.add(fed);
    untilMore(fed);
    this.#freed?.();
    if (!this.#closed) await more;
    this.#hungry.delete(fed);
    if (this.#closed) throw new Error('the spool is closed');
  }

  release(position: number, length: number): void {
    for (let at = position; at < position + length; ) {
      const index = Math.floor(at / SEGMENT_BYTES);
      const part = Math.min(position + length, (index + 1) * SEGMENT_BYTES) - at;
      const segment = this.#segments.get(index);
      if (segment) this.#releaseOf(index, segment, part);
      at += part;
    }
  }

  #releaseOf(index: number, segment: Segment, bytes: number): void {
    segment.bytes -= bytes;
    if (segment.bytes > 0 || !segment.full) return;
    this.#segments.delete(index);
    segment.file.close().catch(() => {});
    this.#freed?.();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#freed?.();
    for (const fed of this.#hungry) fed();
    const files = [...this.#segments.values()].map(({ file }) => file);
    this.#segments.clear();
    await Promise.all(files.map((file) => file.close()));
  }

  async #begin(index: number): Promise<Segment> {
    while (
      this.#segments.size >= Math.max(2, this.limitBytes / SEGMENT_BYTES) &&
      this.#hungry.size === 0 &&
      !this.#closed
    ) {
      await new Promise<void>((resolve) => {
        this.#freed = resolve;
      });
    }
    if (this.#closed) throw new Error('the spool is closed');
    const file = await openNameless(this.folder);
    if (this.#closed) {
      await file.close();
      throw new Error('the spool is closed');
    }
    const segment: Segment = { file, bytes: 0, full: false };
    this.#segments.set(index, segment);
    return segment;
  }
}

/** open(2): a file that never had a name, so that no moment is left to be killed in. Node has no name for it. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

async function openNameless(folder: string): Promise<FileHandle> {
  if (process.platform === 'linux') {
    const file = await open(folder, O_TMPFILE | constants.O_RDWR, 0o600).catch(unlessNotSupported);
    if (file) return file;
  }
  const path = join(folder, `replichat-spool-${randomBytes(8).toString('hex')}`);
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}

/** What a kernel or a file system says that knows nothing of O_TMPFILE. */
function unlessNotSupported(error: NodeJS.ErrnoException): undefined {
  if (!['ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'EINVAL'].includes(error.code ?? '')) throw error;
}

async function writeFully(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
