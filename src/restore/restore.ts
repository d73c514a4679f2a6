import type { Client, DatabaseError } from 'pg';
import { messageOf } from '../domain/errors.js';
import type { RestoreIssue, RestoreProgress, RestoreStep } from '../domain/replica.js';
import { LexError, Lexer, type Token } from './lexer.js';
import { classify, type StatementKind, type Treatment } from './statement.js';
import { type CopyIn, runStatement, startCopy } from './wire.js';

/** The empty database that a dump is restored into, and what its administrator does on request. */
export interface RestoreTarget {
  /** A session of the role that is to own everything; no superuser. */
  readonly session: Client;
  /** A role that the dump names and the server lacks: NOLOGIN, and the session's role becomes a member. */
  createRole(name: string): Promise<void>;
  /** Resolves with false when the extension is not one that the administrator creates. */
  createExtension(name: string, schema: string | undefined): Promise<boolean>;
}

export interface RestoreOptions {
  /** STOP: the first statement that loses schema or data ends the restore. CONTINUE: it becomes a warning. */
  readonly onError: 'STOP' | 'CONTINUE';
  /** About how long the source is, when that is known before its end. */
  readonly expectedBytes?: number;
  /** Whoever aborts it also ends the session and the source, which a restore waits for. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
  readonly onWarning: (issue: RestoreIssue) => void;
}

/** The restore has failed; `issue` says what and where. */
export class RestoreFailure extends Error {
  override readonly name = 'RestoreFailure';

  constructor(
    readonly issue: RestoreIssue,
    options?: { cause?: unknown },
  ) {
    super(issue.message, options);
  }
}

/**
 * Runs a plain dump or SQL script, statement by statement in the file's order, while it arrives. Reads `source` no
 * faster than the server takes it. Rejects with RestoreFailure, with the signal's reason, or with what broke the source.
 */
export async function restore(
  source: AsyncIterable<Buffer>,
  target: RestoreTarget,
  options: RestoreOptions,
): Promise<void> {
  try {
    await new Restore(target, options).run(source);
  } catch (error) {
    options.signal.throwIfAborted();
    throw error;
  }
}

type Statement = Extract<Token, { kind: 'statement' }>;

interface Work {
  readonly token: Token;
  readonly kind?: StatementKind;
}

interface CopyUnderWay {
  readonly kind: StatementKind;
  /** undefined: the server has refused the COPY, and its rows are read and left. */
  to: CopyIn | undefined;
  firstRowLine?: number;
}

const STEPS: readonly RestoreStep[] = ['SCHEMA', 'DATA', 'INDEXES', 'CONSTRAINTS', 'FINISHING'];
const MOST_ROLES = 1000;
/** With `replica`, no trigger fires. */
const ROLE = 'session_replication_role';
const INSUFFICIENT_PRIVILEGE = '42501';
/** What may wait in memory so that the number of indexes to build is known before the first is built. */
const LOOK_AHEAD_BYTES = 16 * 1024 * 1024;

class Restore {
  readonly #lexer = new Lexer();
  readonly #warned = new Set<string>();
  readonly #loadedTables = new Set<string>();
  #tables = 0;
  #tableUnderWay: string | undefined;
  #indexesDone = 0;
  #indexesTotal = 0;
  /** Statements after the data: how many are known, and how many have run. */
  #afterData = { done: 0, total: 0 };
  #step: RestoreStep = 'SCHEMA';
  #bytesRestored = 0;
  #current: readonly string[] = [];
  /** Only harmless statements so far: nothing can lie in wait for the administrator yet. */
  #untouched = true;
  /** Tables whose triggers the script has disabled, as it names them. */
  readonly #withoutTriggers = new Set<string | undefined>();
  /** The session_replication_role to go back to after the rows of such a table. */
  #scriptsRole: string | undefined;
  #copy: CopyUnderWay | undefined;
  readonly #last: { readonly token: Statement; readonly kind: StatementKind }[] = [];

  constructor(
    private readonly target: RestoreTarget,
    private readonly options: RestoreOptions,
  ) {}

  async run(source: AsyncIterable<Buffer>): Promise<void> {
    try {
      const work = this.#work(source);
      for (let item = await work.next(); !item.done; item = await work.next()) {
        if (startsAfterData(item.value) && this.#afterData.total === 0) await this.#lookAhead(item.value, work);
        else await this.#handle(item.value);
      }
    } catch (error) {
      if (!(error instanceof LexError)) throw error;
      throw new RestoreFailure(issueOfLexError(error), { cause: error });
    }
    this.#checkComplete();
    for (const item of this.#last.splice(0)) await this.#run(item.token, item.kind);
    this.#finishTable();
    this.#step = 'FINISHING';
    this.#bytesRestored = this.#lexer.offset;
    this.#report([]);
  }

  async *#work(source: AsyncIterable<Buffer>): AsyncGenerator<Work, void> {
    for await (const chunk of source) {
      for (const token of this.#lexer.push(chunk)) yield this.#recognise(token);
    }
    for (const token of this.#lexer.end()) yield this.#recognise(token);
  }

  #recognise(token: Token): Work {
    if (token.kind !== 'statement') return { token };
    const kind = classify(token.bytes);
    if (kind.counts === 'table') this.#tables += 1;
    if (kind.counts === 'index') this.#indexesTotal += 1;
    return { token, kind };
  }

  async #lookAhead(first: Work, work: AsyncGenerator<Work, void>): Promise<void> {
    const known = [first];
    for (let bytes = 0; bytes < LOOK_AHEAD_BYTES; ) {
      const item = await work.next();
      if (item.done) break;
      known.push(item.value);
      bytes += 'bytes' in item.value.token ? item.value.token.bytes.length : 0;
    }
    this.#afterData.total = known.length;
    for (const item of known) {
      await this.#handle(item);
      this.#afterData.done += 1;
    }
  }

  async #handle({ token, kind }: Work): Promise<void> {
    this.options.signal.throwIfAborted();
    switch (token.kind) {
      case 'statement':
        await this.#statement(token, kind as StatementKind);
        break;
      case 'copyRows':
        await this.#copyRows(token);
        break;
      case 'copyEnd':
        await this.#copyEnd();
        break;
      case 'meta':
        this.#metaCommand(token);
    }
    this.#bytesRestored = token.endOffset;
    this.#report(this.#current);
  }

  async #statement(token: Statement, kind: StatementKind): Promise<void> {
    this.#begin(kind);
    if (!kind.harmless) this.#untouched = false;
    await this.#switchTriggers(kind);
    if (token.copy) return this.#startCopy(token, kind);
    if (kind.skip) return this.#warn(kind.skip, token, kind);
    if (kind.last && this.#lexer.header.isPgDump) this.#last.push({ token, kind });
    else await this.#run(token, kind);
  }

  async #run(token: Statement, kind: StatementKind): Promise<void> {
    try {
      if (kind.triggers) await this.#alterTriggers(token.bytes, kind);
      else await this.#execute(token.bytes, kind);
      if (kind.counts === 'index') this.#indexesDone += 1;
    } catch (error) {
      if (this.#isForgiven(kind, error)) this.#warn(kind.lenient as Treatment, token, kind, error);
      else this.#fail(issueOf(error, token, kind), error);
    }
  }

  /** Steps never go back, so that a script that mixes them still shows progress. */
  #begin(kind: StatementKind): void {
    if (STEPS.indexOf(kind.step) > STEPS.indexOf(this.#step)) this.#step = kind.step;
    if (kind.step === 'DATA' && kind.object !== this.#tableUnderWay) this.#finishTable();
    if (kind.step === 'DATA') this.#tableUnderWay = kind.object;
    this.#current = kind.object ? [kind.counts === 'index' ? `index ${kind.object}` : kind.object] : [];
    if (kind.counts === 'index') this.#report(this.#current);
  }

  #finishTable(): void {
    if (this.#tableUnderWay) this.#loadedTables.add(this.#tableUnderWay);
    this.#tableUnderWay = undefined;
  }

  async #execute(statement: Buffer, kind: StatementKind): Promise<void> {
    if (kind.extension && (await this.#createExtension(kind.extension))) return;
    // Inside the script's own transaction a forgiven error must not spoil what came before it.
    const inTransaction = this.target.session.getTransactionStatus() === 'T';
    const namesRoles = mayNameRoles(statement);
    const guarded = inTransaction && (kind.lenient !== undefined || namesRoles);
    for (;;) {
      if (guarded) await this.target.session.query('SAVEPOINT replichat');
      try {
        await runStatement(this.target.session, statement);
        if (guarded) await this.target.session.query('RELEASE SAVEPOINT replichat');
        return;
      } catch (error) {
        if (guarded) await this.target.session.query('ROLLBACK TO SAVEPOINT replichat');
        const role = namesRoles ? missingRole(error) : undefined;
        if (role === undefined || !(await this.#createRole(role))) throw error;
      }
    }
  }

  /**
   * `ALTER TABLE ... TRIGGER ALL` is refused to the owner of a table with foreign keys, whose triggers are the system's.
   * The owner may switch the others, and while rows of that table come, `#switchTriggers` does the rest.
   */
  async #alterTriggers(statement: Buffer, kind: StatementKind): Promise<void> {
    if (kind.triggers === 'ENABLE') this.#withoutTriggers.delete(kind.object);
    try {
      await this.#execute(statement, kind);
    } catch (error) {
      if ((error as DatabaseError).code !== INSUFFICIENT_PRIVILEGE) throw error;
      const ofUser = statement.toString('latin1').replace(/\bALL$/i, 'USER');
      await this.#execute(Buffer.from(ofUser, 'latin1'), kind);
      if (kind.triggers === 'ENABLE') return;
      // Refused where the role may not set it: then foreign keys stay in force.
      await this.#execute(Buffer.from(`SELECT ${setRole(`pg_catalog.current_setting('${ROLE}')`)}`), kind);
      this.#withoutTriggers.add(kind.object);
    }
  }

  async #switchTriggers(kind: StatementKind): Promise<void> {
    const off = kind.step === 'DATA' && this.#withoutTriggers.has(kind.object);
    if (off === (this.#scriptsRole !== undefined)) return;
    // What fails here fails in a transaction that has failed, where nothing is of any consequence.
    if (off) {
      const query = `SELECT pg_catalog.current_setting('${ROLE}') AS role, ${setRole("'replica'")}`;
      const result = await this.target.session.query<{ role: string }>(query).catch(() => undefined);
      this.#scriptsRole = result?.rows[0]?.role;
    } else {
      await this.target.session.query(`SELECT ${setRole(`'${this.#scriptsRole}'`)}`).catch(() => {});
      this.#scriptsRole = undefined;
    }
  }

  readonly #createdRoles = new Set<string>();

  /** Each role once: a second complaint about it means that creating it was no remedy. */
  async #createRole(name: string): Promise<boolean> {
    if (this.#createdRoles.has(name) || name.startsWith('pg_') || this.#createdRoles.size >= MOST_ROLES) return false;
    this.#createdRoles.add(name);
    try {
      await this.target.createRole(name);
    } catch (error) {
      const message = `role ${name} could not be created: ${messageOf(error)}`;
      throw new RestoreFailure({ code: 'ROLE_NOT_CREATED', message, object: name }, { cause: error });
    }
    this.#warnOnce({
      code: 'ROLE_CREATED',
      message: `role ${name} does not come with the dump: it was created without login, owning nothing`,
      object: name,
    });
    return true;
  }

  async #createExtension({ name, schema }: NonNullable<StatementKind['extension']>): Promise<boolean> {
    const inTransaction = this.target.session.getTransactionStatus() !== 'I';
    return this.#untouched && !inTransaction && (await this.target.createExtension(name, schema));
  }

  async #startCopy(token: Statement, kind: StatementKind): Promise<void> {
    this.#copy = { to: undefined, kind };
    try {
      this.#copy.to = await startCopy(this.target.session, token.bytes);
    } catch (error) {
      this.#fail(issueOf(error, token, kind), error);
    }
  }

  async #copyRows(token: Extract<Token, { kind: 'copyRows' }>): Promise<void> {
    const copy = this.#copy;
    if (!copy?.to) return;
    copy.firstRowLine ??= token.line;
    try {
      await copy.to.write(token.bytes);
    } catch (error) {
      this.#copyFailed(error);
    }
  }

  async #copyEnd(): Promise<void> {
    const copy = this.#copy;
    try {
      await copy?.to?.finish();
    } catch (error) {
      this.#copyFailed(error);
    }
    this.#copy = undefined;
  }

  /** The rest of the rows is read and left. */
  #copyFailed(error: unknown): void {
    const copy = this.#copy as CopyUnderWay;
    copy.to = undefined;
    const row = Number(/^COPY .*, line (\d+)/s.exec((error as DatabaseError).where ?? '')?.[1] ?? 1);
    this.#fail({ ...sqlIssue(error), line: (copy.firstRowLine ?? 0) + row - 1, object: copy.kind.object }, error);
  }

  #metaCommand({ command, text, line }: Extract<Token, { kind: 'meta' }>): void {
    if (/^\\(un)?restrict [A-Za-z0-9]+$/.test(text.trim())) return;
    if (/^\\c(onnect)?$/.test(command)) {
      const message = `${command} is skipped: a replica is one database of its own`;
      this.#warnOnce({ code: 'DATABASE_SKIPPED', message, line });
      return;
    }
    throw new RestoreFailure({
      code: 'UNSUPPORTED_DUMP',
      message: `line ${line} is the psql command ${command}, which is not run: it could reach out of the database`,
      line,
      statement: shorten(text),
      hint: 'Remove the line, or make the file with pg_dump, which writes none but \\restrict, \\unrestrict and \\connect.',
    });
  }

  #isForgiven(kind: StatementKind, error: unknown): boolean {
    if (kind.lenient === undefined || !isServerError(error)) return false;
    return kind.lenient.only?.includes((error as DatabaseError).code as string) ?? true;
  }

  #warn(treatment: Treatment, token: Statement, kind: StatementKind, error?: unknown): void {
    const { code, message, hint } = treatment;
    const reason = error === undefined ? '' : ` (${messageOf(error)})`;
    const distinction = treatment.perObject ? kind.object : undefined;
    this.#warnOnce(
      {
        code,
        message: `${message}${reason}`,
        ...(error !== undefined && isServerError(error) && { sqlstate: (error as DatabaseError).code }),
        line: token.line,
        statement: shorten(token.bytes.toString('utf8', 0, 1000)),
        object: kind.object,
        hint,
      },
      distinction,
    );
  }

  /** 900 times the same is one warning, at its first place; `key` tells apart what says the same. */
  #warnOnce(issue: RestoreIssue, distinction = ''): void {
    const key = `${issue.code} ${issue.message} ${distinction}`;
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    this.options.onWarning(issue);
  }

  #fail(issue: RestoreIssue, cause: unknown): void {
    if (this.options.onError === 'STOP' || !isServerError(cause)) throw new RestoreFailure(issue, { cause });
    this.options.onWarning(issue);
  }

  #checkComplete(): void {
    if (this.target.session.getTransactionStatus() !== 'I') {
      throw new RestoreFailure({
        code: 'CUT_OFF',
        message: 'the script ends inside a transaction that it began: nothing of it would stay',
        line: this.#lexer.line,
        hint: 'Add the missing COMMIT.',
      });
    }
    const { isPgDump, complete } = this.#lexer.header;
    if (!isPgDump || complete) return;
    const issue: RestoreIssue = {
      code: 'CUT_OFF',
      message: "the file ends before pg_dump's last line (PostgreSQL database dump complete): it has been cut off",
      line: this.#lexer.line,
      hint: 'Upload the whole file, or upload with onError: CONTINUE to restore what is there.',
    };
    if (this.options.onError === 'STOP') throw new RestoreFailure(issue);
    this.options.onWarning(issue);
  }

  #report(current: readonly string[]): void {
    this.options.onProgress({
      step: this.#step,
      fraction: this.#fraction(),
      bytesRestored: this.#bytesRestored,
      tablesDone: this.#step === 'FINISHING' ? this.#tablesTotal : this.#loadedTables.size,
      tablesTotal: this.#tablesTotal,
      indexesDone: this.#indexesDone,
      indexesTotal: this.#indexesTotal,
      current,
    });
  }

  get #tablesTotal(): number {
    return Math.max(this.#tables, this.#loadedTables.size);
  }

  /** pg_dump builds its indexes after the data, which takes about as long again; other scripts have no such part. */
  #fraction(): number {
    if (this.#step === 'FINISHING') return 0.98;
    const { done, total } = this.#afterData;
    if (total > 0) return 0.6 + 0.38 * (done / total);
    const { expectedBytes } = this.options;
    const read = expectedBytes ? Math.min(1, this.#bytesRestored / expectedBytes) : 0.5;
    return read * (this.#lexer.header.isPgDump ? 0.6 : 0.97);
  }
}

function startsAfterData({ kind }: Work): boolean {
  return kind !== undefined && kind.step !== 'SCHEMA' && kind.step !== 'DATA';
}

function setRole(value: string): string {
  return `pg_catalog.set_config('${ROLE}', ${value}, false)`;
}

function mayNameRoles(statement: Buffer): boolean {
  return statement.length < 8192 && /^\s*(GRANT|REVOKE|ALTER|CREATE\s+(POLICY|SCHEMA))\b/i.test(statement.toString());
}

function missingRole(error: unknown): string | undefined {
  const { code, message } = error as DatabaseError;
  return code === '42704' ? /^role "(.+)" does not exist$/s.exec(message)?.[1] : undefined;
}

/** An answer of the server to a statement, as opposed to a connection that broke. */
function isServerError(error: unknown): boolean {
  const { code, severity } = error as DatabaseError;
  return severity === 'ERROR' && typeof code === 'string';
}

function issueOf(error: unknown, token: Statement, kind: StatementKind): RestoreIssue {
  const position = Number((error as DatabaseError).position ?? 1);
  const text = token.bytes.toString('utf8');
  const linesBefore = text.slice(0, position - 1).split('\n').length - 1;
  return {
    ...sqlIssue(error),
    line: token.line + linesBefore,
    statement: shorten(text),
    object: kind.object,
  };
}

function sqlIssue(error: unknown): RestoreIssue {
  if (error instanceof RestoreFailure) return error.issue;
  if (!isServerError(error)) {
    return { code: 'CONNECTION_LOST', message: `the connection to the replica broke: ${messageOf(error)}` };
  }
  const { code, message, detail, hint } = error as DatabaseError;
  return { code: 'SQL_ERROR', message: detail ? `${message} (${detail})` : message, sqlstate: code, hint };
}

function issueOfLexError(error: LexError): RestoreIssue {
  const cutOff = error.reason === 'CUT_OFF';
  return {
    code: cutOff ? 'CUT_OFF' : 'UNSUPPORTED_DUMP',
    message: error.message,
    line: error.line,
    hint: cutOff
      ? 'Upload the whole file; a statement ends with a semicolon, COPY data with a line \\.'
      : 'Make the file with pg_dump --format=plain.',
  };
}

const SHOWN_CHARACTERS = 300;

function shorten(statement: string): string {
  const text = statement.trim();
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)} ...`;
}
