import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Answers } from '../../src/gateway/answers.js';

const OTHER = 0xee;

function message(type: string, body: Buffer | string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(body) + 4);
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body)]);
}

function key(bytes: number, fill: number): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0, 42]), Buffer.alloc(bytes, fill)]);
}

const newKey = (given: Buffer) => key(given.length - 4, OTHER);
const READY = message('Z', 'I');

/** As a session begins, with a key of so many bytes. */
function beginning(secret: Buffer): Buffer {
  const parameter = message('S', 'TimeZone\0UTC\0');
  return Buffer.concat([message('R', '\0\0\0\0'), parameter, message('K', secret), message('N', '\0'), READY]);
}

describe('what PostgreSQL answers', () => {
  test('is passed on as it is but for the key, wherever it is cut', () => {
    const anything = fc.array(
      fc.tuple(fc.constantFrom('D', 'C', 'd', 'E', 'N', 'A', 'K'), fc.uint8Array({ maxLength: 300 })),
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 });
    fc.assert(
      fc.property(anything, cuts, fc.constantFrom(4, 32, 256), (messages, sizes, secretBytes) => {
        // A message of the type of a key, later on, is none.
        const later = messages.map(([type, body]) => message(type, Buffer.from(body)));
        const sent = Buffer.concat([beginning(key(secretBytes, 1)), ...later, READY]);
        const expected = Buffer.concat([beginning(key(secretBytes, OTHER)), ...later, READY]);
        const given: Buffer[] = [];
        const answers = new Answers((theirs) => {
          given.push(theirs);
          return newKey(theirs);
        });
        const passed: Buffer[] = [];
        for (let at = 0, turn = 0; at < sent.length; turn++) {
          const size = sizes[turn % sizes.length] as number;
          passed.push(Buffer.from(answers.read(Buffer.from(sent.subarray(at, at + size)))));
          at += size;
        }
        expect(Buffer.concat(passed).equals(expected)).toBe(true);
        expect(given).toEqual([key(secretBytes, 1)]);
        expect([answers.ready, answers.idle, answers.betweenMessages]).toEqual([true, true, true]);
      }),
    );
  });

  test('is idle when everything has been answered, whatever comes unasked', () => {
    const answers = new Answers(newKey);
    answers.read(message('R', '\0\0\0\0'));
    expect([answers.ready, answers.idle]).toEqual([false, false]);
    answers.read(READY);
    expect([answers.ready, answers.idle]).toEqual([true, true]);
    answers.read(Buffer.concat([message('A', 'x'), message('N', 'x'), message('S', 'x')]));
    expect(answers.idle).toBe(true);
    answers.idle = false;
    answers.read(Buffer.concat([message('A', 'x'), message('D', 'x')]));
    expect(answers.idle).toBe(false);
    answers.read(Buffer.concat([message('C', 'x'), READY]));
    expect(answers.idle).toBe(true);
  });

  test('is between messages only where one ends', () => {
    const answers = new Answers(newKey);
    const row = message('D', 'row');
    answers.read(Buffer.concat([READY, row.subarray(0, 6)]));
    expect(answers.betweenMessages).toBe(false);
    expect(answers.rest(Buffer.from('o')).toString()).toBe('o');
    expect(answers.betweenMessages).toBe(false);
    expect(answers.rest(Buffer.concat([Buffer.from('w'), row])).toString()).toBe('w');
    expect(answers.betweenMessages).toBe(true);
    // A header that is not complete has not been passed on.
    expect(new Answers(newKey).read(row.subarray(0, 4))).toHaveLength(0);
  });

  test.each([
    ['a length that cannot be', Buffer.from('D\0\0\0\x03xx')],
    ['a key that is too short', message('K', Buffer.alloc(7))],
    ['a second key', Buffer.concat([message('K', key(4, 1)), message('K', key(4, 2))])],
    ['a key that is too long', message('K', Buffer.alloc(261))],
  ])('is not followed after %s', (_what, bytes) => {
    expect(() => new Answers(newKey).read(bytes)).toThrow(/^the replica /);
  });
});
