import { LexError, Lexer, type Token } from '../../src/restore/lexer.js';

export interface Lexed {
  readonly tokens: readonly Token[];
  readonly error: LexError | undefined;
  readonly lexer: Lexer;
}

/** A file in pieces of these sizes, taken in turn. */
export function* cut(file: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < file.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    yield file.subarray(at, at + size);
    at += size;
  }
}

/** Throws whatever the lexer throws that is no LexError. */
export function lex(file: Buffer, sizes: readonly number[] = [Number.POSITIVE_INFINITY]): Lexed {
  const lexer = new Lexer();
  const tokens: Token[] = [];
  try {
    for (const chunk of cut(file, sizes)) for (const token of lexer.push(chunk)) tokens.push(token);
    for (const token of lexer.end()) tokens.push(token);
  } catch (error) {
    if (!(error instanceof LexError)) throw error;
    return { tokens, error, lexer };
  }
  return { tokens, error: undefined, lexer };
}

/** Where rows are cut is up to the chunks. */
export function joinRows(tokens: readonly Token[]): Token[] {
  const joined: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as Token;
    const rows = [];
    for (let next: Token | undefined = token; next?.kind === 'copyRows'; next = tokens[at + rows.length])
      rows.push(next);
    const last = rows.at(-1);
    if (last) joined.push({ ...last, line: token.line, bytes: Buffer.concat(rows.map(({ bytes }) => bytes)) });
    else joined.push(token);
    at += Math.max(0, rows.length - 1);
  }
  return joined;
}

/** Everything that must not depend on where the chunks were cut. */
export function outcome({ tokens, error, lexer }: Lexed) {
  return {
    tokens: joinRows(tokens).map((token) =>
      'bytes' in token ? { ...token, bytes: token.bytes.toString('latin1') } : token,
    ),
    error: error && { reason: error.reason, line: error.line, message: error.message },
    header: lexer.header,
    end: error ? undefined : { offset: lexer.offset, line: lexer.line },
  };
}

const LF = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * What is wrong with the tokens, or undefined: they lie in the file, one after another, each on the line that it says;
 * between them is nothing but blanks, semicolons and comments; an error is at a line of the file.
 */
export function complaint(file: Buffer, { tokens, error }: Lexed): string | undefined {
  let at = file.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0;
  let inRows = false;
  const lines = new LineCounter(file);
  for (const token of tokens) {
    const where = `${token.kind} that ends at ${token.endOffset}`;
    if (inRows !== (token.kind === 'copyRows' || token.kind === 'copyEnd')) return `${where} is out of turn`;
    if (token.endOffset <= at || token.endOffset > file.length) return `${where} ends outside: it begins at ${at}`;
    if (!inRows) at = skipNothing(file, at);
    const source = file.subarray(at, token.endOffset);
    if (token.line !== lines.at(at)) return `${where} is on line ${lines.at(at)}, not ${token.line}`;
    if (!fits(token, source, at)) return `${where} is not what the file has at ${at}`;
    at = token.endOffset;
    if (token.kind === 'copyEnd') inRows = false;
    if (token.kind !== 'statement' || !token.copy) continue;
    inRows = true;
    // Only an error or rows can follow where the line of the COPY does not end.
    at = lineEnd(file, at);
  }
  if (!error)
    return inRows || skipNothing(file, at) < file.length ? `nothing is said of what begins at ${at}` : undefined;
  // Of rows that are missing, the error names the line that they would begin on.
  const last = lines.at(file.length) + (inRows && error.reason === 'CUT_OFF' ? 1 : 0);
  const isLine = Number.isInteger(error.line) && error.line >= 1 && error.line <= last;
  return isLine ? undefined : `the error is at line ${error.line} of ${last}: ${error.message}`;
}

function fits(token: Token, source: Buffer, at: number): boolean {
  switch (token.kind) {
    case 'statement':
      return token.offset === at && source.at(-1) === 0x3b && token.bytes.equals(source.subarray(0, -1));
    case 'copyRows':
      return token.bytes.equals(source);
    case 'copyEnd':
      return /^\\\.\r?\n?$/.test(source.toString('latin1'));
    case 'meta':
      return /^\\[^\n]*\n?$/.test(source.toString('latin1')) && token.text.startsWith(token.command);
  }
}

/** Of places that come one after another. */
class LineCounter {
  #line = 1;
  #counted = 0;

  constructor(private readonly file: Buffer) {}

  at(offset: number): number {
    for (; this.#counted < offset; this.#counted++) if (this.file[this.#counted] === LF) this.#line++;
    return this.#line;
  }
}

function lineEnd(file: Buffer, at: number): number {
  const newline = file.indexOf(LF, at);
  return newline === -1 ? file.length : newline + 1;
}

const BLANKS = new Set(Buffer.from(' \t\n\r\f\v;'));

/** Index of the first byte from `at` on that is neither blank nor a semicolon nor part of a comment. */
export function skipNothing(file: Buffer, at: number): number {
  for (let next = at; ; ) {
    const byte = file[next] ?? 0;
    if (BLANKS.has(byte)) next++;
    else if (byte === 0x2d && file[next + 1] === 0x2d) while (next < file.length && !isNewline(file[next])) next++;
    else if (byte === 0x2f && file[next + 1] === 0x2a) next = skipComment(file, next);
    else return next;
  }
}

function skipComment(file: Buffer, at: number): number {
  let depth = 0;
  for (let next = at; next < file.length; ) {
    const pair = file.toString('latin1', next, next + 2);
    if (pair === '/*') depth++;
    if (pair === '*/') depth--;
    next += pair === '/*' || pair === '*/' ? 2 : 1;
    if (depth === 0) return next;
  }
  return file.length;
}

function isNewline(byte: number | undefined): boolean {
  return byte === LF || byte === 0x0d;
}
