import { Ahead } from './ahead.js';
import type { Lock } from './graph.js';
import { issueOfRows } from './issues.js';
import { isAscii, quotedRelation } from './place.js';
import type { Report } from './report.js';
import { HELD_BYTES, type Piece, type Rows } from './rows.js';
import type { Runner } from './runner.js';
import type { Statement } from './script.js';
import { CopyIn, type Session } from './session.js';
import { type RestoreTask, SECONDS, type Sizes, type Worker } from './tasks.js';

/** Pieces that are worth more than that one session loads a table in a transaction of its own. */
const WORTH_SHARING = 8;

/** The rows of one table. */
export abstract class Load implements RestoreTask {
  readonly step = 'DATA';
  readonly indexes = 0;
  readonly label: string | undefined;
  #bytesDone = 0;
  #refused = false;

  constructor(
    readonly locks: readonly Lock[],
    protected readonly statement: Statement,
    protected readonly rows: Rows,
    private readonly options: {
      /** It leaves the file's order, and several sessions may load it. */
      readonly moves: boolean;
      /** Nothing is in the table, and nothing else comes into it. */
      readonly fillsEmpty: boolean;
      readonly runner: Runner;
      readonly sizes: Sizes;
      readonly report: Report;
    },
  ) {
    this.label = statement.kind.object;
    const { place } = statement.kind;
    if (place?.of === 'load') options.sizes.note(place.table, rows);
  }

  get inFirstSession(): boolean {
    return !this.options.moves;
  }

  get bytes(): number {
    return 1000 + this.statement.bytes.length + HELD_BYTES;
  }

  get tables(): string[] {
    return this.label === undefined ? [] : [this.label];
  }

  get fileBytes(): number {
    return this.rows.bytes;
  }

  get bytesDone(): number {
    return this.#bytesDone;
  }

  abstract readonly estimate: number;

  get cost(): number {
    const share = this.rows.bytes === 0 ? 1 : 1 - this.#bytesDone / this.rows.bytes;
    return this.estimate * share;
  }

  get wantsHelp(): boolean {
    // A COPY that fails leaves nothing in the table: with several, the others would leave something.
    return this.options.moves && !this.#refused && !this.options.report.goesOn && this.rows.waiting > 0;
  }

  async run({ session, adjust }: Worker): Promise<void> {
    const { moves, runner } = this.options;
    if (!moves) return runner.load(this.statement.kind, () => this.load(session));
    await adjust();
    await this.load(session);
  }

  protected abstract load(session: Session): Promise<void>;

  protected loaded(bytes: number): void {
    this.#bytesDone += bytes;
  }

  /** What is left is read and dropped. */
  protected async refuse(): Promise<void> {
    this.#refused = true;
    this.rows.discard();
    for (let piece = await this.rows.take(); piece; piece = await this.rows.take()) this.rows.release(piece);
  }

  protected get fillsEmpty(): boolean {
    return this.options.fillsEmpty;
  }

  protected get report(): Report {
    return this.options.report;
  }
}

/** The table is emptied and filled in one transaction. */
interface FrozenCopy {
  readonly truncate: Buffer;
  readonly copy: Buffer;
}

export class CopyLoad extends Load {
  /** While one session loads by itself, what is not shared. */
  #frozen: Promise<void> | undefined;
  /** Another session wants to help. */
  #shared = false;
  /** The table may have rows. */
  #begun = false;

  get estimate(): number {
    const { table, byte, row } = SECONDS.load;
    return table + this.rows.bytes * byte + this.rows.lines * row;
  }

  get isSmall(): boolean {
    return this.rows.isSmall;
  }

  override get wantsHelp(): boolean {
    return super.wantsHelp && !this.isSmall && (!this.#frozen || this.rows.waiting >= WORTH_SHARING);
  }

  protected async load(session: Session): Promise<void> {
    let piece = await this.rows.take();
    // Other sessions have taken them all.
    if (!piece && this.rows.bytes > 0) return;
    if (this.rows.isSmall) return this.#copySmall(session, piece);
    const frozen = this.#begun ? undefined : this.#frozenStatement();
    this.#begun = true;
    if (frozen) {
      this.#frozen = this.#copyFrozen(session, frozen, piece).finally(() => {
        this.#frozen = undefined;
      });
      await this.#frozen;
      piece = await this.rows.take();
      if (!piece) return;
    } else if (this.#frozen) {
      this.#shared = true;
      await this.#frozen;
    }
    await this.#copy(session, this.statement.bytes, piece);
  }

  async #copySmall(session: Session, piece: Piece | undefined): Promise<void> {
    const lines = new LineNumbers();
    if (piece) lines.note(piece.line);
    const copied = session.copy(this.statement.bytes, piece?.held ?? Buffer.alloc(0));
    await copied.catch((error) => this.#failed(error, lines));
    this.loaded(this.rows.bytes);
  }

  /** From that piece on, until there are no more or it is `enough`. */
  async #copy(session: Session, statement: Buffer, first: Piece | undefined, enough = () => false): Promise<void> {
    const lines = new LineNumbers();
    try {
      const copy = await session.startCopy(statement).catch((error) => {
        if (first) this.rows.release(first);
        throw error;
      });
      for (let piece = first; piece; piece = enough() ? undefined : await this.rows.take()) {
        lines.note(piece.line, piece.lines);
        for await (const chunk of this.rows.read(piece, CopyIn.HEADER_BYTES)) {
          await copy.write(chunk);
          this.loaded(chunk.length - CopyIn.HEADER_BYTES);
        }
      }
      await copy.finish();
    } catch (error) {
      await this.#failed(error, lines);
    }
  }

  async #failed(error: unknown, lines: LineNumbers): Promise<void> {
    const failed = issueOfRows(error, this.statement, (row) => lines.of(row));
    this.report.failed(error, this.statement, failed);
    await this.refuse();
  }

  /**
   * With FREEZE, the rows need neither be logged nor be looked at again by VACUUM, and index-only scans work at once.
   * PostgreSQL wants the table to be emptied in the same transaction for that.
   */
  #frozenStatement(): FrozenCopy | undefined {
    const { kind, bytes } = this.statement;
    if (!this.fillsEmpty || kind.place?.of !== 'load' || !isAscii(kind.place.table)) return undefined;
    const text = bytes.toString('latin1').replace(/\s*;?\s*$/, '');
    return {
      truncate: Buffer.from(`TRUNCATE ONLY ${quotedRelation(kind.place.table)}`),
      copy: Buffer.from(`${text}\nWITH (FREEZE)`, 'latin1'),
    };
  }

  /** Resolves when the transaction has ended: other sessions may load then, and the table is emptied no more. */
  async #copyFrozen(session: Session, statements: FrozenCopy, piece: Piece | undefined): Promise<void> {
    await session.run(Buffer.from('BEGIN'));
    const isEmptied = await session.run(statements.truncate).then(
      () => true,
      () => false,
    );
    if (isEmptied) await this.#copy(session, statements.copy, piece, () => this.#shared);
    // After an error, it rolls back.
    await session.run(Buffer.from('COMMIT'));
    if (!isEmptied) await this.#copy(session, this.statement.bytes, piece);
  }
}

/** PostgreSQL counts the rows of each COPY; here each consists of pieces from several places of the file. */
class LineNumbers {
  readonly #pieces: { readonly from: number; readonly line: number }[] = [];
  #rows = 0;

  note(line: number, rows = 0): void {
    this.#pieces.push({ from: this.#rows, line });
    this.#rows += rows;
  }

  of(row: number): number {
    const piece = this.#pieces.findLast(({ from }) => from < row);
    return piece ? piece.line + row - piece.from - 1 : row;
  }
}

export class InsertLoad extends Load {
  get estimate(): number {
    const { byte, row } = SECONDS.insert;
    return this.rows.bytes * byte + this.rows.lines * row;
  }

  protected async load(session: Session): Promise<void> {
    const { kind, entryType } = this.statement;
    const ahead = new Ahead(session, async (statement, ended) => {
      await ended.catch((error) => this.report.failed(error, statement));
      this.loaded(statement.bytes.length);
    });
    for (let piece = await this.rows.take(); piece; piece = await this.rows.take()) {
      for await (const { bytes, line } of this.rows.statements(piece)) {
        await ahead.send({ bytes, line, kind, entryType });
      }
      await ahead.settle();
    }
  }
}
