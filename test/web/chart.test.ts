import { describe, expect, test } from '@jest/globals';
import { choose, columnsOf } from '../../web/src/chart/choose.js';
import { timeAxis } from '../../web/src/chart/time-axis.js';

describe('the chart that a result asks for', () => {
  const chosen = (types: Record<string, string>) => choose(columnsOf(Object.keys(types), [], Object.values(types)));

  test.each([
    [
      'a time and numbers: lines',
      { month: 'date', loans: 'bigint', fines: 'numeric(8,2)' },
      { type: 'line', x: 'month', y: ['loans', 'fines'] },
    ],
    [
      'words and a number: bars',
      { name: 'text', id: 'integer', count: 'bigint' },
      { type: 'bar', x: 'name', y: ['count'] },
    ],
    ['years and a number: bars', { year: 'integer', count: 'bigint' }, { type: 'bar', x: 'year', y: ['count'] }],
    ['two numbers: points', { pages: 'integer', price: 'numeric' }, { type: 'scatter', x: 'pages', y: ['price'] }],
    ['one number: bars by row', { price: 'numeric' }, { type: 'bar', x: undefined, y: ['price'] }],
    ['no number: none', { name: 'text', tags: 'integer[]' }, undefined],
  ])('%s', (_what, types, choice) => {
    expect(chosen(types as Record<string, string>)).toEqual(choice);
  });

  test('without types the values say what the columns hold', () => {
    const rows = [
      { day: '2024-01-01', at: null, price: '1.10', big: '9007199254740993', code: '007x', extra: { a: 1 } },
      { day: '2024-01-02', at: '2024-01-02T10:00:00', price: null, big: 5, code: '008', extra: null },
    ];
    const kinds = columnsOf(Object.keys(rows[0] ?? {}), rows).map(({ kind }) => kind);
    expect(kinds).toEqual(['time', 'time', 'number', 'number', 'text', 'json']);
  });
});

describe('the ticks of a time axis', () => {
  const labels = (from: string, to: string, wanted: number) => {
    const { ticks, label } = timeAxis(Date.parse(from), Date.parse(to), wanted, 'en-GB');
    return ticks.map(label);
  };

  test('are years over years', () => {
    expect(labels('2020-06-15', '2024-02-01', 5)).toEqual(['2021', '2022', '2023', '2024']);
  });

  test('are months over months, on their first day', () => {
    expect(labels('2024-01-01', '2024-06-15', 8)).toEqual([
      'Jan 2024',
      'Feb 2024',
      'Mar 2024',
      'Apr 2024',
      'May 2024',
      'Jun 2024',
    ]);
  });

  test('are hours over a day', () => {
    expect(labels('2024-01-01T00:00:00Z', '2024-01-02T00:00:00Z', 5)).toEqual([
      '00:00',
      '06:00',
      '12:00',
      '18:00',
      '00:00',
    ]);
  });

  test('are there before 1970 and over centuries', () => {
    expect(labels('1850-01-01', '1950-01-01', 6)).toEqual(['1860', '1880', '1900', '1920', '1940']);
  });
});
