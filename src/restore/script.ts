import type { RestoreStep } from '../domain/replica.js';
import { type DumpHeader, parseToc } from './comments.js';
import { Lexer, type Token } from './lexer.js';
import { Rows } from './rows.js';
import type { Spool } from './spool.js';
import { classify, type StatementKind } from './statement.js';

export interface Statement {
  readonly bytes: Buffer;
  /** Of the file, in which it begins. */
  readonly line: number;
  readonly kind: StatementKind;
  /** "Type" of the comment by which pg_dump announced it. */
  readonly entryType: string | undefined;
}

/** What a script consists of, as the restore sees it. */
export type Unit =
  | { readonly of: 'statement'; readonly statement: Statement }
  /** COPY ... FROM STDIN; its rows may still be arriving. */
  | { readonly of: 'copy'; readonly statement: Statement; readonly rows: Rows }
  /** INSERTs into one table, of which `statement` is the first; more of them may still be arriving. */
  | { readonly of: 'inserts'; readonly statement: Statement; readonly rows: Rows }
  | { readonly of: 'command'; readonly command: string; readonly text: string; readonly line: number };

/** Longer ones stay where they are in what has arrived; the shorter would keep alive much more than themselves. */
const COPIED_BYTES = 64 * 1024;

/** Reads a script to its end, as fast as the spool takes what is to be loaded. */
export class Script {
  readonly #lexer = new Lexer();
  readonly #counts = { table: 0, index: 0 };
  #entry: { readonly toc: string | undefined; readonly type: string | undefined } = { toc: undefined, type: undefined };
  #copy: Rows | undefined;
  #inserts: { readonly table: string; readonly rows: Rows } | undefined;

  constructor(private readonly spool: Spool) {}

  get header(): Readonly<DumpHeader> {
    return this.#lexer.header;
  }

  /** How far it has been read, in bytes. */
  get offset(): number {
    return this.#lexer.offset;
  }

  get line(): number {
    return this.#lexer.line;
  }

  /** Tables that are created, indexes that are built: those found so far. */
  get counts(): Readonly<Record<'table' | 'index', number>> {
    return this.#counts;
  }

  /** Throws LexError, and what the source throws. */
  async *units(source: AsyncIterable<Buffer>): AsyncGenerator<Unit> {
    for await (const chunk of source) {
      for (const token of this.#lexer.push(chunk)) yield* this.#unitOf(token);
    }
    for (const token of this.#lexer.end()) yield* this.#unitOf(token);
    await this.#endInserts();
  }

  async *#unitOf(token: Token): AsyncGenerator<Unit> {
    switch (token.kind) {
      case 'statement':
        yield* this.#statement(token);
        break;
      case 'copyRows':
        await this.#copy?.appendRows(token.bytes, token.line);
        break;
      case 'copyEnd':
        await this.#copy?.close(token.line);
        this.#copy = undefined;
        break;
      case 'meta': {
        await this.#endInserts();
        const { command, text, line } = token;
        yield { of: 'command', command, text, line };
      }
    }
  }

  async *#statement(token: Extract<Token, { kind: 'statement' }>): AsyncGenerator<Unit> {
    const kind = classify(token.bytes);
    if (kind.counts) this.#counts[kind.counts] += 1;
    const bytes = token.bytes.length <= COPIED_BYTES ? Buffer.from(token.bytes) : token.bytes;
    const statement: Statement = { bytes, line: token.line, kind, entryType: this.#entryTypeOf(token.toc) };
    const table = this.#insertsInto(statement, token.copy);
    if (this.#inserts && this.#inserts.table === table) {
      await this.#inserts.rows.appendStatement(bytes, token.line);
      return;
    }
    await this.#endInserts();
    if (token.copy) {
      this.#copy = new Rows(this.spool);
      yield { of: 'copy', statement, rows: this.#copy };
    } else if (table !== undefined) {
      const rows = new Rows(this.spool);
      this.#inserts = { table, rows };
      yield { of: 'inserts', statement, rows };
      await rows.appendStatement(bytes, token.line);
    } else {
      yield { of: 'statement', statement };
    }
  }

  #insertsInto({ kind, entryType }: Statement, copies: boolean): string | undefined {
    if (copies || kind.place?.of !== 'load' || entryType !== 'TABLE DATA' || !this.header.isPgDump) return undefined;
    return kind.place.table;
  }

  async #endInserts(): Promise<void> {
    await this.#inserts?.rows.close();
    this.#inserts = undefined;
  }

  #entryTypeOf(toc: string | undefined): string | undefined {
    if (toc !== this.#entry.toc) this.#entry = { toc, type: parseToc(toc ?? '')?.type };
    return this.#entry.type;
  }
}

export const STEPS: readonly RestoreStep[] = ['SCHEMA', 'DATA', 'INDEXES', 'CONSTRAINTS', 'FINISHING'];
