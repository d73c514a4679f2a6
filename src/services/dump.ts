import type { Readable } from 'node:stream';
import { ReplichatError } from '../domain/errors.js';
import type { ReplicaEngine, ReplicaServer } from '../ports.js';
import { RestoreFailure } from '../restore/issues.js';
import { type DumpFormat, sniff, type Verdict } from '../restore/sniff.js';
import { wholeTar } from '../restore/tar.js';
import { type Compression, Scale, unpack } from '../restore/unpack.js';
import { type DumpVersions, versionsOf } from '../restore/versions.js';

/** How a script is wrapped up in an uploaded file. */
export interface Wrapping {
  readonly compression?: Compression | undefined;
  /** What is left when it is unpacked. */
  readonly content: Exclude<DumpFormat, Compression>;
}

/** What the beginning of an upload tells. */
export interface Inspection {
  /** What has been read of it. */
  readonly head: Buffer;
  readonly wrapping: Wrapping;
  readonly versions: DumpVersions;
}

/** Enough to recognise every format, among them tar (its magic stands at byte 257), and to read the header of a dump. */
const HEAD_BYTES = 1024;
/** Before that, a compressed dump has begun to unpack: a block of zstd is 128 KiB at most. */
const COMPRESSED_HEAD_BYTES = 1024 * 1024;

/** Reads the beginning of the file. Throws UNSUPPORTED_DUMP when the engine can make no replica of it. */
export async function inspect(
  file: Readable,
  engine: Pick<ReplicaEngine, 'name' | 'convertsArchives'>,
): Promise<Inspection> {
  const chunks: Buffer[] = [];
  async function* read(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield chunk;
    for await (const chunk of file.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk);
      yield chunk;
    }
  }
  const outer = await beginning(read(), (head) => isCompressed(sniff(head)));
  const verdict = sniff(outer);
  if (!isCompressed(verdict)) {
    const content = accept(verdict, verdict.looksLike, engine);
    return { head: Buffer.concat(chunks), wrapping: { content }, versions: versionsOf(content, outer) };
  }
  const inner = await unpackedBeginning(verdict.format, verdict.looksLike, read());
  const unpacked = sniff(inner);
  if (isCompressed(unpacked)) throw refusal(unpacked, nested(unpacked, verdict));
  const content = accept(unpacked, nested(unpacked, verdict), engine);
  const wrapping = { compression: verdict.format, content };
  return { head: Buffer.concat(chunks), wrapping, versions: versionsOf(content, inner) };
}

function isCompressed(verdict: Verdict): verdict is Verdict & { format: Compression } {
  return verdict.format === 'gzip' || verdict.format === 'zstd';
}

/** Until there is enough, and not a chunk further: the rest of a slow upload may wait for our answer. */
async function beginning(
  source: AsyncGenerator<Buffer>,
  isEnough: (head: Buffer) => boolean = () => false,
): Promise<Buffer> {
  let head = Buffer.alloc(0);
  for await (const chunk of source) {
    head = Buffer.concat([head, chunk]);
    if (head.length >= HEAD_BYTES || isEnough(head)) break;
  }
  return head;
}

/** As far as it goes: what breaks off later breaks off in the restore, too, which says so. */
async function unpackedBeginning(
  compression: Compression,
  looksLike: string,
  source: AsyncGenerator<Buffer>,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  async function* limited(): AsyncGenerator<Buffer> {
    let bytes = 0;
    for await (const chunk of source) {
      yield chunk;
      bytes += chunk.length;
      if (bytes >= COMPRESSED_HEAD_BYTES) return;
    }
  }
  async function* noted(): AsyncGenerator<Buffer> {
    const options = { maxBytes: Number.POSITIVE_INFINITY, signal: new AbortController().signal };
    for await (const chunk of unpack(compression, limited(), options)) {
      chunks.push(chunk);
      yield chunk;
    }
  }
  try {
    return await beginning(noted());
  } catch (error) {
    if (!(error instanceof RestoreFailure)) throw error;
    if (chunks.length > 0) return Buffer.concat(chunks);
    const message = `This looks like ${looksLike}, but ${error.message}. ${error.issue.hint}`;
    throw new ReplichatError('UNSUPPORTED_DUMP', message, { looksLike }, { cause: error });
  }
}

function nested(inner: Verdict, outer: Verdict): string {
  return `${inner.looksLike} in ${outer.looksLike}`;
}

function accept(
  verdict: Verdict,
  looksLike: string,
  engine: Pick<ReplicaEngine, 'name' | 'convertsArchives'>,
): Wrapping['content'] {
  switch (verdict.format) {
    case 'plain':
      return 'plain';
    case 'custom':
    case 'tar':
      if (engine.convertsArchives) return verdict.format;
      throw new ReplichatError(
        'UNSUPPORTED_DUMP',
        `This looks like ${looksLike}, which takes pg_restore to read, and engine ${engine.name} has none. ` +
          `${verdict.remedy} Engine docker (REPLICA_ENGINE=docker) takes it as it is.`,
        { looksLike },
      );
    default:
      throw refusal(verdict, looksLike);
  }
}

function refusal({ remedy }: Verdict, looksLike: string): ReplichatError {
  return new ReplichatError('UNSUPPORTED_DUMP', `This looks like ${looksLike}. ${remedy}`, { looksLike });
}

/**
 * The script in an uploaded file; only an archive waits for the server. Throws what `file` throws, and RestoreFailure for what cannot be unpacked or converted.
 * Whoever leaves it calls `return`.
 */
export function scriptIn(
  file: AsyncGenerator<Buffer, void>,
  { compression, content }: Wrapping,
  server: Promise<ReplicaServer>,
  options: { readonly maxBytes: number; readonly signal: AbortSignal },
): AsyncGenerator<Buffer, void> {
  const unpacked = compression ? unpack(compression, file, options) : file;
  if (content === 'plain') return unpacked;
  return converted(content === 'tar' ? wholeTar(unpacked) : unpacked, server, options);
}

async function* converted(
  archive: AsyncGenerator<Buffer, void>,
  provisioned: Promise<ReplicaServer>,
  { maxBytes, signal }: { readonly maxBytes: number; readonly signal: AbortSignal },
): AsyncGenerator<Buffer, void> {
  const server = await provisioned;
  if (!server.convertArchive) throw new Error(`the server ${server.id} has no pg_restore`);
  const scale = new Scale(maxBytes);
  try {
    yield* scale.unpacked(server.convertArchive(scale.received(archive), signal));
  } catch (error) {
    if (!(error instanceof ReplichatError)) throw error;
    const { hint, cutOff } = error.facts as { hint?: string; cutOff?: boolean };
    throw new RestoreFailure({ code: cutOff ? 'CUT_OFF' : error.code, message: error.message, hint }, { cause: error });
  }
}
