import pg from 'pg';
import type { RestoreStep } from '../domain/replica.js';
import { Ahead } from './ahead.js';
import { analyze, LARGE_BYTES, sample } from './analyze.js';
import type { Lock, Task } from './graph.js';
import { issueOfRows } from './issues.js';
import { namesOf } from './place.js';
import type { Report } from './report.js';
import { HELD_BYTES, type Piece, type Rows } from './rows.js';
import type { Runner } from './runner.js';
import type { Statement } from './script.js';
import { CopyIn, type Session } from './session.js';

/** A session, and which of the script's settings it has. */
export interface Worker {
  readonly session: Session;
  readonly isFirst: boolean;
  /** Sets what the script has set so far. */
  adjust(): Promise<void>;
}

export interface RestoreTask extends Task {
  readonly step: RestoreStep;
  /** What it works on, for people. */
  readonly label: string | undefined;
  /** Tables that it loads, as the script names them, and how many indexes it builds. */
  readonly tables: Iterable<string>;
  readonly indexes: number;
  /** Of the script, when it has ended, and so far. */
  readonly fileBytes: number;
  readonly bytesDone: number;
  /** Seconds that the whole is thought to take. */
  readonly estimate: number;
  run(worker: Worker): Promise<void>;
}

/** In seconds of one session, from restores of the benchmark's data on PostgreSQL 15; percent is as good as they. */
const SECONDS = {
  statement: 0.0006,
  load: { table: 0.001, byte: 2e-8, row: 4e-7 },
  insert: { byte: 4e-8, row: 1.5e-5 },
  index: { index: 0.002, byte: 1.2e-9, row: 6e-7 },
  gin: { index: 0.002, byte: 8e-9, row: 4e-7 },
  foreignKey: { index: 0.002, byte: 4e-10, row: 2.5e-7 },
  refresh: { view: 0.05, row: 7e-7 },
  analyze: { table: 0.002, byte: 2e-9, most: 0.05 },
};

/** About as long as a round trip on a busy machine. */
const SMALL_SECONDS = 0.005;
/** Pieces that are worth more than that one session loads a table in a transaction of its own. */
const WORTH_SHARING = 8;

/** How much is in each table, as far as it has arrived. */
export class Sizes {
  readonly #rows = new Map<string, Rows[]>();

  note(table: string, rows: Rows): void {
    const known = this.#rows.get(table);
    if (known) known.push(rows);
    else this.#rows.set(table, [rows]);
  }

  of(table: string): { readonly bytes: number; readonly lines: number } {
    const sum = { bytes: 0, lines: 0 };
    for (const { bytes, lines } of this.#rows.get(table) ?? []) {
      sum.bytes += bytes;
      sum.lines += lines;
    }
    return sum;
  }
}

abstract class TimedTask {
  #begun: number | undefined;

  abstract readonly estimate: number;

  protected begin(): void {
    this.#begun ??= performance.now();
  }

  /** At least a tenth of the estimate is left until the end; who has taken longer takes longer still. */
  get cost(): number {
    if (this.#begun === undefined) return this.estimate;
    const taken = (performance.now() - this.#begun) / 1000;
    return Math.max(this.estimate - taken, 0.1 * this.estimate, 0.15 * (taken - this.estimate));
  }
}

/** Statements that keep their place in the file. */
export class InOrder extends TimedTask implements RestoreTask {
  readonly inFirstSession = true;
  readonly step: RestoreStep;
  readonly fileBytes: number;
  readonly bytes: number;
  readonly bytesDone = 0;
  readonly tables = new Set<string>();
  readonly indexes: number;

  constructor(
    readonly locks: readonly Lock[],
    private readonly statements: readonly Statement[],
    private readonly runner: Runner,
  ) {
    super();
    this.step = (statements[0] as Statement).kind.step;
    this.fileBytes = statements.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.bytes = this.fileBytes + 500 * statements.length;
    this.indexes = statements.filter(({ kind }) => kind.counts === 'index').length;
    for (const { kind } of statements) if (kind.step === 'DATA' && kind.object) this.tables.add(kind.object);
  }

  get label(): string | undefined {
    return this.statements.at(-1)?.kind.object;
  }

  get estimate(): number {
    const refreshes = this.statements.filter(({ kind }) => kind.refreshes).length;
    return this.statements.length * SECONDS.statement + refreshes * SECONDS.refresh.view;
  }

  async run(): Promise<void> {
    this.begin();
    await this.runner.run(this.statements);
  }
}

/** An index, a constraint, a trigger: one statement, in whichever session is free. */
export class Build extends TimedTask implements RestoreTask {
  readonly step: RestoreStep;
  readonly tables = [];
  readonly indexes: number;
  readonly label: string | undefined;
  readonly fileBytes: number;
  readonly bytes: number;
  readonly bytesDone = 0;

  constructor(
    readonly locks: readonly Lock[],
    private readonly statement: Statement,
    private readonly sizes: Sizes,
    private readonly report: Report,
  ) {
    super();
    const { kind, bytes } = statement;
    this.step = kind.step;
    this.indexes = kind.counts === 'index' ? 1 : 0;
    this.label = kind.counts === 'index' ? `index ${kind.object}` : kind.object;
    this.fileBytes = bytes.length;
    this.bytes = bytes.length + 1000;
  }

  get isSmall(): boolean {
    return this.estimate < SMALL_SECONDS;
  }

  get estimate(): number {
    const { place } = this.statement.kind;
    if (!place || place.of === 'sequence' || place.of === 'table') return SECONDS.statement;
    if (place.of === 'refresh') return this.#refreshEstimate;
    const { index, byte, row } =
      place.of === 'foreignKey' ? SECONDS.foreignKey : place.of === 'index' && place.gin ? SECONDS.gin : SECONDS.index;
    const { bytes, lines } = this.sizes.of(place.table);
    return index + bytes * byte + lines * row;
  }

  /** What it reads, it has locked, shared. */
  get #refreshEstimate(): number {
    const { view, row } = SECONDS.refresh;
    const read = this.locks.filter(({ exclusive }) => !exclusive);
    return read.reduce((sum, { key }) => sum + this.sizes.of(key).lines * row, view);
  }

  async run({ session, adjust }: Worker): Promise<void> {
    this.begin();
    await adjust();
    try {
      await session.run(this.statement.bytes);
    } catch (error) {
      this.report.failed(error, this.statement);
    }
  }
}

/** Statistics of tables, where a session has nothing better to do; nothing of the script waits for it. */
export class Analyze extends TimedTask implements RestoreTask {
  readonly step = 'FINISHING';
  readonly label = undefined;
  readonly tables = [];
  readonly indexes = 0;
  readonly fileBytes = 0;
  readonly bytesDone = 0;
  readonly bytes: number;
  readonly locks: readonly Lock[];
  readonly estimate: number;

  constructor(
    /** One large one, or several. */
    private readonly relations: readonly string[],
    private readonly sizes: Sizes,
    private readonly analyzed: Set<string>,
  ) {
    super();
    this.locks = relations.map((key) => ({ key, exclusive: true }));
    this.bytes = 200 * relations.length;
    const { table, byte, most } = SECONDS.analyze;
    this.estimate = relations.reduce((sum, name) => sum + table + Math.min(most, sizes.of(name).bytes * byte), 0);
  }

  async run({ session }: Worker): Promise<void> {
    this.begin();
    const [first = ''] = this.relations;
    const isLarge = this.sizes.of(first).bytes >= LARGE_BYTES;
    // What fails is tried again, and told, when everything else is done.
    const failed = await (isLarge ? sample(session, first) : analyze(session, this.relations));
    if (!failed) for (const relation of this.relations) this.analyzed.add(relation);
  }
}

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
    if (this.options.moves) await adjust();
    else await this.options.runner.switchTriggers(this.statement.kind);
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
    const frozen = this.#frozenStatement();
    if (frozen && !this.#begun) {
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
    this.#begun = true;
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
    // The name of any other table is known in the script's encoding only.
    if (!this.fillsEmpty || kind.place?.of !== 'load' || !/^[ -~]*$/.test(kind.place.table)) return undefined;
    const text = bytes.toString('latin1').replace(/\s*;?\s*$/, '');
    return {
      truncate: Buffer.from(`TRUNCATE ONLY ${namesOf(kind.place.table).map(pg.escapeIdentifier).join('.')}`),
      copy: Buffer.from(`${text}\nWITH (FREEZE)`, 'latin1'),
    };
  }

  /** Resolves when the transaction has ended: other sessions may load then, and the table is emptied no more. */
  async #copyFrozen(session: Session, statements: FrozenCopy, piece: Piece | undefined): Promise<void> {
    this.#begun = true;
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
