import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { complaint, joinRows, lex, outcome } from '../fuzz/lexing.js';
import { copiesAsLexed, differences, notComparable } from '../fuzz/like-psql.js';
import { psqlAvailable } from '../fuzz/psql.js';
import { chunkSizes, type PlacedPart, type Script, script, soup } from '../fuzz/scripts.js';

/** SEED=n repeats a run; fast-check prints the seed of one that fails, and the shortest script that does. */
const SEED = Number(process.env.SEED ?? 20_260_101);
const runs = (numRuns: number) => ({ numRuns, seed: SEED });

const bytesOf = (text: string) => Buffer.from(text, 'latin1');

describe('statements that are joined, with anything between them,', () => {
  test('are split again as they were, wherever the chunks are cut', () => {
    fc.assert(
      fc.property(script({ likePsql: false }), chunkSizes, ({ text, parts }, sizes) => {
        const { tokens, error } = lex(bytesOf(text), sizes);
        expect(error).toBeUndefined();
        expect(joinRows(tokens)).toMatchObject(parts.flatMap(tokensOf));
      }),
      runs(2000),
    );
  });

  test('leave no byte unaccounted for', () => {
    fc.assert(
      fc.property(script({ likePsql: false }), chunkSizes, ({ text }, sizes) => {
        const file = bytesOf(text);
        expect(complaint(file, lex(file, sizes))).toBeUndefined();
      }),
      runs(1000),
    );
  });

  test('are cut off wherever the file is, or end there', () => {
    fc.assert(
      fc.property(script({ likePsql: false }), fc.double({ min: 0, max: 1, noNaN: true }), ({ text }, share) => {
        const file = bytesOf(text.slice(0, Math.floor(share * text.length)));
        const lexed = lex(file);
        expect(lexed.error?.reason ?? 'CUT_OFF').toBe('CUT_OFF');
        expect(complaint(file, lexed)).toBeUndefined();
      }),
      runs(1000),
    );
  });
});

describe('the chunks of any file', () => {
  test.each([
    ['made of what a lexer looks at', soup.map(bytesOf)],
    ['of any bytes', fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))],
  ])('%s change neither tokens nor errors', (_what, file) => {
    fc.assert(
      fc.property(file, chunkSizes, (bytes, sizes) => {
        const whole = lex(bytes);
        expect(complaint(bytes, whole)).toBeUndefined();
        expect(outcome(lex(bytes, sizes))).toEqual(outcome(whole));
      }),
      runs(3000),
    );
  });
});

const describeWithPsql = (await psqlAvailable()) ? describe : describe.skip;

describeWithPsql('whatever psql would send, we send', () => {
  /** One psql runs many scripts. */
  const batch = { minLength: 1, maxLength: 50, size: 'max' } as const;

  test('of scripts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(script({ likePsql: true }), batch), async (scripts) => {
        // What the grammar takes for COPY FROM STDIN is what was written as one.
        const copies = new Set(scripts.flatMap(copiesOf));
        expect(
          await differences(
            scripts.map(({ text }) => bytesOf(text)),
            (query) => copies.has(query),
          ),
        ).toEqual([]);
      }),
      runs(25),
    );
  });

  test('of anything', async () => {
    const comparable = soup.map(bytesOf).filter((file) => notComparable(file) === undefined);
    await fc.assert(
      fc.asyncProperty(fc.array(comparable, batch), async (files) => {
        expect(await differences(files, copiesAsLexed(files))).toEqual([]);
      }),
      runs(25),
    );
  });
});

function copiesOf({ parts }: Script): string[] {
  return parts.flatMap((part) => (part.kind === 'copy' ? [part.text] : []));
}

function tokensOf(part: PlacedPart): object[] {
  const { offset, endOffset, line } = part;
  if (part.kind === 'meta') return [{ kind: 'meta', command: /^\\\S+/.exec(part.text)?.[0], line, endOffset }];
  const copy = part.kind === 'copy';
  const statement = { kind: 'statement', bytes: bytesOf(part.text), offset, endOffset, line, copy };
  if (!copy) return [statement];
  const rowsLine = line + newlines(part.text + part.afterIt);
  const rowsEnd = endOffset + part.afterIt.length + part.rows.length;
  const rows = { kind: 'copyRows', bytes: bytesOf(part.rows), line: rowsLine, endOffset: rowsEnd };
  const end = { kind: 'copyEnd', line: rowsLine + newlines(part.rows), endOffset: rowsEnd + part.end.length };
  return [statement, ...(part.rows === '' ? [] : [rows]), end];
}

function newlines(text: string): number {
  return text.split('\n').length - 1;
}
