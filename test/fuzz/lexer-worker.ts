import { parentPort, workerData } from 'node:worker_threads';
import { fuzzLexer } from './lexer-run.js';

export interface LexerWork {
  readonly seeds: readonly Uint8Array[];
  readonly seed: number;
  readonly runs: number;
  readonly until: number;
  /** The run under way, for whoever wonders whether it hangs. */
  readonly progress: Int32Array<SharedArrayBuffer>;
}

export interface LexerReport {
  readonly counts: [outcome: string, count: number][];
  readonly finding: { what: string; file: Uint8Array } | undefined;
}

const { seeds, seed, runs, until, progress } = workerData as LexerWork;
const { counts, finding } = fuzzLexer(
  seeds.map((bytes) => Buffer.from(bytes)),
  {
    seed,
    runs,
    onRun(run) {
      progress[0] = run;
      return run % 100 !== 0 || Date.now() < until;
    },
  },
);
parentPort?.postMessage({ counts: counts.entries(), finding } satisfies LexerReport);
