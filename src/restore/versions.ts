import type { DumpFormat } from './sniff.js';

/** The major versions that a dump's header tells; undefined where it does not. */
export interface DumpVersions {
  /** Of the server that the dump came from. */
  readonly source?: number | undefined;
  /** Of the pg_dump that made an archive, which an older pg_restore cannot read. */
  readonly archiver?: number | undefined;
}

/** Where the first member of a tar archive begins. */
const TAR_HEADER_BYTES = 512;
/** Of a name or a version; what claims to be longer is no header of pg_dump. */
const LONGEST_TEXT = 1024;

/** Reads the header from the first bytes of a dump that is not compressed, however short, strange or hostile. */
export function versionsOf(format: DumpFormat, head: Buffer): DumpVersions {
  if (format === 'plain') return { source: major(/^-- Dumped from database version (\d+)/m, head.toString('latin1')) };
  if (format === 'custom') return versionsOfArchive(head);
  if (format === 'tar') return versionsOfArchive(head.subarray(TAR_HEADER_BYTES));
  return {};
}

/** pg_backup_archiver.c, ReadHead. The fields before the versions have changed with the version of the format. */
function versionsOfArchive(head: Buffer): DumpVersions {
  const archive = new ArchiveReader(head);
  try {
    if (archive.bytes(5).toString('latin1') !== 'PGDMP') return {};
    const version = archive.byte() * 100 + archive.byte();
    // Before PostgreSQL 8.0 the versions were not in it.
    if (version < 110) return {};
    archive.byte(); // The revision.
    archive.integerBytes = archive.byte();
    archive.bytes(2); // The size of an offset, and the format.
    if (version >= 115) archive.byte();
    else archive.integer(); // The compression.
    for (let field = 0; field < 7; field++) archive.integer(); // The date, and whether in summer time.
    archive.text(); // The name of the database.
    const [source, archiver] = [archive.text(), archive.text()].map((text) => major(/^(\d+)/, text));
    return { source, archiver };
  } catch (error) {
    if (error instanceof RangeError) return {};
    throw error;
  }
}

function major(pattern: RegExp, text: string): number | undefined {
  const digits = pattern.exec(text)?.[1];
  return digits && digits.length <= 3 ? Number(digits) : undefined;
}

/** Throws RangeError for what is not there or cannot be. */
class ArchiveReader {
  integerBytes = 4;
  #at = 0;

  constructor(private readonly head: Buffer) {}

  bytes(length: number): Buffer {
    if (this.#at + length > this.head.length) throw new RangeError('the header is cut off');
    this.#at += length;
    return this.head.subarray(this.#at - length, this.#at);
  }

  byte(): number {
    return this.bytes(1).readUInt8();
  }

  /** A sign, and then the number, its lowest byte first. */
  integer(): number {
    const isNegative = this.byte() !== 0;
    const digits = this.bytes(this.integerBytes);
    const number = digits.reduceRight((sum, digit) => sum * 256 + digit, 0);
    return isNegative ? -number : number;
  }

  text(): string {
    const length = this.integer();
    if (length > LONGEST_TEXT) throw new RangeError('no name is so long');
    return length < 0 ? '' : this.bytes(length).toString('latin1');
  }
}
