import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { messageOf } from '../domain/errors.js';

/** By its name: rejects when it cannot do its work now. */
export type Parts = Readonly<Record<string, () => Promise<unknown>>>;

export interface Readiness {
  readonly ready: boolean;
  /** By part. */
  readonly parts: Readonly<Record<string, 'ok' | 'unavailable'>>;
}

const TIMEOUT_MS = 5_000;
/** Anybody may ask, as often as he likes. */
const FRESH_MS = 1_000;

/** Whether what the server needs of others is there. Why it is not, only the log says. */
export class ReadinessCheck {
  #latest: { readonly until: number; readonly result: Promise<Readiness> } | undefined;

  constructor(
    private readonly parts: Parts,
    private readonly logger: Logger,
    private readonly timeoutMs = TIMEOUT_MS,
  ) {}

  check(): Promise<Readiness> {
    if (!this.#latest || this.#latest.until < Date.now()) {
      this.#latest = { until: Date.now() + FRESH_MS, result: this.#check() };
    }
    return this.#latest.result;
  }

  async #check(): Promise<Readiness> {
    const results = await Promise.all(Object.entries(this.parts).map(([name, part]) => this.#state(name, part)));
    return { ready: results.every(([, state]) => state === 'ok'), parts: Object.fromEntries(results) };
  }

  async #state(name: string, part: () => Promise<unknown>): Promise<[string, 'ok' | 'unavailable']> {
    const answered = new AbortController();
    const tooLate = sleep(this.timeoutMs, undefined, { signal: answered.signal }).then(() => {
      throw new Error(`no answer within ${this.timeoutMs} ms`);
    });
    try {
      await Promise.race([part(), tooLate]);
      return [name, 'ok'];
    } catch (error) {
      this.logger.warn({ part: name }, `not ready: ${messageOf(error)}`);
      return [name, 'unavailable'];
    } finally {
      tooLate.catch(() => {});
      answered.abort();
    }
  }
}
