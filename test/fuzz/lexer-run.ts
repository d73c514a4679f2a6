import { Counts, type Finding } from './finding.js';
import { judgeChunks, judgeLexer, judgeLong, type LexerVerdict, lexerInput } from './lexer-oracle.js';
import { Random } from './random.js';

const ONE_IN_CHUNKS = 5;
const ONE_LONG_IN = 5000;

export interface LexerRuns {
  readonly counts: Counts;
  readonly finding?: Finding;
}

/** Runs until there is a finding. `onRun` is told of each run before it begins; false ends them. */
export function fuzzLexer(
  seeds: readonly Buffer[],
  { seed, runs, onRun = () => true }: { seed: number; runs: number; onRun?: (run: number) => boolean },
): LexerRuns {
  const counts = new Counts();
  for (let run = 0; run < runs && onRun(run); run++) {
    const file = lexerInput(seeds, seed, run);
    const verdict = judge(file, new Random(seed, -run), run);
    counts.add(verdict.outcome);
    if (verdict.complaint) return { counts, finding: { what: `run ${run}: ${verdict.complaint}`, file } };
  }
  return { counts };
}

function judge(file: Buffer, random: Random, run: number): LexerVerdict {
  const verdict = judgeLexer(file);
  if (verdict.complaint) return verdict;
  if (run % ONE_IN_CHUNKS === 0) {
    const chunked = judgeChunks(file, random.chunkSizes());
    if (chunked.complaint) return chunked;
  }
  return run % ONE_LONG_IN === 1 ? { ...judgeLong(file, random.chunkSizes()), outcome: verdict.outcome } : verdict;
}
