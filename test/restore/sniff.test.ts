import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { sniff } from '../../src/restore/sniff.js';
import { least } from '../support/measure.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const PLAIN_DUMP = 'pg_dump --format=plain --file=dump.sql DATABASE';
const DUMP = '--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.2\n\nSET lock_timeout = 0;\n';

/** Of what is not plain, what a restore can begin with all the same. */
const TAKEN: Record<string, string> = {
  'a pg_dump archive in custom format': 'custom',
  'a pg_dump archive in tar format': 'tar',
  'a gzip file': 'gzip',
  'a zstd file': 'zstd',
};

/** The header of pg_dump's archives, as version 15 writes it; byte 10 is the format. */
const archive = (format: number) => Buffer.from([...bytes('PGDMP'), 1, 14, 0, 4, 8, format, 0, 0, 0, 0]);

/** The first member of a POSIX tar archive. */
function tar(name: string): Buffer {
  const head = Buffer.alloc(1024);
  head.write(name, 'latin1');
  head.write('ustar\0', 257, 'latin1');
  return head;
}

describe('the sniffer lets pass', () => {
  test.each([
    ['a dump by pg_dump', DUMP],
    ['a dump with Windows line ends', DUMP.replaceAll('\n', '\r\n')],
    ['a hand-written script', 'create table t (a int);'],
    ['comments alone', '-- nothing yet\n/* really */'],
    ['white space before more, as far as one can see', '\n'.repeat(1024)],
    ['one list of columns over two lines', 'SELECT a,b,\nc,d FROM t;'],
    ['a script that mentions pg_dumpall', `${DUMP}-- PostgreSQL database cluster dump\n`],
    ['a dump whose data speak of MySQL', `${DUMP}COPY t FROM stdin;\n-- MySQL dump 10\nCREATE TABLE \`t\`\n\\.\n`],
    ['single control characters', `${DUMP}INSERT INTO t VALUES ('\x01\x1b\x7f');`],
    ['Latin-1 text', `${DUMP}INSERT INTO t VALUES ('\xe9\xff');`],
  ])('%s', (_what, text) => {
    expect(sniff(bytes(text))).toMatchObject({ format: 'plain' });
  });

  test('a byte order mark, and tells its length', () => {
    expect(sniff(Buffer.from(`\uFEFF${DUMP}`))).toMatchObject({ format: 'plain' });
  });
});

describe('the sniffer recognises', () => {
  test.each<[looksLike: string, head: Buffer, command: string]>([
    ['an empty file', bytes(''), PLAIN_DUMP],
    ['an empty file', bytes(' \r\n\t\n'), PLAIN_DUMP],
    ['an empty file', Buffer.from('\uFEFF\n'), PLAIN_DUMP],
    ['a pg_dump archive in custom format', archive(1), 'pg_restore --file=dump.sql archive.dump'],
    ['a pg_dump archive in custom format', archive(1), PLAIN_DUMP],
    ['a pg_dump archive in tar format', tar('toc.dat'), 'pg_restore --file=dump.sql archive.tar'],
    ['toc.dat, one file of a pg_dump archive in directory format', archive(3), 'pg_restore --file=dump.sql DIRECTORY'],
    ['a tar archive', tar('dump.sql'), 'tar -xf FILE'],
    ['a gzip file', gzipSync(DUMP), 'gunzip FILE'],
    ['a zstd file', bytes('\x28\xb5\x2f\xfd\x04\x00'), 'unzstd FILE'],
    ['a zstd file', bytes('\x50\x2a\x4d\x18\x04\x00\x00\x00'), 'unzstd FILE'],
    ['an xz file', bytes('\xfd7zXZ\x00\x00'), 'unxz FILE'],
    ['a bzip2 file', bytes('BZh91AY&SY'), 'bunzip2 FILE'],
    ['an lz4 file', bytes('\x04\x22\x4d\x18\x64'), 'unlz4 FILE'],
    ['a zip archive', bytes('PK\x03\x04\x14\x00'), 'unzip FILE'],
    ['text in UTF-16', Buffer.from(`\uFEFF${DUMP}`, 'utf16le'), 'pg_dump -f FILE DATABASE'],
    ['text in UTF-16', Buffer.from(DUMP, 'utf16le'), 'pg_dump -f FILE DATABASE'],
    ['text in UTF-16', Buffer.from(`\uFEFF${DUMP}`, 'utf16le').swap16(), 'pg_dump -f FILE DATABASE'],
    ['text in UTF-16', Buffer.from(`SELECT '${'é'.repeat(20)}ß…';`, 'utf16le').swap16(), 'pg_dump -f FILE DATABASE'],
    ['an SQLite database', bytes('SQLite format 3\0\x10\x00'), PLAIN_DUMP],
    ['a PDF document', bytes('%PDF-1.7\n'), PLAIN_DUMP],
    ['a PNG image', bytes('\x89PNG\r\n\x1a\n'), PLAIN_DUMP],
    ['a JPEG image', bytes('\xff\xd8\xff\xe0\x00\x10JFIF'), PLAIN_DUMP],
    ['a binary file', bytes('\x7fELF\x02\x01\x01\x00'), PLAIN_DUMP],
    ['a binary file', bytes('\x01\x02\x03abcdefghijkl'), PLAIN_DUMP],
    ['an HTML page', bytes('\n<!DOCTYPE html>\n<html>'), PLAIN_DUMP],
    ['an HTML page', bytes('<html lang="en">'), PLAIN_DUMP],
    ['a JSON document', bytes('{ "a": 1 }'), PLAIN_DUMP],
    ['a JSON document', bytes('[{"a": 1}]'), PLAIN_DUMP],
    ['a JSON document', bytes('[1, 2]'), PLAIN_DUMP],
    ['a MySQL or MariaDB dump', bytes('-- MySQL dump 10.13  Distrib 8.0.36\n'), PLAIN_DUMP],
    [
      'a MySQL or MariaDB dump',
      bytes('/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n'),
      PLAIN_DUMP,
    ],
    ['a MySQL or MariaDB dump', bytes('DROP TABLE IF EXISTS `users`;\nCREATE TABLE `users` (\n'), PLAIN_DUMP],
    ['a cluster dump by pg_dumpall', bytes('--\r\n-- PostgreSQL database cluster dump\r\n--\r\n'), PLAIN_DUMP],
    ['a CSV file', bytes('id,name,"full name"\n1,a,b\n'), PLAIN_DUMP],
  ])('%s: %#', (looksLike, head, command) => {
    const verdict = sniff(head);
    expect(verdict).toMatchObject({ format: TAKEN[looksLike], looksLike });
    expect(verdict).toHaveProperty('remedy', expect.stringContaining(`\`${command}\``));
  });

  test('nothing from how the file goes on: a head of 1 KiB is enough', () => {
    const head = bytes(`-- PostgreSQL database cluster dump\n${' '.repeat(100_000)}`);
    expect(sniff(head.subarray(0, 1024))).toEqual(sniff(head));
  });

  test('quickly, also in a head made to be slow', async () => {
    const ms = await least(1000, () => {
      const started = performance.now();
      for (const text of [`--${' '.repeat(40)}\n`, ' \n', '[', 'a,', '-- -- '])
        sniff(bytes(text.repeat(65_536 / text.length)));
      return performance.now() - started;
    });
    expect(ms).toBeLessThan(1000);
  });
});

describe('a real dump', () => {
  for (const name of ['pagila.sql', 'northwind.sql']) {
    const file = new URL(`../../../shared/dumps/${name}`, import.meta.url);
    (existsSync(file) ? test : test.skip)(`passes: ${name}`, () => {
      expect(sniff(readFileSync(file).subarray(0, 65_536))).toMatchObject({ format: 'plain' });
    });
  }
});
