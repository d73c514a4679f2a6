import { describe, expect, test } from '@jest/globals';
import { ReplichatError } from '../../src/domain/errors.js';
import { type ContentInput, contentOf, type MessageContent, type Row } from '../../src/domain/message.js';

const ROOMY = 1_000_000;
const PNG = 'data:image/png;base64,iVBORw0KGgo=';

describe('contentOf', () => {
  test.each<[string, ContentInput, MessageContent]>([
    ['a text', { text: 'Hello' }, { type: 'TEXT', text: 'Hello' }],
    ['a text as it is written', { text: ' a\n"b" ' }, { type: 'TEXT', text: ' a\n"b" ' }],
    ['a query', { query: 'SELECT 1' }, { type: 'QUERY', sql: 'SELECT 1' }],
    [
      'an image by https',
      { image: { url: 'https://a.example/x.svg', alt: 'X' } },
      image('https://a.example/x.svg', 'X'),
    ],
    ['an image without a description', { image: { url: PNG } }, image(PNG, null)],
    ['an image whose description is null', { image: { url: PNG, alt: null } }, image(PNG, null)],
    ['a table', { table: [{ id: 1, name: 'Ada' }] }, table(['id', 'name'], [{ id: 1, name: 'Ada' }])],
    ['a table without rows', { table: [] }, table([], [])],
    ['a table of empty rows', { table: [{}, {}] }, table([], [{}, {}])],
    [
      'columns in the order in which the rows first name them',
      { table: [{ b: 1 }, { a: 2, b: 3 }, { c: 4 }] },
      table(['b', 'a', 'c'], [{ b: 1 }, { a: 2, b: 3 }, { c: 4 }]),
    ],
    [
      'one kind when the others are null',
      { text: 'Hi', query: null, table: null, image: null },
      { type: 'TEXT', text: 'Hi' },
    ],
  ])('takes %s', (_what, input, content) => {
    expect(contentOf(input, ROOMY)).toEqual(content);
  });

  test.each(['png', 'jpeg', 'gif', 'webp', 'avif'])('takes data URLs of %s images', (kind) => {
    const url = `data:image/${kind};base64,AAAA`;
    expect(contentOf({ image: { url } }, ROOMY)).toEqual(image(url, null));
  });

  const ONE_OF = 'content: give exactly one of text, query, table and image';
  const DATA_URL = 'content.image.url: give a base64 data URL of a PNG, JPEG, GIF, WebP or AVIF image';
  const URL_KINDS = 'content.image.url: a page can only load https: URLs and data: URLs of images; give one of these';
  const row = (index: number) => `content.table[${index}]: a row is an object, column name -> value`;

  test.each<[string, ContentInput, string]>([
    ['nothing', {}, ONE_OF],
    ['only nulls', { text: null, image: null }, ONE_OF],
    ['two kinds', { text: 'a', query: 'b' }, ONE_OF],
    ['a kind beside an empty table', { text: 'a', table: [] }, ONE_OF],
    ['an empty text', { text: '' }, 'content.text: is empty; give what the message says'],
    ['a blank query', { query: ' \n' }, 'content.query: is empty; give what the message says'],
    ['a row that is null', { table: [{ a: 1 }, null as unknown as Row] }, row(1)],
    ['a row that is a list', { table: [[1, 2] as unknown as Row] }, row(0)],
    ['a row that is a number', { table: [7 as unknown as Row] }, row(0)],
    ['an SVG, which could run scripts', { image: { url: 'data:image/svg+xml;base64,AAAA' } }, DATA_URL],
    ['a data URL of a page', { image: { url: 'data:text/html;base64,AAAA' } }, DATA_URL],
    ['a data URL that is not base64', { image: { url: 'data:image/png,%89PNG' } }, DATA_URL],
    ['a data URL with something behind it', { image: { url: `${PNG}"onload="x` } }, DATA_URL],
    ['an image without encryption', { image: { url: 'http://a.example/x.png' } }, URL_KINDS],
    ['a script', { image: { url: 'javascript:alert(1)' } }, URL_KINDS],
    ['a file', { image: { url: 'file:///etc/passwd' } }, URL_KINDS],
    ['a relative address', { image: { url: '/x.png' } }, URL_KINDS],
    ['no address', { image: { url: '' } }, URL_KINDS],
  ])('refuses %s, naming the field and the remedy', (_what, input, message) => {
    const error = refusalOf(() => contentOf(input, ROOMY));
    expect(error.code).toBe('BAD_USER_INPUT');
    expect(error.message).toBe(message);
    expect(error.facts).toEqual({ field: message.slice(0, message.indexOf(':')) });
  });

  test.each<[string, ContentInput, number]>([
    ['a text in quotes', { text: 'abcd' }, 6],
    ['bytes, not characters', { text: 'é🙂' }, 8],
    ['a table', { table: [{ id: 1 }] }, 10],
    ['an image with its description', { image: { url: PNG, alt: 'x' } }, PNG.length + 20],
  ])('measures as JSON: %s', (_what, input, bytes) => {
    expect(() => contentOf(input, bytes)).not.toThrow();
    expect(refusalOf(() => contentOf(input, bytes - 1)).message).toBe(
      `content.${Object.keys(input)[0]}: has ${bytes} bytes; at most ${bytes - 1} are allowed (MAX_MESSAGE_BYTES)`,
    );
  });
});

function image(url: string, alt: string | null): MessageContent {
  return { type: 'IMAGE', url, alt };
}

function table(columns: string[], rows: Row[]): MessageContent {
  return { type: 'TABLE', columns, rows, rowCount: rows.length, truncated: false };
}

function refusalOf(act: () => void): ReplichatError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(ReplichatError);
    return error as ReplichatError;
  }
  throw new Error('was accepted');
}
