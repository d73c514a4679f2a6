/** What a restore can begin with: a script, or what becomes one by unpacking or by pg_restore. */
export type DumpFormat = 'plain' | 'gzip' | 'zstd' | 'custom' | 'tar';

/** `looksLike` is a noun phrase and `remedy` a sentence, for the message "This looks like {looksLike}. {remedy}". */
export interface Verdict {
  /** undefined: nothing that a replica can be made from. */
  readonly format: DumpFormat | undefined;
  readonly looksLike: string;
  /** What its owner can do where it is not taken. */
  readonly remedy: string;
}

interface Kind {
  format?: DumpFormat;
  looksLike: string;
  remedy: string;
  /** `text` is the head without byte order mark and leading white space, each byte a character. */
  matches: (head: Buffer, text: string) => boolean;
}

const PLAIN_DUMP = '`pg_dump --format=plain --file=dump.sql DATABASE`';
const DUMP_AGAIN = `Make a plain dump with ${PLAIN_DUMP}.`;
const NOT_POSTGRESQL = `Replichat restores PostgreSQL databases, from what ${PLAIN_DUMP} writes.`;

/** The first that matches is it: from what is certain to what is likely. */
const KINDS: readonly Kind[] = [
  {
    looksLike: 'an empty file',
    remedy: DUMP_AGAIN,
    // A longer head may have SQL after it.
    matches: (head, text) => text === '' && head.length < 1024,
  },
  {
    format: 'custom',
    looksLike: 'a pg_dump archive in custom format',
    remedy: `Convert it with \`pg_restore --file=dump.sql archive.dump\`, or make a plain dump with ${PLAIN_DUMP}.`,
    matches: (head) => startsWith(head, 'PGDMP') && !isTableOfContents(head),
  },
  {
    looksLike: 'toc.dat, one file of a pg_dump archive in directory format',
    remedy: `Convert the whole directory with \`pg_restore --file=dump.sql DIRECTORY\`, or make a plain dump with ${PLAIN_DUMP}.`,
    matches: isTableOfContents,
  },
  {
    format: 'tar',
    looksLike: 'a pg_dump archive in tar format',
    remedy: `Convert it with \`pg_restore --file=dump.sql archive.tar\`, or make a plain dump with ${PLAIN_DUMP}.`,
    matches: (head) => isTar(head) && startsWith(head, 'toc.dat\0'),
  },
  { looksLike: 'a tar archive', remedy: 'Unpack it with `tar -xf FILE` and upload the dump in it.', matches: isTar },
  { ...compressed('a gzip file', 'gunzip FILE', '\x1f\x8b'), format: 'gzip' },
  {
    ...compressed('a zstd file', 'unzstd FILE', '\x28\xb5\x2f\xfd'),
    format: 'zstd',
    // pzstd begins with a frame to be skipped.
    matches: (head) => startsWith(head, '\x28\xb5\x2f\xfd') || isSkippableFrame(head),
  },
  compressed('an xz file', 'unxz FILE', '\xfd7zXZ\0'),
  compressed('a bzip2 file', 'bunzip2 FILE', 'BZh'),
  compressed('an lz4 file', 'unlz4 FILE', '\x04\x22\x4d\x18'),
  compressed('a zip archive', 'unzip FILE', 'PK\x03\x04'),
  {
    looksLike: 'text in UTF-16',
    remedy:
      'PowerShell makes that of `pg_dump DATABASE > FILE`. Let pg_dump write the file: `pg_dump -f FILE DATABASE`.',
    matches: isUtf16,
  },
  { looksLike: 'an SQLite database', remedy: NOT_POSTGRESQL, matches: (head) => startsWith(head, 'SQLite format 3\0') },
  { looksLike: 'a PDF document', remedy: DUMP_AGAIN, matches: (head) => startsWith(head, '%PDF-') },
  { looksLike: 'a PNG image', remedy: DUMP_AGAIN, matches: (head) => startsWith(head, '\x89PNG\r\n') },
  { looksLike: 'a JPEG image', remedy: DUMP_AGAIN, matches: (head) => startsWith(head, '\xff\xd8\xff') },
  { looksLike: 'a binary file', remedy: DUMP_AGAIN, matches: isBinary },
  {
    looksLike: 'an HTML page',
    remedy: `It may be the error page of a failed download. ${DUMP_AGAIN}`,
    matches: (_head, text) => /^<(?:!doctype html|html|head|body)\b/i.test(text),
  },
  {
    looksLike: 'a JSON document',
    remedy: DUMP_AGAIN,
    matches: (_head, text) => /^[[\s]*\{\s*["}]|^\[[[\s]*["\d\]-]/.test(text),
  },
  {
    looksLike: 'a MySQL or MariaDB dump',
    remedy: NOT_POSTGRESQL,
    matches: (_head, text) => MYSQL.test(text) && !/^-- PostgreSQL database dump/m.test(text),
  },
  {
    looksLike: 'a cluster dump by pg_dumpall',
    remedy: `A replica holds one database: dump it alone with ${PLAIN_DUMP}.`,
    matches: (_head, text) => /^(?:--[^\n]*\n\s*)*?-- PostgreSQL database cluster dump\s/.test(text),
  },
  {
    looksLike: 'a CSV file',
    remedy: DUMP_AGAIN,
    // No SQL statement has a comma after its first word.
    matches: (_head, text) => /^(?:"\w+"|\w+)(?:,(?:"[\w ]+"|\w+))+\r?\n[^\n]*,/.test(text),
  },
];

const MYSQL =
  /^(?:-- (?:MySQL|MariaDB) dump |-- phpMyAdmin SQL Dump|\/\*M?!\d{5,6}|(?:CREATE TABLE|DROP TABLE|LOCK TABLES|INSERT INTO)(?: IF(?: NOT)? EXISTS)? `)/m;

/**
 * Tells from the beginning of a file what it is: anything that is nothing else may be an SQL script.
 * `head` is the first 1 to 64 KiB, or the whole of a shorter file.
 */
export function sniff(head: Buffer): Verdict {
  const bomBytes = startsWith(head, '\xef\xbb\xbf') ? 3 : 0;
  const text = head.toString('latin1', bomBytes).trimStart();
  const kind = KINDS.find(({ matches }) => matches(head, text));
  if (!kind) return { format: 'plain', looksLike: 'a plain dump or an SQL script', remedy: '' };
  return { format: kind.format, looksLike: kind.looksLike, remedy: kind.remedy };
}

function compressed(looksLike: string, command: string, magic: string): Kind {
  return {
    looksLike,
    remedy: `Unpack it with \`${command}\` and upload the plain dump in it.`,
    matches: (head) => startsWith(head, magic),
  };
}

/** `magic`: each character a byte. */
function startsWith(head: Buffer, magic: string): boolean {
  return head.toString('latin1', 0, magic.length) === magic;
}

function isSkippableFrame(head: Buffer): boolean {
  return head.length >= 4 && (head.readUInt32LE() & 0xfffffff0) >>> 0 === 0x184d2a50;
}

/** pg_backup_archiver.c, WriteHead: byte 10 is the format. A directory says 3 (tar), and only a custom archive says 1. */
function isTableOfContents(head: Buffer): boolean {
  return startsWith(head, 'PGDMP') && head.length > 10 && head[10] !== 1;
}

function isTar(head: Buffer): boolean {
  return head.toString('latin1', 257, 262) === 'ustar';
}

/** With its byte order mark or, as ASCII characters in UTF-16, with a NUL for every other byte. */
function isUtf16(head: Buffer): boolean {
  if (startsWith(head, '\xff\xfe') || startsWith(head, '\xfe\xff')) return true;
  const pairs = head.length >> 1;
  const nuls = { even: 0, odd: 0 };
  for (let at = 0; at < 2 * pairs; at++) if (head[at] === 0) nuls[at % 2 === 0 ? 'even' : 'odd']++;
  return pairs > 1 && Math.max(nuls.even, nuls.odd) > 0.7 * pairs && Math.min(nuls.even, nuls.odd) < 0.05 * pairs;
}

/** PostgreSQL has no NUL in any text. Other control characters may stand in data, but are never many. */
function isBinary(head: Buffer): boolean {
  let controls = 0;
  for (const byte of head) {
    if (byte === 0) return true;
    if (byte < 0x20 && !(byte >= 0x08 && byte <= 0x0d)) controls++;
  }
  return controls > head.length / 10;
}
