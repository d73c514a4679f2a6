import { isDeepStrictEqual } from 'node:util';
import { classify } from '../../src/restore/statement.js';
import { complaint, type Lexed, lex, outcome } from './lexing.js';
import { excerpt, mutate } from './mutate.js';
import { Random } from './random.js';

export interface LexerVerdict {
  /** "tokens", or the reason of the LexError. */
  readonly outcome: string;
  readonly complaint?: string | undefined;
}

/** Some kB of a seed, mutated; only the numbers decide. */
export function lexerInput(seeds: readonly Buffer[], seed: number, run: number): Buffer {
  const random = new Random(seed, run);
  return mutate(excerpt(random.pick(seeds), random, MOST_BYTES), random, seeds);
}

const MOST_BYTES = 4096;
/** Some ms are usual; the rest is for a machine that does something else. */
const PATIENCE_MS = 3000;
const LONG_BYTES = 2 ** 20;

export function judgeLexer(file: Buffer): LexerVerdict {
  return timed(() => {
    const lexed = tokensOf(file);
    if (typeof lexed === 'string') return { outcome: 'threw', complaint: lexed };
    return { outcome: lexed.error?.reason ?? 'tokens', complaint: complaint(file, lexed) ?? unclassified(lexed) };
  });
}

/** Chunks change nothing. */
export function judgeChunks(file: Buffer, sizes: readonly number[]): LexerVerdict {
  return timed(() => {
    const [whole, inChunks] = [tokensOf(file), tokensOf(file, sizes)];
    if (typeof whole === 'string' || typeof inChunks === 'string')
      return { outcome: 'threw', complaint: `${inChunks}` };
    const same = isDeepStrictEqual(outcome(whole), outcome(inChunks));
    return { outcome: 'chunks', complaint: same ? undefined : `chunks of ${sizes} bytes change the outcome` };
  });
}

/** The work is linear: a long file of the same takes no longer than it may, in small chunks too. */
export function judgeLong(file: Buffer, sizes: readonly number[]): LexerVerdict {
  if (file.length === 0) return { outcome: 'long' };
  const long = Buffer.alloc(LONG_BYTES, file);
  return timed(() => {
    const lexed = tokensOf(
      long,
      sizes.map((size) => size + 100),
    );
    return { outcome: 'long', complaint: typeof lexed === 'string' ? lexed : undefined };
  });
}

function tokensOf(file: Buffer, sizes?: readonly number[]): Lexed | string {
  try {
    return lex(file, sizes);
  } catch (error) {
    return `the lexer threw ${(error as Error).stack}`;
  }
}

function unclassified({ tokens }: Lexed): string | undefined {
  for (const token of tokens) {
    if (token.kind !== 'statement') continue;
    try {
      classify(token.bytes);
    } catch (error) {
      return `classify threw ${(error as Error).stack}`;
    }
  }
  return undefined;
}

function timed(judge: () => LexerVerdict): LexerVerdict {
  const before = performance.now();
  const verdict = judge();
  const ms = performance.now() - before;
  return ms < PATIENCE_MS ? verdict : { ...verdict, complaint: verdict.complaint ?? `it took ${Math.round(ms)} ms` };
}
