import type { RestoreStep } from '../domain/replica.js';
import { analyze, LARGE_BYTES, sample } from './analyze.js';
import type { Lock, Task } from './graph.js';
import type { Report } from './report.js';
import type { Rows } from './rows.js';
import type { Runner } from './runner.js';
import type { Statement } from './script.js';
import type { Session } from './session.js';

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
export const SECONDS = {
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
