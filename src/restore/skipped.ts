import type { DatabaseError } from 'pg';
import type { Statement } from './script.js';
import { identifierOf, isName, wordsOf } from './words.js';

/** Beyond it, what refers to them fails. */
const MOST_NAMES = 100_000;
const HEAD_BYTES = 1000;

const RELATION = ['relation', 'type'];
const ROUTINE = ['function', 'procedure', 'aggregate'];
/** What the server calls what a statement would have created, where it misses it. */
const NOUNS: Readonly<Record<string, readonly string[]>> = {
  TABLE: RELATION,
  VIEW: RELATION,
  SEQUENCE: RELATION,
  TYPE: ['type'],
  DOMAIN: ['type'],
  FUNCTION: ROUTINE,
  PROCEDURE: ROUTINE,
  AGGREGATE: ROUTINE,
  SERVER: ['server'],
  'DATA WRAPPER': ['foreign-data wrapper'],
  'OPERATOR CLASS': ['operator class'],
  'OPERATOR FAMILY': ['operator family'],
  'ACCESS METHOD': ['access method'],
  'TEXT SEARCH PARSER': ['text search parser'],
  'TEXT SEARCH TEMPLATE': ['text search template'],
  'TEXT SEARCH DICTIONARY': ['text search dictionary'],
  'TEXT SEARCH CONFIGURATION': ['text search configuration'],
};
const CREATE = new RegExp(
  `^CREATE (?:OR REPLACE )?(?:(?:UNLOGGED|FOREIGN|MATERIALIZED|RECURSIVE) )?(${Object.keys(NOUNS).join('|')}) `,
);
/** 42P01, 42704, 42883. */
const MISSING = new RegExp(
  `^(${Object.values(NOUNS).flat().join('|')}) "?([^"]+?)(?:\\[\\])?"?(?:\\(.*\\))? does not exist(?: for access method .*)?$`,
  's',
);

/** What a script creates and the replica is without, so that what refers to it cannot be there either. */
export class Skipped {
  readonly #names = new Set<string>();

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  add({ bytes, kind }: Statement): void {
    const words = wordsOf(bytes.toString('utf8', 0, HEAD_BYTES));
    const [, created] = CREATE.exec(words.map(({ shape }) => shape).join(' ')) ?? [];
    if (created === undefined || kind.object === undefined || this.#names.size >= MOST_NAMES) return;
    const name = wordsOf(kind.object).filter(isName).map(identifierOf).join('.');
    for (const noun of NOUNS[created] ?? []) this.#names.add(keyOf(noun, name));
  }

  /** The server has refused the statement for want of such a thing, and not for what the statement has run. */
  explains(error: unknown, { kind }: Statement): boolean {
    const { message, where } = error as DatabaseError;
    const [, noun, name] = MISSING.exec(message) ?? [];
    if (noun === undefined || name === undefined || where !== undefined || kind.session !== 'none') return false;
    return this.#names.has(keyOf(noun, name));
  }
}

/** The search path of a script that names no schema has the schema public. */
function keyOf(noun: string, name: string): string {
  return `${noun} ${name.replace(/^public\./, '')}`;
}
