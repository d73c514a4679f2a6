import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { type ResolverData, UseMiddleware } from 'type-graphql';
import { ReplichatError } from '../domain/errors.js';
import type { Context } from './context.js';

export interface Rate {
  readonly count: number;
  readonly seconds: number;
}

export type Spending = 'uploads' | 'queries' | 'chats' | 'messages';

/** How much each user may do in a time, on this instance. */
export class Rates {
  readonly #limiters = new Map<Spending, RateLimiterMemory>();

  constructor(private readonly rates: Partial<Record<Spending, Rate | undefined>>) {
    for (const [kind, rate] of Object.entries(rates)) {
      if (rate)
        this.#limiters.set(kind as Spending, new RateLimiterMemory({ points: rate.count, duration: rate.seconds }));
    }
  }

  /** Throws QUOTA_EXCEEDED when the user has done as much of it as there may be. */
  async spend(kind: Spending, owner: string): Promise<void> {
    try {
      await this.#limiters.get(kind)?.consume(owner);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      const { count, seconds } = this.rates[kind] as Rate;
      const retryAfterSeconds = Math.ceil(error.msBeforeNext / 1000);
      const limit = `a user has ${count} ${kind} in ${seconds} s (RATE_${kind.toUpperCase()})`;
      const facts = { quota: kind, limit: count, retryAfterSeconds };
      throw new ReplichatError('QUOTA_EXCEEDED', `${limit}; try again in ${retryAfterSeconds} s`, facts);
    }
  }
}

/** A field that counts towards a rate of its user. */
export function Spends(kind: Spending) {
  return UseMiddleware(async ({ context }: ResolverData<Context>, next) => {
    await context.rates.spend(kind, context.owner);
    return next();
  });
}
