import { describe, expect, test } from '@jest/globals';
import type { Column, Table } from '../../src/postgres/catalog.js';
import { schemaText } from '../../src/postgres/schema-text.js';

function column(name: string, changes: Partial<Column> = {}): Column {
  return {
    name,
    type: 'text',
    nullable: true,
    default: null,
    generated: false,
    identity: false,
    primaryKey: false,
    enumValues: null,
    comment: null,
    ...changes,
  };
}

function table(name: string, changes: Partial<Table> = {}): Table {
  return {
    schema: 'public',
    name,
    kind: 'TABLE',
    rowEstimate: 0,
    sizeBytes: 0,
    columns: [],
    primaryKey: [],
    uniqueKeys: [],
    foreignKeys: [],
    partitionKey: null,
    comment: null,
    ...changes,
  };
}

function references(name: string) {
  return { name, columns: ['hub_id'], referencedSchema: 'public', referencedTable: 'hub', referencedColumns: ['id'] };
}

/** A table that the others refer to, one with many rows, and many that nothing is known of. */
function tables(count: number): Table[] {
  const columns = [column('id', { type: 'bigint' }), column('label', { default: "'a default'", comment: 'A comment' })];
  return [
    table('big', { columns, rowEstimate: 1e9, comment: 'A comment' }),
    table('hub', { columns, comment: 'A comment' }),
    ...Array.from({ length: count }, (_, index) =>
      table(`plain_${index}`, {
        columns: [...columns, column('hub_id')],
        comment: 'A comment',
        foreignKeys: index < 10 ? [references(`fk_${index}`)] : [],
      }),
    ),
  ];
}

describe('the text of a schema', () => {
  test('says so when there is nothing', () => {
    expect(schemaText([], 1000)).toBe('-- There are no tables.\n');
  });

  test('quotes what needs it, and keeps comments, labels and defaults on their line', () => {
    const odd = table('Order "x"', {
      schema: 'a b',
      kind: 'VIEW',
      comment: 'one\n-- two\r\u2028three',
      columns: [
        column('order', { enumValues: ["it's", 'a\nb'] }),
        column('plain_1$', { default: "'a\nb'::text", comment: 'x\ny' }),
        column('größe'),
      ],
    });
    expect(schemaText([odd], 1000)).toBe(
      [
        '-- one -- two three',
        'CREATE VIEW "a b"."Order ""x""" (',
        `  "order" text, -- 'it''s' | 'a b'`,
        "  plain_1$ text DEFAULT 'a b'::text, -- x y",
        '  "größe" text',
        ');',
        '',
      ].join('\n'),
    );
  });

  test.each([
    [100, 10_000_000],
    [100, 20_000],
    [100, 10_000],
    [100, 6_000],
    [100, 3_000],
    [1000, 16_000],
    [1000, 1_000],
  ])('of %i tables is at most %i characters', (count, maxChars) => {
    expect(schemaText(tables(count), maxChars).length).toBeLessThanOrEqual(maxChars);
  });

  test('that is cut uses the room, and drops the details of unimportant tables first', () => {
    const text = schemaText(tables(100), 12_000);
    expect(text.length).toBeGreaterThan(11_000);
    for (const important of ['big', 'hub']) {
      expect(text).toContain(
        `-- A comment\n${important === 'big' ? '-- about 1000000000 rows\n' : ''}CREATE TABLE ${important} (\n`,
      );
    }
    expect(text).toContain('  label text,\n');
    expect(text).toMatch(
      /-- Left out to keep to 12000 characters: comments and defaults of \d+ tables\. Ask with search/,
    );
  });

  test('that is cut further names tables without their columns, then counts them', () => {
    const text = schemaText(tables(1000), 3_000);
    expect(text).toContain('-- Without their columns: big, hub, plain_0, ');
    const named = /Without their columns: (.*)/.exec(text)?.[1]?.split(', ').length as number;
    const counted = Number(/all of (\d+) tables/.exec(text)?.[1]);
    expect(named + counted).toBe(1002);
    expect(named).toBeGreaterThan(100);
  });
});
