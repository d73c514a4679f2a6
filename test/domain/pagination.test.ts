import { describe, expect, test } from '@jest/globals';
import {
  cursorOf,
  LARGEST_PAGE,
  type PageArguments,
  type PageRequest,
  pageRequest,
} from '../../src/domain/pagination.js';

const NEWEST_50 = { limit: 50, fromEnd: true };
const FIRST_50 = { limit: 50, fromEnd: false };

describe('pageRequest', () => {
  test.each<[string, PageArguments, typeof FIRST_50, PageRequest]>([
    ['the default, from the beginning', {}, FIRST_50, { limit: 50, fromEnd: false }],
    ['the default, from the end', {}, NEWEST_50, { limit: 50, fromEnd: true }],
    ['nulls like what is absent', { first: null, after: null, last: null, before: null }, NEWEST_50, NEWEST_50],
    ['first over a default from the end', { first: 3 }, NEWEST_50, { limit: 3, fromEnd: false }],
    ['last over a default from the beginning', { last: 3 }, FIRST_50, { limit: 3, fromEnd: true }],
    ['none', { first: 0 }, FIRST_50, { limit: 0, fromEnd: false }],
    ['none of the last', { last: 0 }, FIRST_50, { limit: 0, fromEnd: true }],
    ['the largest page', { first: LARGEST_PAGE }, FIRST_50, { limit: LARGEST_PAGE, fromEnd: false }],
    ['after a cursor', { first: 2, after: cursorOf(7) }, FIRST_50, { limit: 2, fromEnd: false, after: 7 }],
    ['before a cursor', { last: 2, before: cursorOf(7) }, FIRST_50, { limit: 2, fromEnd: true, before: 7 }],
    [
      'both cursors',
      { first: 2, after: cursorOf(1), before: cursorOf(999_999_999_999_999) },
      FIRST_50,
      { limit: 2, fromEnd: false, after: 1, before: 999_999_999_999_999 },
    ],
  ])('reads %s', (_what, given, byDefault, request) => {
    expect(pageRequest(given, byDefault)).toEqual(request);
  });

  const OUT_OF_RANGE = 'is out of range; give 0 to 500';
  const NO_CURSOR = 'is no cursor of this list; give an endCursor or startCursor that it returned';

  test.each<[string, PageArguments, string]>([
    ['first together with last', { first: 1, last: 1 }, 'last: give either first or last, not both'],
    ['first and last of zero', { first: 0, last: 0 }, 'last: give either first or last, not both'],
    ['a negative first', { first: -1 }, `first: -1 ${OUT_OF_RANGE}`],
    ['a negative last', { last: -1 }, `last: -1 ${OUT_OF_RANGE}`],
    ['too large a first', { first: 501 }, `first: 501 ${OUT_OF_RANGE}`],
    ['too large a last', { last: 2 ** 31 - 1 }, `last: 2147483647 ${OUT_OF_RANGE}`],
    ['an empty cursor', { after: '' }, `after: ${NO_CURSOR}`],
    ['a number for a cursor', { after: '12' }, `after: ${NO_CURSOR}`],
    ['a foreign cursor', { before: Buffer.from('arrayconnection:3').toString('base64') }, `before: ${NO_CURSOR}`],
    ['a negative position', { after: Buffer.from('p-1').toString('base64url') }, `after: ${NO_CURSOR}`],
    [
      'a position beyond what is exact',
      { after: Buffer.from(`p${'9'.repeat(16)}`).toString('base64url') },
      `after: ${NO_CURSOR}`,
    ],
    ['what is no text', { before: '\0\u{1F600}' }, `before: ${NO_CURSOR}`],
  ])('refuses %s, naming the argument and the remedy', (_what, given, message) => {
    expect(() => pageRequest(given, FIRST_50)).toThrow(
      expect.objectContaining({
        code: 'BAD_USER_INPUT',
        message,
        facts: { field: message.slice(0, message.indexOf(':')) },
      }),
    );
  });
});

test.each([0, 1, 50, 2 ** 31, 999_999_999_999_999])('the cursor of position %d leads back to it', (position) => {
  const cursor = cursorOf(position);
  expect(cursor).toMatch(/^[\w-]+$/);
  expect(pageRequest({ after: cursor }, FIRST_50).after).toBe(position);
});
