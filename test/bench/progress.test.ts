import { describe, expect, test } from '@jest/globals';
import { etaError, percentDeviation, type Told } from '../../bench/progress.js';
import { greatest, median, quantile } from '../../bench/statistics.js';

function told(at: number, percent: number, etaSeconds: number | null = null): Told {
  return { at, percent, etaSeconds };
}

describe('what the benchmark makes of the progress', () => {
  test('takes the percentage that is farthest from the share of the time', () => {
    expect(percentDeviation([told(1, 12), told(5, 43), told(9, 95)], 10)).toBeCloseTo(7);
    expect(percentDeviation([], 10)).toBeUndefined();
  });

  test('judges an estimate by what it leaves open, in the second half but for the last second', () => {
    // 4 seconds are truly left: 4 and 5 say so, each rounded up; 6 is more than one second too much.
    expect(etaError([told(6, 0, 4)], 10)).toBe(0);
    expect(etaError([told(6, 0, 5)], 10)).toBe(0);
    expect(etaError([told(6, 0, 6)], 10)).toBeCloseTo(1 / 4);
    expect(etaError([told(6, 0, 3)], 10)).toBeCloseTo(1 / 4);
    expect(etaError([told(6, 0, 6), told(8, 0, 1)], 10)).toBeCloseTo(1 / 2);
    expect(etaError([told(6, 0, null)], 10)).toBe(1);
    expect(etaError([told(4, 0, 99), told(9.5, 0, 99)], 10)).toBeUndefined();
  });
});

describe('its statistics', () => {
  test('have a median of odd and even numbers of values, and of none', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  test('have quantiles that are values', () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index);
    expect([0.5, 0.99, 1].map((share) => quantile(values, share))).toEqual([100, 198, 200]);
    expect(quantile([7], 0.5)).toBe(7);
    expect(greatest([1, undefined, 3])).toBe(3);
    expect(greatest([undefined])).toBeUndefined();
  });
});
