import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { table } from '../../bench/table.js';
import { FAULTS, type Fault } from './faults.js';
import type { Report } from './report.js';

/** A line of what recorder.js writes. */
export type Recorded =
  | { readonly type: 'began'; readonly file: string }
  | { readonly type: 'ended'; readonly file: string; readonly message?: string }
  | {
      readonly type: 'test';
      readonly file: string;
      readonly test: string;
      readonly status: string;
      readonly ms: number;
      readonly message?: string;
    };

type Outcome = 'held' | 'failed' | 'skipped' | 'not ended' | 'missing';

interface Test {
  readonly file: string;
  readonly test: string;
  readonly outcome: Outcome;
  readonly ms: number;
  /** Why it failed. */
  readonly message?: string | undefined;
}

/** Of a run, or of what there is of one that was ended early. */
export class Results {
  /** What did not even load, and what nobody knows the end of, are among them. */
  readonly tests: readonly Test[];

  constructor(
    readonly reports: readonly Report[],
    recorded: readonly Recorded[],
  ) {
    const tests: Test[] = recorded.flatMap((line) => (line.type === 'test' ? testOf(line) : []));
    for (const line of recorded) {
      const { type, file } = line;
      const isUnended = type === 'began' && !recorded.some((other) => other.type === 'ended' && other.file === file);
      if (isUnended) tests.push({ file, test: 'the whole file', outcome: 'not ended', ms: 0 });
      if (type === 'ended' && line.message)
        tests.push({ file, test: 'the whole file', outcome: 'failed', ms: 0, message: line.message });
    }
    this.tests = tests;
  }

  /** Nothing reported them. */
  get missing(): Fault[] {
    return (Object.keys(FAULTS) as Fault[]).filter((fault) => !this.reports.some((report) => report.fault === fault));
  }

  /** A report is worth what the test is worth that gave it. */
  testOf(report: Report): Test | undefined {
    return this.tests.find(({ file, test }) => file === report.file && test === report.test);
  }

  get outcomes(): Outcome[] {
    return [...this.tests.map(({ outcome }) => outcome), ...this.missing.map(() => 'missing' as const)];
  }

  get haveHeld(): boolean {
    return this.outcomes.every((outcome) => outcome === 'held');
  }
}

const OUTCOMES: Record<string, Outcome> = { passed: 'held', failed: 'failed' };

function testOf({ file, test, status, ms, message }: Extract<Recorded, { type: 'test' }>): Test {
  return { file, test, outcome: OUTCOMES[status] ?? 'skipped', ms, message };
}

export interface Circumstances {
  readonly command: string;
  readonly at: Date;
  readonly seconds: number;
  /** "2 cores", "Node 20.20.2", ... */
  readonly machine: readonly string[];
  /** "KILLS=34", ... */
  readonly sizes: readonly string[];
  /** Why the run was ended before its end. */
  readonly endedBy?: string | undefined;
  /** What failures may mention of this machine, and nobody needs to know. */
  readonly root: string;
}

export function markdownOf(results: Results, circumstances: Circumstances): string {
  const { command, at, seconds, machine, sizes, endedBy, root } = circumstances;
  const head = ['fault', 'how often', 'what was demanded', 'what was seen', 'verdict'];
  return `${[
    '# Faults',
    `\`${command}\`, ${at.toISOString().slice(0, 10)}, ${Math.ceil(seconds / 60)} minutes: ${machine.join(', ')}.`,
    `Sizes: ${sizes.join(', ')}.`,
    ...(endedBy ? [`**The run was ended early: ${endedBy}.** What it has not come to is missing below.`] : []),
    summaryOf(results),
    table(head, [...faultRows(results), ...unreportedRows(results)].map(escaped)),
    ...detailsOf(results),
    '## Every test that was run',
    table(['file', 'test', 'seconds', ''], results.tests.map((test) => testRow(test, root)).map(escaped)),
  ].join('\n\n')}\n`;
}

/** "12 held, 1 failed, 2 missing". */
export function summaryOf({ outcomes }: Results): string {
  const counts = new Map<Outcome, number>();
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const said = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
  return `Tests: ${said.join(', ') || 'none'}.`;
}

function faultRows(results: Results): string[][] {
  return (Object.keys(FAULTS) as Fault[]).flatMap((fault) => {
    const reports = results.reports.filter((report) => report.fault === fault);
    if (reports.length === 0) return [[FAULTS[fault], '-', '-', 'nothing was reported', '**missing**']];
    return reports.map((report) => {
      const { howOften, demanded, seen } = report;
      return [FAULTS[fault], howOften, demanded, seen, verdictOf(results.testOf(report))];
    });
  });
}

/** What held and has no figures is among all tests only. */
function unreportedRows(results: Results): string[][] {
  const hasReport = ({ file, test }: Test) =>
    results.reports.some((report) => report.file === file && report.test === test);
  return results.tests
    .filter((test) => test.outcome !== 'held' && !hasReport(test))
    .map((test) => [test.test, '-', '-', '-', verdictOf(test)]);
}

function verdictOf(test: Test | undefined): string {
  const outcome = test?.outcome ?? 'not ended';
  return outcome === 'held' ? outcome : `**${outcome}**`;
}

function detailsOf(results: Results): string[] {
  return results.reports.flatMap(({ fault, howOften, details }) =>
    details ? [`## ${FAULTS[fault]}: ${howOften}`, details] : [],
  );
}

function testRow({ file, test, outcome, ms, message }: Test, root: string): string[] {
  const end = outcome === 'failed' ? `**failed**: ${firstLine(message ?? '', root)}` : outcome;
  return [relative(root, file), test, (ms / 1000).toFixed(1), end];
}

function firstLine(message: string, root: string): string {
  const text = stripVTControlCharacters(message).replaceAll(root, '');
  const line = text.split('\n').find((each) => each.trim() !== '') ?? '';
  return line
    .trim()
    .replaceAll(/(?<![\w.])\/(?:[\w.@-]+\/)+/g, '')
    .slice(0, 300);
}

function escaped(cells: string[]): string[] {
  return cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' '));
}
