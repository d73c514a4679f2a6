import { expect, test } from '@jest/globals';
import { toCsv, toTsv } from '../../web/src/results/csv.js';

const ROWS = [
  { id: 1, name: 'a "b", c', note: null },
  { id: 2, name: '', note: { deep: [1, 'x'] } },
];

test('CSV tells NULL from the empty string, and quotes what needs it', () => {
  expect(toCsv(['id', 'name', 'note'], ROWS)).toBe(
    'id,name,note\r\n1,"a ""b"", c",\r\n2,"","{""deep"":[1,""x""]}"\r\n',
  );
});

test('what is copied has a line for each row, whatever is in the cells', () => {
  expect(toTsv(['a', 'b'], [{ a: 'x\ty', b: 'one\r\ntwo' }])).toBe('a\tb\nx y\tone two');
});
