import { describe, expect, test } from '@jest/globals';
import {
  cancelBytes,
  Fatal,
  fromBytewise,
  parseStartup,
  startupBytes,
  toBytewise,
} from '../../src/gateway/messages.js';

const V3 = 0x30000;

describe('a StartupMessage', () => {
  test('is read and written as it was, whatever its bytes mean', () => {
    const body = Buffer.from('user\0a\xff.b\0database\0d\xe4\0options\0\0_pq_.x\x001\0\0', 'latin1');
    const startup = parseStartup(V3, body);
    expect([...startup.parameters]).toEqual([
      ['user', 'a\xff.b'],
      ['database', 'd\xe4'],
      ['options', ''],
      ['_pq_.x', '1'],
    ]);
    const bytes = startupBytes(startup);
    expect(bytes.readUInt32BE(0)).toBe(bytes.length);
    expect(bytes.readUInt32BE(4)).toBe(V3);
    expect(bytes.subarray(8)).toEqual(body);
  });

  test('may say nothing, and is of protocol 3.anything', () => {
    expect(parseStartup(0x30002, Buffer.from('\0'))).toEqual({ version: 0x30002, parameters: new Map() });
  });

  test.each(['', 'user\0app', 'user\0app\0', 'user\0', 'user\0app\0\0x', '\0\0', 'user\0app\0\0\0'])(
    'that ends otherwise than it should is refused: %j',
    (body) => {
      expect(() => parseStartup(V3, Buffer.from(body))).toThrow(
        expect.objectContaining({ sqlstate: '08P01', message: expect.stringContaining('layout') }),
      );
    },
  );

  test.each([0x20000, 0x40000, 0, 80877103])('of another protocol is refused: %d', (version) => {
    expect(() => parseStartup(version, Buffer.from('\0'))).toThrow(expect.objectContaining({ sqlstate: '0A000' }));
  });
});

test('a fatal error is an ErrorResponse, without what would end a field', () => {
  const bytes = new Fatal('57P01', 'no\0 more', 'Später.').toBytes();
  expect(String.fromCharCode(bytes.readUInt8(0))).toBe('E');
  expect(bytes.readUInt32BE(1)).toBe(bytes.length - 1);
  expect(bytes.subarray(5).toString()).toBe('SFATAL\0VFATAL\0C57P01\0Mno more\0HSpäter.\0\0');
  expect(new Fatal('57P01', 'm').toBytes().subarray(5).toString()).toBe('SFATAL\0VFATAL\0C57P01\0Mm\0\0');
});

test('a CancelRequest carries a key of any length', () => {
  const key = Buffer.from(`0000002a${'ab'.repeat(32)}`, 'hex');
  expect(cancelBytes(key).toString('hex')).toBe(`0000002c04d2162e${key.toString('hex')}`);
});

test('names that are not ASCII survive as bytes', () => {
  expect(toBytewise('ü')).toBe('\xc3\xbc');
  expect(fromBytewise(toBytewise('größe🙂'))).toBe('größe🙂');
});
