import { greatest } from './statistics.js';

/** What a watcher was told, and when. */
export interface Told {
  /** Seconds after the first byte. */
  readonly at: number;
  readonly percent: number;
  readonly etaSeconds: number | null;
}

/** Over the events before READY: the greatest distance, in points, between the percentage and the share of the time. */
export function percentDeviation(told: readonly Told[], seconds: number): number | undefined {
  return greatest(told.map(({ at, percent }) => Math.abs(percent - (100 * at) / seconds)));
}

/**
 * Over the events in the second half of the time, but for the last second: the greatest relative error of the estimate.
 * An estimate of n whole seconds stands for more than n - 1 up to n, since it is rounded up: what is truly left within
 * that is no error, and outside of it the distance to its nearer end counts, divided by what is truly left. An event
 * without an estimate is as wrong as one that says 0. Undefined where no event is judged.
 */
export function etaError(told: readonly Told[], seconds: number): number | undefined {
  const judged = told.filter(({ at }) => at >= seconds / 2 && at <= seconds - 1);
  return greatest(
    judged.map(({ at, etaSeconds }) => {
      const left = seconds - at;
      const estimate = etaSeconds ?? 0;
      return Math.max(estimate - 1 - left, left - estimate, 0) / left;
    }),
  );
}
