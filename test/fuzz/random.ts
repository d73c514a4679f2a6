/** Numbers that a seed determines: whatever has been found can be found again. */
export class Random {
  #state: number;

  constructor(seed: number, run = 0) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(run + 1, 0xc2b2ae35);
  }

  /** 0 to below `limit` (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  /** Mostly small, so that chunks cut tokens; now and then larger than the file. */
  chunkSizes(): number[] {
    const most = this.pick([1, 3, 20, 200, 10_000]);
    return Array.from({ length: 1 + this.below(5) }, () => 1 + this.below(most));
  }
}
