import { addedMs, TABLES } from './queries.js';
import type { Results } from './results.js';
import { greatest, median, quantile } from './statistics.js';

/** What is demanded, and whether it is met. */
export interface Target {
  readonly name: string;
  readonly least?: number;
  readonly most?: number;
  readonly unit: string;
  /** Undefined when this run did not measure it. */
  readonly measured: number | undefined;
}

export function isMet({ least, most, measured }: Target): boolean | undefined {
  if (measured === undefined) return undefined;
  return measured >= (least ?? Number.NEGATIVE_INFINITY) && measured <= (most ?? Number.POSITIVE_INFINITY);
}

/** Ratios and seconds are of medians; of everything else the worst of all rounds counts. */
export function targetsOf({ large, small, scaled, queries }: Results, cores: number): Target[] {
  const facts = large.facts;
  const latencies = facts.flatMap((fact) => fact.latencies);
  const growth = [...facts, ...(small?.facts ?? []), ...(scaled?.facts ?? [])].map(
    ({ idleBytes, mostBytes }) => (mostBytes - idleBytes) / 1e6,
  );
  const percents = facts.map((fact) => fact.percentDeviation);
  const estimates = facts.map((fact) => fact.etaError && fact.etaError * 100);
  return [
    { name: `(a) / (d), ${large.data.name}`, least: 2.2, unit: '', measured: large.ratio('a') },
    ...(small ? [{ name: `(a) / (d), ${small.data.name}`, least: 6, unit: '', measured: small.ratio('a') }] : []),
    { name: `best of (b), (c) / (d), ${large.data.name}`, least: 1.2, unit: '', measured: large.ratio('b', 'c') },
    { name: 'wall of (d) / (CPU seconds / cores)', most: 1.25, unit: '', measured: large.overCpu(cores) },
    {
      name: 'p99 of a small API query',
      most: 50,
      unit: 'ms',
      measured: latencies.length === 0 ? undefined : quantile(latencies, 0.99),
    },
    { name: "growth of the server's memory", most: 120, unit: 'MB', measured: greatest(growth) },
    { name: 'percent, farthest from the share of the time', most: 15, unit: 'points', measured: greatest(percents) },
    { name: 'ETA, farthest from the time left', most: 30, unit: '%', measured: greatest(estimates) },
    {
      name: `reset / the restore, ${large.data.name}`,
      most: 0.1,
      unit: '',
      measured: greatest(facts.map((fact) => large.replichatSeconds && fact.resetSeconds / large.replichatSeconds)),
    },
    {
      name: 'a small query, added in the server',
      most: 2,
      unit: 'ms',
      measured: queries && addedMs(queries, 'service'),
    },
    { name: 'a small query, added over HTTP', most: 2, unit: 'ms', measured: queries && addedMs(queries, 'http') },
    { name: `Replica.tables of ${TABLES} tables`, most: 300, unit: 'ms', measured: queries && median(queries.tables) },
  ];
}
