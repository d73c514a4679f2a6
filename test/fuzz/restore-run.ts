import { Counts, type Finding } from './finding.js';
import { excerpt, mutate } from './mutate.js';
import { Random } from './random.js';
import type { RestoreRun, Restores, RestoreVerdict } from './restoring.js';

const ONE_IN_CHUNKS = 5;
const MOST_BYTES = 10_000;
/** Longer ones take too long to restore. */
const MOST_WHOLE = 60_000;

export interface RestoreRuns {
  readonly counts: Counts;
  readonly findings: readonly (Finding & { stillHolds(file: Buffer): Promise<boolean> })[];
}

/** A seed or a part of it, mutated; only the numbers decide. */
export function restoreInput(seeds: readonly Buffer[], seed: number, run: number): { file: Buffer; how: RestoreRun } {
  const random = new Random(seed, run);
  const source = random.pick(seeds);
  const part = source.length > MOST_WHOLE || random.oneIn(3) ? excerpt(source, random, MOST_BYTES) : source;
  const sizes = random.oneIn(2) ? [64 * 1024] : random.chunkSizes().map((size) => size * 50);
  return { file: mutate(part, random, seeds), how: { onError: random.oneIn(2) ? 'STOP' : 'CONTINUE', sizes } };
}

/** Runs until there are findings, at most `mostFindings`; false from `onRun` ends it too. */
export async function fuzzRestore(
  restores: Restores,
  seeds: readonly Buffer[],
  {
    seed,
    runs,
    mostFindings = 1,
    onRun = () => true,
  }: { seed: number; runs: number; mostFindings?: number; onRun?: (file: Buffer) => boolean },
): Promise<RestoreRuns> {
  const counts = new Counts();
  const findings: RestoreRuns['findings'][number][] = [];
  for (let run = 0; run < runs && findings.length < mostFindings; run++) {
    const { file, how } = restoreInput(seeds, seed, run);
    if (!onRun(file)) break;
    const verdict = await judge(restores, file, how, run);
    counts.add(`${how.onError} ${verdict.outcome}`);
    if (!verdict.complaint) continue;
    const kind = kindOf(verdict);
    findings.push({
      what: `run ${run}, ${how.onError}: ${verdict.complaint}`,
      file,
      stillHolds: async (shorter) => kindOf(await judge(restores, shorter, how, run)) === kind,
    });
  }
  return { counts, findings };
}

/** For STOP, chunks of another size do not change how it ends. */
async function judge(restores: Restores, file: Buffer, how: RestoreRun, run: number): Promise<RestoreVerdict> {
  const verdict = await restores.judge(file, how);
  if (verdict.complaint || how.onError === 'CONTINUE' || run % ONE_IN_CHUNKS !== 0) return verdict;
  const sizes = new Random(run).chunkSizes().map((size) => size * 7);
  const again = await restores.judge(file, { ...how, sizes });
  if (again.complaint || again.outcome === verdict.outcome) return { ...again, outcome: verdict.outcome };
  return {
    outcome: 'complaint',
    complaint: `${verdict.outcome} in chunks of ${how.sizes}, ${again.outcome} of ${sizes}`,
  };
}

/** What two complaints about different files have in common. */
function kindOf({ complaint }: RestoreVerdict): string | undefined {
  return complaint?.replace(/[0-9]+/g, '0').slice(0, 40);
}
