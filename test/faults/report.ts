import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { median, quantile } from '../../bench/statistics.js';
import type { Fault } from './faults.js';

/** What a test has measured. How it ended, the report knows by itself. */
export interface Figures {
  /** "100 times", "3 minutes with 500". */
  readonly howOften: string;
  readonly demanded: string;
  readonly seen: string;
  /** Markdown: what does not fit into a line. */
  readonly details?: string;
}

export interface Report extends Figures {
  readonly fault: Fault;
  /** As Jest calls it, and its file. */
  readonly test: string;
  readonly file: string;
}

/**
 * For the report of `npm run faults`; elsewhere it does nothing. To be called before what the figures are compared with,
 * so that they are seen of what failed, too; as often as there are lines to show.
 */
export async function reportFault(fault: Fault, figures: Figures): Promise<void> {
  const folder = process.env.FAULTS_REPORT;
  if (!folder) return;
  const { currentTestName: test = '', testPath: file = '' } = expect.getState();
  const report: Report = { fault, ...figures, test, file };
  await appendFile(join(folder, 'reports.jsonl'), `${JSON.stringify(report)}\n`);
}

/** "0.4 s in the middle, 0.9 s for 9 of 10, 1.2 s at most". */
export function spreadOf(milliseconds: readonly number[]): string {
  const most = Math.max(...milliseconds);
  if (milliseconds.length < 10) return `${inSeconds(most)} at most`;
  const [middle, nine] = [median(milliseconds), quantile(milliseconds, 0.9)];
  return `${inSeconds(middle)} in the middle, ${inSeconds(nine)} for 9 of 10, ${inSeconds(most)} at most`;
}

export function inSeconds(milliseconds: number): string {
  return milliseconds < 100 ? `${Math.ceil(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
