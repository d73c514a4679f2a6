import { tmpdir } from 'node:os';
import type pg from 'pg';
import type { RestoreIssue, RestoreProgress } from '../domain/replica.js';
import { analyzeRest, MOST_ANALYZED_TOGETHER } from './analyze.js';
import { beginAs, type Defaults, defaultsOf } from './defaults.js';
import { readFacts } from './facts.js';
import { Graph } from './graph.js';
import { asFailure, RestoreFailure, shorten } from './issues.js';
import { CopyLoad, InsertLoad } from './loads.js';
import { isAscii } from './place.js';
import { ALONE, Plan } from './plan.js';
import { Progress } from './progress.js';
import { Queue } from './queue.js';
import { Report } from './report.js';
import { HELD_BYTES, Rows } from './rows.js';
import { type Administrator, Runner } from './runner.js';
import { Script, type Statement, type Unit } from './script.js';
import { Session } from './session.js';
import { Spool } from './spool.js';
import { classify } from './statement.js';
import { Analyze, Build, InOrder, type RestoreTask, Sizes, type Worker } from './tasks.js';

/** The empty database that a dump is restored into. */
export interface RestoreTarget extends Administrator {
  /** For sessions of the role that is to own everything; no superuser. */
  readonly login: pg.ClientConfig;
  /** Cores that the server may use. */
  readonly cpus: number;
  /** The server's version of PostgreSQL: 17. */
  readonly major: number;
}

export interface RestoreOptions {
  /** STOP: the first statement that loses schema or data ends the restore. CONTINUE: it becomes a warning. */
  readonly onError: 'STOP' | 'CONTINUE';
  /** Of disk, for what has arrived and is not yet restored; reading goes on when there is room again. */
  readonly spoolBytes: number;
  /** How much of the source has been read, 0 to 1, where that can be known. */
  readonly readShare: () => number | undefined;
  /** Whoever aborts it also ends the server and the source, which a restore waits for. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
  /** The warning at `index` is new, or has been given again. */
  readonly onWarning: (index: number, issue: RestoreIssue) => void;
}

/**
 * Restores a plain dump or SQL script while it arrives. What pg_dump has written becomes a graph of tasks, which several
 * sessions carry out side by side; every other script runs in its order, in one. Reading begins at once, the restore
 * when there is a target. Rejects with RestoreFailure, with the signal's reason, or with what broke the source.
 */
export async function restore(
  source: AsyncIterable<Buffer>,
  target: Promise<RestoreTarget>,
  options: RestoreOptions,
): Promise<void> {
  const restoring = new Restore(options);
  try {
    await restoring.run(source, target);
  } catch (error) {
    options.signal.throwIfAborted();
    throw asFailure(error);
  } finally {
    await restoring.close();
  }
}

/** Of statements that have been read and not yet been planned. */
const AHEAD_BYTES = 16 * 1024 * 1024;
const STATEMENT_OVERHEAD_BYTES = 1000;
/** Statements in their order that one task takes together. */
const MOST_TOGETHER = 500;
/** Of tables by a session: it keeps some 3 KiB about each for as long as it lives. */
const MOST_TOUCHED = 20_000;
const PROGRESS_INTERVAL_MS = 100;

class Restore {
  readonly #queue = new Queue<Unit>(AHEAD_BYTES);
  readonly #spool: Spool;
  readonly #script: Script;
  readonly #graph: Graph<RestoreTask>;
  readonly #report: Report;
  readonly #sizes = new Sizes();
  /** What has been loaded out of the file's order, by table. */
  readonly #loads = new Map<string, Rows>();
  readonly #analyzed = new Set<string>();
  readonly #workers: Promise<void>[] = [];
  readonly #sessions = new Set<Session>();
  /** Those that take tasks which leave the file's order. */
  #unworn = 0;
  #opening: Promise<void> | undefined;
  #mayOpen = true;
  #openMore: () => void = () => {};

  /** What would stand in the way of what comes before it, in the file's order; on disk, when there is much of it. */
  readonly #lastSpool: Spool;
  readonly #last: Rows;

  constructor(private readonly options: RestoreOptions) {
    this.#spool = new Spool(tmpdir(), options.spoolBytes);
    this.#lastSpool = new Spool(tmpdir(), Number.POSITIVE_INFINITY);
    this.#last = new Rows(this.#lastSpool);
    this.#script = new Script(this.#spool);
    this.#report = new Report(options.onError, options.onWarning);
    this.#graph = new Graph({
      onBacklog: () => this.#openMore(),
      onEnd: (task) => {
        if (this.#progress?.ended(task)) this.options.onProgress(this.#progress.snapshot());
      },
    });
  }

  #progress: Progress | undefined;

  async run(source: AsyncIterable<Buffer>, target: Promise<RestoreTarget>): Promise<void> {
    const reading = this.#read(source);
    reading.catch((error) => {
      this.#queue.fail(error);
      this.#graph.fail(error);
    });
    const { signal } = this.options;
    const abort = () => {
      this.#queue.fail(signal.reason);
      this.#graph.fail(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      await this.#restore(await Promise.race([target, reading.then(() => target)]));
      await reading;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async close(): Promise<void> {
    const closed = new Error('the restore has ended');
    this.#queue.fail(closed);
    this.#graph.fail(closed);
    await this.#opening;
    for (const session of this.#sessions) session.destroy();
    // Whoever waits for rows waits no longer.
    await Promise.all([this.#spool.close(), this.#lastSpool.close()]);
    await Promise.allSettled(this.#workers);
  }

  async #read(source: AsyncIterable<Buffer>): Promise<void> {
    for await (const unit of this.#script.units(source)) {
      const bytes = unit.of === 'command' ? 0 : unit.statement.bytes.length + ('rows' in unit ? HELD_BYTES : 0);
      await this.#queue.put(unit, bytes + STATEMENT_OVERHEAD_BYTES);
    }
    this.#queue.end();
  }

  async #restore(target: RestoreTarget): Promise<void> {
    const { signal, readShare, onProgress } = this.options;
    signal.throwIfAborted();
    const progress = new Progress(this.#script, this.#graph, { parallel: target.cpus, readShare });
    this.#progress = progress;
    const timer = setInterval(() => onProgress(progress.snapshot()), PROGRESS_INTERVAL_MS);
    try {
      onProgress(progress.snapshot());
      const session = await this.#open(target);
      const defaults = await defaultsOf(session);
      const runner = new Runner(session, target, this.#report);
      this.#work({ session, isFirst: true, adjust: async () => {} });
      this.#openMore = () => this.#openAnother(target, runner, defaults);
      await Promise.race([this.#plan(session, runner, target.major), this.#graph.failed]);
      await Promise.race([Promise.all([this.#opening, ...this.#workers]), this.#graph.failed]);
      this.#checkComplete(session);
      await runner.run(this.#lastStatements());
      progress.finishing();
      onProgress(progress.snapshot());
      await analyzeRest(session, this.#analyzed, this.#report);
      await Promise.all([...this.#sessions].map((open) => open.end()));
    } finally {
      clearInterval(timer);
    }
  }

  async #open({ login }: RestoreTarget): Promise<Session> {
    const session = await Session.open({ ...login, application_name: 'replichat restore' });
    this.#sessions.add(session);
    return session;
  }

  #work(worker: Worker): void {
    const { session, isFirst } = worker;
    let touched = 0;
    const isWorn = () => touched >= MOST_TOUCHED && this.#mayOpen;
    const perform = async (task: RestoreTask) => {
      this.options.signal.throwIfAborted();
      await task.run(worker);
      if (task.inFirstSession || isWorn()) return;
      touched += task.locks.length;
      if (isWorn()) this.#unworn -= 1;
    };
    this.#unworn += 1;
    const working = this.#graph.work(isFirst, perform, isWorn).then(async () => {
      if (isFirst || !isWorn()) return;
      this.#sessions.delete(session);
      await session.end();
    });
    working.catch(() => {});
    this.#workers.push(working);
  }

  /** What waits for a session gets one more, up to as many as make sense; if there is none to be had, it waits on. */
  #openAnother(target: RestoreTarget, runner: Runner, defaults: Defaults): void {
    if (this.#opening || !this.#mayOpen || this.#unworn >= sessionsFor(target.cpus)) return;
    this.#opening = this.#open(target)
      .then(async (session) => {
        await beginAs(defaults, session);
        this.#opening = undefined;
        this.#work({ session, isFirst: false, adjust: adjuster(session, runner.settings) });
      })
      .catch(() => {
        this.#mayOpen = false;
        this.#graph.reconsider();
      });
  }

  async #plan(session: Session, runner: Runner, major: number): Promise<void> {
    const plan = new Plan(async () => {
      await this.#graph.empty();
      return readFacts(session);
    });
    let together: Statement[] = [];
    const flush = async () => {
      if (together.length === 0) return;
      const statements = together;
      together = [];
      await this.#add(new InOrder(ALONE, statements, runner));
    };
    for (;;) {
      if (this.#queue.isEmpty || together.length >= MOST_TOGETHER) await flush();
      const unit = await this.#queue.take();
      this.#compareVersions(major);
      if (!unit) break;
      if (unit.of === 'command') {
        await flush();
        await this.#command(unit);
        continue;
      }
      const { statement } = unit;
      const { isPgDump } = this.#script.header;
      if (statement.kind.skip && unit.of === 'statement') {
        together.push(statement);
        continue;
      }
      if (
        unit.of === 'statement' &&
        isPgDump &&
        this.#last.bytes < this.options.spoolBytes / 2 &&
        plan.mayComeLast(statement)
      ) {
        await this.#last.appendStatement(statement.bytes, statement.line);
        continue;
      }
      if (statement.kind.place) await flush();
      const locks = await plan.locksOf(statement, isPgDump);
      if (unit.of === 'statement') {
        if (locks === ALONE) together.push(statement);
        else await this.#add(new Build(locks, statement, this.#sizes, this.#report));
      } else {
        await flush();
        const moves = locks !== ALONE;
        const fillsEmpty = moves && plan.fillsEmpty(statement);
        const options = { moves, fillsEmpty, runner, sizes: this.#sizes, report: this.#report };
        const task = new (unit.of === 'copy' ? CopyLoad : InsertLoad)(locks, statement, unit.rows, options);
        unit.rows.onPiece = () => this.#graph.reconsider();
        if (moves && statement.kind.place?.of === 'load') this.#loads.set(statement.kind.place.table, unit.rows);
        await this.#add(task);
      }
    }
    await flush();
    if (plan.movesFreely) await this.#analyzeLoaded();
    this.#graph.complete();
  }

  /** Beside the indexes of other tables and what keeps the order. Small tables go together. */
  async #analyzeLoaded(): Promise<void> {
    const small: string[] = [];
    for (const [table, rows] of this.#loads) {
      if (!isAscii(table)) continue;
      if (rows.isSmall) small.push(table);
      else await this.#add(new Analyze([table], this.#sizes, this.#analyzed));
    }
    while (small.length > 0)
      await this.#add(new Analyze(small.splice(0, MOST_ANALYZED_TOGETHER), this.#sizes, this.#analyzed));
  }

  #compared = false;

  /** As soon as the header has been read. */
  #compareVersions(major: number): void {
    const source = Number.parseInt(this.#script.header.serverVersion ?? '', 10);
    if (this.#compared || Number.isNaN(source)) return;
    this.#compared = true;
    if (source <= major) return;
    this.#report.warn({
      code: 'NEWER_SOURCE',
      message: `the dump comes from PostgreSQL ${source}, the replica is PostgreSQL ${major}: what is new since may fail`,
      hint: 'Engine docker takes the major version of the dump when REPLICA_IMAGE contains {major}.',
    });
  }

  async #add(task: RestoreTask): Promise<void> {
    await this.#graph.room();
    if (this.#progress?.added(task)) this.options.onProgress(this.#progress.snapshot());
    this.#graph.add(task);
  }

  async *#lastStatements(): AsyncGenerator<Statement> {
    await this.#last.close();
    for (let piece = await this.#last.take(); piece; piece = await this.#last.take()) {
      for await (const { bytes, line } of this.#last.statements(piece)) {
        yield { bytes: Buffer.from(bytes), line, kind: classify(bytes), entryType: undefined };
      }
    }
  }

  async #command({ command, text, line }: Extract<Unit, { of: 'command' }>): Promise<void> {
    if (/^\\(un)?restrict [A-Za-z0-9]+$/.test(text.trim())) return;
    if (/^\\c(onnect)?$/.test(command)) {
      const message = `${command} is skipped: a replica is one database of its own`;
      this.#report.warn({ code: 'DATABASE_SKIPPED', message, line });
      return;
    }
    await this.#graph.empty();
    throw new RestoreFailure({
      code: 'UNSUPPORTED_DUMP',
      message: `line ${line} is the psql command ${command}, which is not run: it could reach out of the database`,
      line,
      statement: shorten(text),
      hint: 'Remove the line, or make the file with pg_dump, which writes none but \\restrict, \\unrestrict and \\connect.',
    });
  }

  #checkComplete(session: Session): void {
    if (session.transaction !== 'I') {
      throw new RestoreFailure({
        code: 'CUT_OFF',
        message: 'the script ends inside a transaction that it began: nothing of it would stay',
        line: this.#script.line,
        hint: 'Add the missing COMMIT.',
      });
    }
    const { isPgDump, complete } = this.#script.header;
    if (!isPgDump || complete) return;
    const issue: RestoreIssue = {
      code: 'CUT_OFF',
      message: "the file ends before pg_dump's last line (PostgreSQL database dump complete): it has been cut off",
      line: this.#script.line,
      hint: 'Upload the whole file, or upload with onError: CONTINUE to restore what is there.',
    };
    if (!this.#report.goesOn) throw new RestoreFailure(issue);
    this.#report.warn(issue);
  }
}

function sessionsFor(cpus: number): number {
  return Math.min(8, cpus);
}

/** Sets what the script has set since the session was last adjusted. */
function adjuster(session: Session, settings: ReadonlyMap<string, Buffer>): () => Promise<void> {
  const adjusted = new Map<string, Buffer>();
  return async () => {
    for (const [name, statement] of settings) {
      if (adjusted.get(name) === statement) continue;
      // Before it is answered: what is sent after it comes after it. What the server refuses is not among them.
      adjusted.set(name, statement);
      await session.run(statement);
    }
  };
}
