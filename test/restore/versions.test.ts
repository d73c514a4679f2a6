import { describe, expect, test } from '@jest/globals';
import { versionsOf } from '../../src/restore/versions.js';

interface Header {
  /** Of the archive's format: 14 up to PostgreSQL 15, 15 of 16, 16 of 17. */
  minor?: number;
  integerBytes?: number;
  database?: string;
  source?: string;
  archiver?: string;
}

/** pg_backup_archiver.c, WriteHead. */
function header(options: Header = {}): Buffer {
  const { minor = 14, integerBytes = 4, database = 'shop' } = options;
  const { source = '15.2 (Debian 15.2-1)', archiver = '16.1' } = options;
  const integer = (value: number) => {
    const digits = Buffer.alloc(integerBytes);
    digits.writeUIntLE(Math.abs(value), 0, Math.min(6, integerBytes));
    return Buffer.concat([Buffer.of(value < 0 ? 1 : 0), digits]);
  };
  const text = (value: string) => Buffer.concat([integer(Buffer.byteLength(value)), Buffer.from(value)]);
  return Buffer.concat([
    Buffer.from('PGDMP'),
    Buffer.of(1, minor, 0, integerBytes, 8, 1),
    minor >= 15 ? Buffer.of(1) : integer(-1),
    ...[1, 2, 3, 4, 5, 126, 0].map(integer),
    text(database),
    text(source),
    text(archiver),
    Buffer.from('what follows'),
  ]);
}

function tar(member: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(512), member]);
}

describe('the header of a dump tells its versions', () => {
  test.each<[string, Header, object]>([
    ['of PostgreSQL 12 to 15', {}, { source: 15, archiver: 16 }],
    ['of PostgreSQL 16', { minor: 15, source: '16.0', archiver: '16.4' }, { source: 16, archiver: 16 }],
    ['of PostgreSQL 17', { minor: 16, source: '9.6.24', archiver: '17beta1' }, { source: 9, archiver: 17 }],
    ['with integers of 8 bytes', { integerBytes: 8 }, { source: 15, archiver: 16 }],
    ['with no versions in it', { source: '', archiver: 'devel' }, { source: undefined, archiver: undefined }],
    ['with the longest name', { database: 'd'.repeat(63), source: '10.23' }, { source: 10, archiver: 16 }],
  ])('an archive %s', (_what, options, versions) => {
    expect(versionsOf('custom', header(options))).toEqual(versions);
    expect(versionsOf('tar', tar(header(options)))).toEqual(versions);
  });

  test('a plain one', () => {
    expect(versionsOf('plain', Buffer.from('--\n-- Dumped from database version 9.6.24\n'))).toEqual({ source: 9 });
    expect(versionsOf('plain', Buffer.from('select 1;'))).toEqual({ source: undefined });
    expect(versionsOf('plain', Buffer.from('-- Dumped from database version 99999999999'))).toEqual({});
  });

  test('none at all when it is cut off, strange or hostile', () => {
    const whole = header();
    const end = whole.length - Buffer.byteLength('what follows');
    for (let length = 0; length < end; length++) expect(versionsOf('custom', whole.subarray(0, length))).toEqual({});
    for (let at = 0; at < end; at++) {
      for (const byte of [0, 0x7f, 0xff]) {
        const spoilt = Buffer.from(whole);
        spoilt[at] = byte;
        for (const value of Object.values(versionsOf('custom', spoilt)))
          expect([undefined, 'number']).toContain(typeof value === 'number' ? 'number' : value);
      }
    }
    expect(versionsOf('tar', Buffer.alloc(100))).toEqual({});
    expect(versionsOf('custom', header({ minor: 9 }))).toEqual({});
  });
});
