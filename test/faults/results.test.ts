import { describe, expect, test } from '@jest/globals';
import { FAULTS, type Fault } from './faults.js';
import type { Report } from './report.js';
import { markdownOf, type Recorded, Results } from './results.js';

const FILE = '/somewhere/replichat/test/faults/kill.test.ts';

function reportOf(fault: Fault, test: string): Report {
  return { fault, test, file: FILE, howOften: '3 times', demanded: 'nothing is left', seen: '1 a|b' };
}

function ended(test: string, status: string, message?: string): Recorded {
  return { type: 'test', file: FILE, test, status, ms: 1234, ...(message && { message }) };
}

function textOf(results: Results): string {
  return markdownOf(results, {
    command: 'npm run faults',
    at: new Date('2026-01-02'),
    seconds: 61,
    machine: ['2 cores'],
    sizes: ['KILLS=3'],
    root: '/somewhere/replichat/',
  });
}

/** The cells of the one row that has this in a cell. */
function row(text: string, cell: string): string[] {
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .slice(2, -2)
        .split(/ +\| +/)
        .map((each) => each.trim()),
    );
  const [found, ...others] = rows.filter((cells) => cells.includes(cell));
  expect(others).toEqual([]);
  return found as string[];
}

const everything = (Object.keys(FAULTS) as Fault[]).map((fault) => reportOf(fault, `shows ${fault}`));
const allPassed = everything.map(({ test }) => ended(test, 'passed'));
const file: Recorded[] = [
  { type: 'began', file: FILE },
  { type: 'ended', file: FILE },
];

describe('the report of the faults', () => {
  test('has a row for each, and holds when all do', () => {
    const results = new Results(everything, [...file, ...allPassed]);
    expect(results.haveHeld).toBe(true);
    expect(row(textOf(results), FAULTS.kill)).toEqual([FAULTS.kill, '3 times', 'nothing is left', '1 a\\|b', 'held']);
  });

  test('says of one that nothing has reported that it is missing', () => {
    const reports = everything.filter(({ fault }) => fault !== 'disk');
    const results = new Results(reports, [...file, ...allPassed]);
    expect(results.haveHeld).toBe(false);
    expect(row(textOf(results), FAULTS.disk).at(-1)).toBe('**missing**');
  });

  test('says of what a failing test has seen that it failed, and why, without the paths of the machine', () => {
    const failed = ended(
      'shows kill',
      'failed',
      '\u001b[31mError: /somewhere/else/kill-x/file is left\u001b[0m\n at x',
    );
    const results = new Results(everything, [...file, ...allPassed.slice(1), failed]);
    expect(results.haveHeld).toBe(false);
    const text = textOf(results);
    expect(row(text, FAULTS.kill).at(-1)).toBe('**failed**');
    expect(row(text, 'shows kill').at(-1)).toBe('**failed**: Error: file is left');
    expect(text).not.toContain('somewhere');
  });

  test('shows what failed or was skipped before it had anything to report', () => {
    const results = new Results(everything, [...file, ...allPassed, ended('a', 'failed'), ended('b', 'pending')]);
    expect(results.haveHeld).toBe(false);
    const faults = textOf(results).split('## Every test')[0] as string;
    expect(row(faults, 'a').at(-1)).toBe('**failed**');
    expect(row(faults, 'b').at(-1)).toBe('**skipped**');
  });

  test('shows what had not ended when the run was, and what did not load', () => {
    const [other, broken] = [FILE.replace('kill', 'disk'), FILE.replace('kill', 'many')];
    const unended: Report = { ...reportOf('kill', 'never ends'), file: other };
    const results = new Results(
      [...everything.slice(1), unended],
      [
        ...file,
        ...allPassed,
        { type: 'began', file: other },
        { type: 'began', file: broken },
        { type: 'ended', file: broken, message: 'SyntaxError' },
      ],
    );
    expect(results.haveHeld).toBe(false);
    const text = textOf(results);
    expect(row(text, FAULTS.kill).at(-1)).toBe('**not ended**');
    expect(row(text, 'test/faults/disk.test.ts').at(-1)).toBe('not ended');
    expect(row(text, 'test/faults/many.test.ts').at(-1)).toBe('**failed**: SyntaxError');
  });
});
