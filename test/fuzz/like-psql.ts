import { lex, skipNothing } from './lexing.js';
import { type Sent, sentByPsql } from './psql.js';

/** As latin1: the statement without what comes before it and without its semicolon; the rows without their end. */
export interface Said {
  readonly query: string;
  /** undefined: it is no COPY, or its rows are cut off. */
  readonly rows: string | undefined;
}

/** What the lexer finds to send, until it refuses the rest: then psql may go on. */
export interface Wanted {
  readonly said: readonly Said[];
  readonly toTheEnd: boolean;
}

export interface Difference {
  readonly script: Buffer;
  readonly lexer: Wanted;
  readonly psql: readonly Said[];
}

const IDENT = 'A-Za-z_\\x80-\\xff';
/** Why a script is not compared: exactly what the lexer says that it does on purpose, and what psql's versions differ in. */
const EXCLUDED: readonly [why: string, where: RegExp][] = [
  ['NUL ends a line of psql', /\0/],
  ['a backtick could run a program', /`/],
  ['vertical tabs are white space since psql 16', /\v/],
  ['psql knows an archive', /^PGDMP/],
  ['variables are not replaced', new RegExp(`(?<!:)(?:::)*:[${IDENT}0-9'"{]`)],
  [
    'numbers with letters behind them are cut differently by psql 15 and 16',
    new RegExp(`(?<![${IDENT}0-9$])[0-9.]+(?:[${IDENT}][${IDENT}0-9$'"&])|\\$[0-9]+[${IDENT}]`),
  ],
  [
    'a literal that is continued on the next line keeps its kind',
    /^(?=[\s\S]*(?:[eE]'|= off;))[\s\S]*'[ \t\f\r]*(?:--[^\n\r]*)?[\r\n](?:\s|--[^\n\r]*[\r\n])*'/,
  ],
  ['the server that records tells psql of no other encoding', /client_encoding[^\0]*SJIS[^\0]*[\x80-\xff]/],
  [
    'only plain forms of it are understood by the server that records',
    /standard_conforming_strings(?! = (?:on|off);(?:\r?\n|$))|(?<!(?:^|\n)SET )standard_conforming_strings|SET standard_conforming_strings[^\0]*\\/,
  ],
];

export function notComparable(script: Buffer): string | undefined {
  const text = script.toString('latin1');
  return EXCLUDED.find(([, where]) => where.test(text))?.[0];
}

/** Scripts of which psql sends something else than the lexer finds. */
export async function differences(
  scripts: readonly Buffer[],
  isCopyIn: (query: string) => boolean,
): Promise<Difference[]> {
  const sent = await sentByPsql(scripts, (query) => isCopyIn(normalised(query)));
  return scripts.flatMap((script, at) => {
    const lexer = wantedOf(script);
    const psql = (sent[at] ?? []).map(saidOf).filter(({ query }) => query !== '');
    return isSame(lexer, psql) ? [] : [{ script, lexer, psql }];
  });
}

/** The lexer's own word for it, where nobody else knows. */
export function copiesAsLexed(scripts: readonly Buffer[]): (query: string) => boolean {
  const copies = scripts.flatMap((script) =>
    lex(script).tokens.filter((token) => token.kind === 'statement' && token.copy),
  );
  const queries = new Set(copies.map((token) => ('bytes' in token ? normalised(token.bytes) : '')));
  return (query) => queries.has(query);
}

export function wantedOf(script: Buffer): Wanted {
  const { tokens, error } = lex(script);
  const said: { query: string; rows: string | undefined }[] = [];
  let rows: Buffer[] = [];
  for (const token of tokens) {
    if (token.kind === 'statement') said.push({ query: normalised(token.bytes), rows: undefined });
    else if (token.kind === 'copyRows') rows.push(token.bytes);
    // Behind these, psql goes on with the same line.
    else if (token.kind === 'meta' && /^\\[;:]/.test(token.command)) return { said, toTheEnd: false };
    else if (token.kind === 'copyEnd') {
      (said.at(-1) as { rows: string }).rows = Buffer.concat(rows).toString('latin1');
      rows = [];
    }
  }
  return { said, toTheEnd: error === undefined };
}

function saidOf({ query, rows }: Sent): Said {
  // psql 15 sends the end marker with the rows.
  return { query: normalised(query), rows: rows?.toString('latin1').replace(/(^|\n)\\\.(\r?\n|\r)?$/, '$1') };
}

/** psql also sends comments before a statement, and leaves out empty lines. */
function normalised(query: Buffer): string {
  const from = skipNothing(query, query.subarray(0, 3).toString('latin1') === '\xef\xbb\xbf' ? 3 : 0);
  return query.toString('latin1', from).replace(/;$/, '').replace(/\n+/g, '\n');
}

function isSame({ said, toTheEnd }: Wanted, psql: readonly Said[]): boolean {
  if (toTheEnd && said.length !== psql.length) return false;
  return said.every(({ query, rows }, at) => {
    const other = psql[at];
    return other !== undefined && query === other.query && (rows === undefined || rows === other.rows);
  });
}
