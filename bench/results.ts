import type { DataSet } from './dataset.js';
import type { QueryResults } from './queries.js';
import type { ReplichatFacts } from './replichat.js';
import { median } from './statistics.js';
import type { Letter, Measured, Way } from './ways/way.js';

/** One way with one data set, measured in every round. */
export interface Series {
  readonly way: Pick<Way, 'letter' | 'name'>;
  readonly runs: readonly Measured[];
}

/** What was measured with one data set. */
export class SetResults {
  constructor(
    readonly data: DataSet,
    readonly series: readonly Series[],
  ) {}

  /** Undefined when that way was not measured. */
  get replichatSeconds(): number | undefined {
    return this.bestSeconds('d');
  }

  /** What is known of Replichat's restores, one for each round. */
  get facts(): readonly ReplichatFacts[] {
    return this.series.flatMap(({ runs }) => runs.flatMap(({ replichat }) => replichat ?? []));
  }

  /** The least median of these ways; undefined when none of them was measured. */
  bestSeconds(...letters: Letter[]): number | undefined {
    const medians = this.series.filter(({ way }) => letters.includes(way.letter)).map(medianSeconds);
    return medians.length === 0 ? undefined : Math.min(...medians);
  }

  /** How many times as long as Replichat the best of these ways takes. */
  ratio(...letters: Letter[]): number | undefined {
    const [theirs, ours] = [this.bestSeconds(...letters), this.replichatSeconds];
    return theirs === undefined || ours === undefined ? undefined : theirs / ours;
  }

  /** How many times as long a restore takes as its container's CPU seconds spread over all cores; the median round. */
  overCpu(cores: number): number | undefined {
    const ratios = this.series.flatMap(({ runs }) =>
      runs.flatMap(({ seconds, replichat }) => (replichat ? seconds / (replichat.cpuSeconds / cores) : [])),
    );
    return ratios.length === 0 ? undefined : median(ratios);
  }
}

export function medianSeconds({ runs }: Series): number {
  return median(runs.map(({ seconds }) => seconds));
}

export interface Results {
  readonly large: SetResults;
  readonly small: SetResults | undefined;
  /** Replichat alone, once, with a larger dump. */
  readonly scaled: SetResults | undefined;
  /** Of Replichat, when it was measured. */
  readonly queries: QueryResults | undefined;
}
