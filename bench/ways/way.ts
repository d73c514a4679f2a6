import type { DataSet } from '../dataset.js';
import type { ReplichatFacts } from '../replichat.js';

export type Letter = 'a' | 'b' | 'c' | 'd';

export interface Measured {
  readonly seconds: number;
  /** What there is in the database afterwards. */
  readonly contents: string;
  readonly replichat?: ReplichatFacts;
}

/** One way of getting a dump into a fresh PostgreSQL. */
export interface Way {
  readonly letter: Letter;
  readonly name: string;
  measure(data: DataSet): Promise<Measured>;
}
