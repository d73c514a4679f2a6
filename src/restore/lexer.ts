import { isUtf8 } from 'node:buffer';
import {
  AMPERSAND,
  BACKSLASH,
  BLANK,
  CLOSE_PAREN,
  CR,
  DASH,
  DIGIT,
  DOLLAR,
  DOUBLE_QUOTE,
  type FirstBytes,
  IDENT_CONT,
  IDENT_START,
  indexOf,
  isIn,
  LETTER_B,
  LETTER_C,
  LETTER_E,
  LETTER_U,
  LETTER_X,
  LF,
  lineEnd,
  numberEnd,
  OPEN_PAREN,
  pairsEnd,
  QUOTE,
  runEnd,
  SEMICOLON,
  SLASH,
  SPECIAL,
  STAR,
  TAG_CONT,
} from './bytes.js';
import { Comments, type DumpHeader } from './comments.js';
import { markerLength, rowsEnd } from './copy-rows.js';
import { Settings } from './settings.js';
import { Window } from './window.js';

/**
 * What a script consists of. Lines are 1-based; offsets are bytes from the start of the file, `endOffset` is the first
 * byte after the token and its delimiter. `bytes` is a view of a pushed chunk or of the lexer's own memory: neither is
 * written to again, so a consumer may keep it (and keeps the whole chunk alive with it).
 */
export type Token =
  | {
      kind: 'statement';
      /** From its first token to before the `;`. Comments inside and after it are part of it, those before it are not. */
      bytes: Buffer;
      line: number;
      offset: number;
      endOffset: number;
      /** The comment by which pg_dump announced it, for `parseToc`. It stays until the next such comment. */
      toc: string | undefined;
      /** COPY ... FROM STDIN: `copyRows` (none or many) and one `copyEnd` follow. */
      copy: boolean;
    }
  /** Rows with their newlines, without the end marker. Neither begins nor ends at a row of necessity. */
  | { kind: 'copyRows'; bytes: Buffer /** In which the first byte lies. */; line: number; endOffset: number }
  | { kind: 'copyEnd'; line: number; endOffset: number }
  /** A psql command. `text` is the line from the backslash on, without its newline: `\connect shop`. */
  | { kind: 'meta'; command: string; text: string; line: number; endOffset: number };

export type LexErrorReason = 'CUT_OFF' | 'META_COMMAND_INSIDE_STATEMENT' | 'STATEMENT_TOO_LONG' | 'TEXT_AFTER_COPY';

/** The file is no script that could be run to its end. `message` names what is wrong and where, `line` is 1-based. */
export class LexError extends Error {
  override readonly name = 'LexError';

  constructor(
    readonly reason: LexErrorReason,
    readonly line: number,
    message: string,
  ) {
    super(message);
  }
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const EMPTY = Buffer.alloc(0);
const NONE: FirstBytes = new Uint8Array(256);
const NEWLINE = Buffer.from('\n');

/** Longer comment lines are no table of contents entries. */
const MAX_TOC_BYTES = 64 * 1024;
const MAX_STATEMENT_BYTES = 256 * 1024 * 1024;

/** How the words of a statement, outside of quotes, tell what it is. */
type Lead =
  | 'none'
  | 'first'
  | 'create'
  | 'createOr'
  | 'createOrReplace'
  | 'routine'
  | 'copy'
  | 'copyFrom'
  | 'copyRows'
  | 'other';

/** COPY FROM STDOUT is a slip that the server's grammar reads as FROM STDIN. */
const NEXT_LEAD: Readonly<Partial<Record<Lead, ReadonlyMap<string, Lead>>>> = {
  first: leads({ create: 'create', copy: 'copy' }),
  none: leads({ create: 'create' }),
  create: leads({ or: 'createOr', function: 'routine', procedure: 'routine' }),
  createOr: leads({ replace: 'createOrReplace' }),
  createOrReplace: leads({ function: 'routine', procedure: 'routine' }),
  copy: leads({ from: 'copyFrom' }),
  copyFrom: leads({ stdin: 'copyRows', stdout: 'copyRows' }),
};
const LONGEST_WORD = 'procedure'.length;

/**
 * Splits a plain dump or an SQL script, pushed in chunks of any size, where psql would: its states and rules are those
 * of psqlscan.l, where each is named. It keeps no more in memory than the statement under way, never decodes the file
 * and so takes every encoding in which ASCII bytes mean ASCII characters (all that a PostgreSQL server may use), and
 * those of which the second byte of a character may be one, when they are set by `client_encoding`.
 *
 * It differs from psql on purpose: a literal continued on the next line keeps its kind (as in the server, whereas psql
 * scans line by line and forgets it); a last statement without its semicolon is an error; variables are not replaced;
 * a changed `standard_conforming_strings` or `client_encoding` counts from the next statement on, SET LOCAL as SET, and
 * neither a function nor a ROLLBACK is seen to change it (psql is told by the server).
 *
 * Iterate what `push` returns to its end before the next call. After a LexError the lexer is of no further use.
 */
export class Lexer {
  readonly #comments = new Comments();
  readonly #settings = new Settings();
  readonly #input = new Window();
  readonly #maxStatementBytes: number;
  /** Window index of the next byte to scan. */
  #at = 0;
  /** A token at `at` is cut off: don't look again before there are so many bytes of it. */
  #wanted = 0;

  /** Scans from `at`, and moves it on or starves. One method for each start condition of psqlscan.l. */
  #state: () => Token | undefined = this.#byteOrderMark;
  /** Window index of the first byte of the statement under way, -1 between statements. */
  #begun = -1;
  /** In which the statement, comment between statements or COPY data under way begins. */
  #begunLine = 1;
  /** Window index of the literal or comment under way in the statement. */
  #opened = 0;
  /** The state to go back to: after a comment, and when a literal is continued. */
  #resumed: () => Token | undefined = this.#between;
  #commentDepth = 0;
  #dollarTag: Buffer = EMPTY;

  #lead: Lead = 'none';
  #parenDepth = 0;
  #beginDepth = 0;
  #copyStatement: Buffer = EMPTY;
  #rowBegins = true;

  constructor(options: { maxStatementBytes?: number } = {}) {
    this.#maxStatementBytes = options.maxStatementBytes ?? MAX_STATEMENT_BYTES;
  }

  /** Grows as the comments of the file are read. */
  get header(): Readonly<DumpHeader> {
    return this.#comments.header;
  }

  /** How far the file has been scanned, in bytes. */
  get offset(): number {
    return this.#input.offsetOf(this.#at);
  }

  /** The line at `offset`. */
  get line(): number {
    return this.#input.lineOf(this.offset - this.#input.base);
  }

  /** The tokens that end in this chunk. The chunk must not be written to afterwards. Throws LexError. */
  push(chunk: Buffer): Generator<Token> {
    this.#input.received += chunk.length;
    this.#take(chunk);
    return this.#run();
  }

  /** What only the end of the file decides. Throws LexError CUT_OFF when it comes too early. */
  *end(): Generator<Token> {
    // A newline answers every question that the scanner can still have; offsets and rows leave it out.
    this.#take(NEWLINE);
    this.#wanted = 0;
    yield* this.#run();
    if (this.#state !== this.#between) throw this.#cutOff();
  }

  *#run(): Generator<Token> {
    if (this.#input.bytes.length - this.#at < this.#wanted) return;
    this.#wanted = 0;
    while (this.#at < this.#input.bytes.length && this.#wanted === 0) {
      const token = this.#state();
      if (token) yield token;
    }
    this.#refuseTooLong(this.#input.bytes.length - this.#keptFrom);
  }

  /**
   * Waits for the rest of a token, which is then scanned again from its beginning. To have twice as much by then keeps
   * the work linear, however long the token and however small the chunks.
   */
  #starve(at: number): undefined {
    this.#at = at;
    this.#wanted = 2 * (this.#input.bytes.length - at);
  }

  get #keptFrom(): number {
    return this.#begun === -1 ? this.#at : this.#begun;
  }

  #take(chunk: Buffer): void {
    if (chunk.length === 0) return;
    const from = this.#keptFrom;
    this.#input.slide(from, chunk);
    this.#at -= from;
    this.#opened -= from;
    this.#begun = Math.min(this.#begun, 0);
  }

  // Between statements

  #byteOrderMark(): undefined {
    const head = this.#input.bytes.subarray(0, BYTE_ORDER_MARK.length);
    if (head.equals(BYTE_ORDER_MARK)) this.#at = head.length;
    else if (head.equals(BYTE_ORDER_MARK.subarray(0, head.length))) return this.#starve(0);
    this.#state = this.#between;
  }

  #between(): undefined {
    const window = this.#input.bytes;
    let at = this.#at;
    while (at < window.length && (isIn(BLANK, window[at]) || window[at] === SEMICOLON)) at++;
    this.#at = at;
    if (at === window.length) return;
    if (window[at] === BACKSLASH) {
      this.#state = this.#meta;
    } else if (window[at] === DASH || window[at] === SLASH) {
      this.#commentOrStatement();
    } else {
      this.#begin();
    }
  }

  #commentOrStatement(): undefined {
    const window = this.#input.bytes;
    const at = this.#at;
    if (at + 1 === window.length) return this.#starve(at);
    if (window[at] === DASH && window[at + 1] === DASH) {
      this.#state = this.#commentLine;
    } else if (window[at] === SLASH && window[at + 1] === STAR) {
      this.#begunLine = this.#input.lineOf(at);
      this.#openComment(at, this.#between);
    } else {
      this.#begin();
    }
  }

  #commentLine(): undefined {
    const window = this.#input.bytes;
    const at = this.#at;
    const end = lineEnd(window, at);
    if (end - at > MAX_TOC_BYTES) {
      this.#resumed = this.#between;
      this.#state = this.#lineComment;
    } else if (end === window.length) {
      this.#starve(at);
    } else {
      if (end - at > 2) this.#comments.note(decode(window.subarray(at + 2, end)).trim());
      this.#at = end;
      this.#state = this.#between;
    }
  }

  #meta(): Token | undefined {
    const window = this.#input.bytes;
    const at = this.#at;
    const end = window.indexOf(LF, at);
    if (end === -1) return this.#starve(at);
    const text = decode(window.subarray(at, end)).replace(/\r$/, '');
    const command = /^\\[^\s\\]*/.exec(text)?.[0] ?? text;
    const line = this.#input.lineOf(at);
    this.#at = end + 1;
    this.#state = this.#between;
    return { kind: 'meta', command, text, line, endOffset: this.#input.offsetOf(this.#at) };
  }

  // Statements: the rules without a start condition, and those of each exclusive start condition

  #begin(): void {
    this.#begun = this.#at;
    this.#begunLine = this.#input.lineOf(this.#at);
    this.#lead = 'none';
    this.#parenDepth = 0;
    this.#beginDepth = 0;
    this.#state = this.#statement;
  }

  #statement(): Token | undefined {
    const window = this.#input.bytes;
    const firstBytes = this.#settings.firstBytes;
    let at = this.#at;
    while (at < window.length) {
      const byte = window[at] as number;
      if (!isIn(SPECIAL, byte)) {
        at++;
      } else if (isIn(IDENT_START, byte)) {
        const end = firstBytes ? pairsEnd(IDENT_CONT, firstBytes, window, at) : runEnd(IDENT_CONT, window, at + 1);
        if (end >= window.length) return this.#starve(at);
        if (end === at + 1 && this.#prefixed(at)) return;
        this.#word(at, end);
        at = end;
      } else if (isIn(DIGIT, byte)) {
        const end = numberEnd(window, at);
        if (end === window.length) return this.#starve(at);
        at = end;
      } else if (byte === QUOTE) {
        return this.#openLiteral(this.#settings.standardStrings ? this.#string : this.#escapeString, at, at + 1);
      } else if (byte === DOUBLE_QUOTE) {
        return this.#openLiteral(this.#quotedName, at, at + 1);
      } else if (byte === DOLLAR) {
        if (this.#dollar(at)) return;
        at++;
      } else if (byte === OPEN_PAREN) {
        this.#parenDepth++;
        at++;
      } else if (byte === CLOSE_PAREN) {
        if (this.#parenDepth > 0) this.#parenDepth--;
        at++;
      } else if (byte === SEMICOLON) {
        if (this.#parenDepth === 0 && this.#beginDepth === 0) return this.#finish(at);
        at++;
      } else if (byte === BACKSLASH) {
        return this.#refuseMeta(at);
      } else {
        // A dash or a slash. Comments also begin inside of what would else be an operator ({operator}).
        if (at + 1 === window.length) return this.#starve(at);
        if (byte === SLASH && window[at + 1] === STAR) return this.#openComment(at, this.#statement);
        if (byte === DASH && window[at + 1] === DASH) {
          this.#resumed = this.#statement;
          return this.#enter(this.#lineComment, at, at + 2);
        }
        at++;
      }
    }
    this.#at = at;
    return undefined;
  }

  #finish(at: number): Token {
    this.#refuseTooLong(at - this.#begun);
    const bytes = this.#input.bytes.subarray(this.#begun, at);
    const offset = this.#input.offsetOf(this.#begun);
    const copy = this.#lead === 'copyRows';
    if (copy) this.#copyStatement = bytes;
    this.#settings.follow(bytes);
    this.#at = at + 1;
    this.#begun = -1;
    this.#state = copy ? this.#restOfCopyLine : this.#between;
    return {
      kind: 'statement',
      bytes,
      line: this.#begunLine,
      offset,
      endOffset: this.#input.offsetOf(this.#at),
      toc: this.#comments.toc,
      copy,
    };
  }

  /** {identifier}: the words of a CREATE FUNCTION count its BEGIN ... END blocks and, in those, CASE ... END. */
  #word(from: number, to: number): void {
    const lead = from === this.#begun ? 'first' : this.#lead;
    if (lead === 'other' || lead === 'copyRows' || (lead === 'copy' && this.#parenDepth > 0)) return;
    // Most statements begin with other words than CREATE and COPY, and none of theirs need be read.
    if (lead === 'first' && ((this.#input.bytes[from] as number) | 0x20) !== LETTER_C) {
      this.#lead = 'other';
      return;
    }
    const word = to - from > LONGEST_WORD ? '' : this.#input.bytes.toString('latin1', from, to).toLowerCase();
    if (lead !== 'routine') {
      this.#lead = NEXT_LEAD[lead]?.get(word) ?? (lead === 'copy' ? 'copy' : 'other');
    } else if (this.#parenDepth === 0) {
      if (word === 'begin' || (word === 'case' && this.#beginDepth > 0)) this.#beginDepth++;
      else if (word === 'end' && this.#beginDepth > 0) this.#beginDepth--;
    }
  }

  #openLiteral(state: () => Token | undefined, at: number, contents: number): undefined {
    // COPY t FROM 'file' has no rows.
    if (this.#lead === 'copyFrom') this.#lead = 'other';
    this.#enter(state, at, contents);
  }

  #enter(state: () => Token | undefined, at: number, contents: number): undefined {
    this.#opened = at;
    this.#at = contents;
    this.#state = state;
  }

  /** {xestart}, {xbstart}, {xhstart}, {xusstart}, {xuistart}. True when one is opened, or cannot be told yet. */
  #prefixed(at: number): boolean {
    const window = this.#input.bytes;
    const letter = (window[at] as number) | 0x20;
    if (window[at + 1] === QUOTE) {
      if (letter === LETTER_E) this.#openLiteral(this.#escapeString, at, at + 2);
      else if (letter === LETTER_B || letter === LETTER_X) this.#openLiteral(this.#bitString, at, at + 2);
      else return false;
      return true;
    }
    if (letter !== LETTER_U || window[at + 1] !== AMPERSAND) return false;
    if (at + 2 === window.length) this.#starve(at);
    else if (window[at + 2] === QUOTE) this.#openLiteral(this.#string, at, at + 3);
    else if (window[at + 2] === DOUBLE_QUOTE) this.#openLiteral(this.#quotedName, at, at + 3);
    else return false;
    return true;
  }

  /** {dolqdelim}, {dolqfailed}, {param}. True when a dollar quote is opened, or cannot be told yet. */
  #dollar(at: number): boolean {
    const window = this.#input.bytes;
    const firstBytes = this.#settings.firstBytes ?? NONE;
    const end = isIn(IDENT_START, window[at + 1]) ? pairsEnd(TAG_CONT, firstBytes, window, at + 1) : at + 1;
    if (end >= window.length) {
      this.#starve(at);
      return true;
    }
    if (window[end] !== DOLLAR) return false;
    this.#dollarTag = Buffer.from(window.subarray(at, end + 1));
    this.#openLiteral(this.#dollarQuoted, at, end + 1);
    return true;
  }

  /** <xdolq> */
  #dollarQuoted(): undefined {
    const window = this.#input.bytes;
    const at = this.#at;
    const dollarTag = this.#dollarTag;
    const end = window.indexOf(dollarTag, at);
    if (end === -1) return this.#starve(Math.max(at, window.length - dollarTag.length + 1));
    this.#at = end + dollarTag.length;
    this.#state = this.#statement;
  }

  /** <xq>, <xus> */
  #string(): undefined {
    const quote = indexOf(QUOTE, this.#input.bytes, this.#at);
    if (quote === -1) this.#at = this.#input.bytes.length;
    else this.#closeLiteral(quote);
  }

  /** <xb>, <xh> */
  #bitString(): undefined {
    return this.#string();
  }

  /** <xe> */
  #escapeString(): undefined {
    const window = this.#input.bytes;
    const firstBytes = this.#settings.firstBytes;
    let at = this.#at;
    while (at < window.length && window[at] !== QUOTE) {
      if (firstBytes?.[window[at] as number]) at++;
      else if (window[at] === BACKSLASH && ++at === window.length) return this.#starve(at - 1);
      at++;
    }
    if (at === window.length) this.#at = at;
    else this.#closeLiteral(at);
  }

  /** {xqdouble}, {quote} */
  #closeLiteral(quote: number): undefined {
    const next = this.#input.bytes[quote + 1];
    if (next === undefined) return this.#starve(quote);
    // Behind a bit string, a second quote begins another literal, of the usual kind.
    if (next === QUOTE && this.#state !== this.#bitString) {
      this.#at = quote + 2;
      return;
    }
    this.#at = quote + 1;
    this.#resumed = this.#state;
    this.#state = next === DASH || isIn(BLANK, next) ? this.#afterLiteral : this.#statement;
  }

  /** <xqs>: after white space and comments with a line break in them, a quote continues the literal. */
  #afterLiteral(): undefined {
    const window = this.#input.bytes;
    let at = this.#at;
    let brokeLine = false;
    for (;;) {
      const byte = window[at];
      if (byte === LF || byte === CR) brokeLine = true;
      else if (byte === DASH && window[at + 1] === DASH) at = lineEnd(window, at) - 1;
      else if (byte === undefined || (byte === DASH && at + 1 === window.length)) return this.#starve(this.#at);
      else if (!isIn(BLANK, byte)) break;
      at++;
    }
    if (brokeLine && window[at] === QUOTE) {
      this.#at = at + 1;
      this.#state = this.#resumed;
    } else {
      this.#state = this.#statement;
    }
  }

  /** <xd>, <xui> */
  #quotedName(): undefined {
    const window = this.#input.bytes;
    const at = this.#at;
    const quote = indexOf(DOUBLE_QUOTE, window, at);
    if (quote === -1) {
      this.#at = window.length;
    } else if (quote + 1 === window.length) {
      this.#starve(quote);
    } else if (window[quote + 1] === DOUBLE_QUOTE) {
      this.#at = quote + 2;
    } else {
      this.#at = quote + 1;
      this.#state = this.#statement;
    }
  }

  #openComment(at: number, resumed: () => Token | undefined): undefined {
    this.#resumed = resumed;
    this.#commentDepth = 1;
    this.#enter(this.#blockComment, at, at + 2);
  }

  /** <xc> */
  #blockComment(): undefined {
    const window = this.#input.bytes;
    let at = this.#at;
    for (; at < window.length; at++) {
      const byte = window[at];
      if (byte !== STAR && byte !== SLASH) continue;
      const next = window[at + 1];
      if (next === undefined) return this.#starve(at);
      if (byte === next || (next !== STAR && next !== SLASH)) continue;
      this.#commentDepth += byte === SLASH ? 1 : -1;
      at++;
      if (this.#commentDepth === 0) {
        this.#state = this.#resumed;
        at++;
        break;
      }
    }
    this.#at = at;
  }

  /** {comment}, where its text is of no interest. */
  #lineComment(): undefined {
    this.#at = lineEnd(this.#input.bytes, this.#at);
    if (this.#at < this.#input.bytes.length) this.#state = this.#resumed;
  }

  // COPY data

  #restOfCopyLine(): undefined {
    const window = this.#input.bytes;
    let at = this.#at;
    while (isIn(BLANK, window[at]) && window[at] !== LF) at++;
    if (window[at] === DASH && window[at + 1] === DASH) at = lineEnd(window, at);
    if (window[at] === CR) at++;
    if (at >= window.length || (window[at] === DASH && at + 1 === window.length)) return this.#starve(this.#at);
    if (window[at] !== LF) {
      const line = this.#input.lineOf(at);
      throw new LexError(
        'TEXT_AFTER_COPY',
        line,
        `line ${line}: the rows of a COPY begin on the line after its semicolon, but more text follows on the same line`,
      );
    }
    this.#at = at + 1;
    this.#begunLine = this.#input.lineOf(this.#at);
    this.#rowBegins = true;
    this.#state = this.#copyRows;
  }

  #copyRows(): Token | undefined {
    const window = this.#input.bytes;
    const at = this.#at;
    const end = rowsEnd(window, at, this.#rowBegins);
    if (end === at) return this.#copyEnd();
    const line = this.#input.lineOf(at);
    const bytes = window.subarray(at, Math.min(end, this.#input.received - this.#input.base));
    this.#at = end;
    this.#rowBegins = window[end - 1] === LF;
    return bytes.length === 0 ? undefined : { kind: 'copyRows', bytes, line, endOffset: this.#input.offsetOf(end) };
  }

  #copyEnd(): Token | undefined {
    const window = this.#input.bytes;
    const at = this.#at;
    const length = markerLength(window, at);
    if (length === Number.POSITIVE_INFINITY) return this.#starve(at);
    const line = this.#input.lineOf(at);
    this.#at = at + length;
    this.#state = this.#between;
    return { kind: 'copyEnd', line, endOffset: this.#input.offsetOf(this.#at) };
  }

  // What is refused

  #refuseTooLong(length: number): void {
    if (length <= this.#maxStatementBytes) return;
    const line = this.#begun === -1 ? this.#input.lineOf(this.#at) : this.#begunLine;
    const limit = `${this.#maxStatementBytes / 1024 / 1024} MiB`;
    throw new LexError('STATEMENT_TOO_LONG', line, `the statement that begins at line ${line} is longer than ${limit}`);
  }

  #refuseMeta(at: number): undefined {
    const text = decode(this.#input.bytes.subarray(at, at + 64));
    if (text.length < 64 && !text.includes('\n')) return this.#starve(at);
    const command = /^\\[^\s\\]*/.exec(text)?.[0];
    const line = this.#input.lineOf(at);
    throw new LexError(
      'META_COMMAND_INSIDE_STATEMENT',
      line,
      `line ${line}: the psql command ${command} stands inside the statement that begins at line ${this.#begunLine}`,
    );
  }

  #cutOff(): LexError {
    const begins = `that begins at line ${this.#begunLine}`;
    if (this.#state === this.#copyRows) {
      return this.#cutOffAt(
        this.#begunLine,
        `inside the COPY data${ofTable(this.#copyStatement)} that begin at line ${this.#begunLine}`,
      );
    }
    if (this.#begun === -1) return this.#cutOffAt(this.#begunLine, `inside a comment ${begins}`);
    const literal = this.#unclosed();
    if (!literal) return this.#cutOffAt(this.#begunLine, `in the middle of the statement ${begins}`);
    const line = this.#begunLine + countNewlines(this.#input.bytes.subarray(this.#begun, this.#opened));
    return this.#cutOffAt(line, `inside ${literal} that begins at line ${line}, in the statement ${begins}`);
  }

  #cutOffAt(line: number, where: string): LexError {
    return new LexError('CUT_OFF', line, `the file ends ${where}`);
  }

  #unclosed(): string | undefined {
    if (this.#state === this.#string || this.#state === this.#escapeString) return 'a string';
    if (this.#state === this.#bitString) return 'a bit string';
    if (this.#state === this.#quotedName) return 'a quoted name';
    if (this.#state === this.#dollarQuoted) return 'a dollar-quoted string';
    if (this.#state === this.#blockComment) return 'a comment';
    return undefined;
  }
}

function leads(next: Record<string, Lead>): ReadonlyMap<string, Lead> {
  return new Map(Object.entries(next));
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) count++;
  return count;
}

/** Text of comments and commands, for people: dumps need not be UTF-8. */
function decode(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1');
}

function ofTable(copy: Buffer): string {
  const [, table] = /^copy\s+((?:"(?:[^"]|"")*"|[^\s"(])+)/i.exec(decode(copy)) ?? [];
  return table ? ` of ${table}` : '';
}
