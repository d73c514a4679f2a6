import type { DatabaseError } from 'pg';
import { messageOf } from '../domain/errors.js';
import { Ahead } from './ahead.js';
import { isServerError, RestoreFailure } from './issues.js';
import type { Report } from './report.js';
import { withoutRefusedClause } from './routine.js';
import type { Statement } from './script.js';
import type { Session } from './session.js';
import { LATE_EXTENSION, ROUTINE_CLAUSE, type StatementKind } from './statement.js';

/** What the administrator of the database does on request. */
export interface Administrator {
  /** A role that the dump names and the server lacks: NOLOGIN, and the session's role becomes a member. */
  createRole(name: string): Promise<void>;
  /** Whether an extension is one of those that the administrator creates. */
  createsExtension(name: string): boolean;
  createExtension(name: string, schema: string | undefined): Promise<void>;
}

const MOST_ROLES = 1000;
/** With `replica`, no trigger fires. */
const ROLE = 'session_replication_role';
const SETTING_NAME = /^\s*(?:SET\s+(?:SESSION\s+)?|SELECT\s+pg_catalog\.set_config\s*\(\s*')"?([\w.]+)/i;
const INSUFFICIENT_PRIVILEGE = '42501';

/**
 * Runs the statements that keep the file's order, in the session that has the script's state, and treats what a plain
 * role may not do. A statement is sent before the earlier ones are answered, unless its failure would be mended.
 */
export class Runner {
  /** What the script has set, for other sessions to set it as well: the statements by what they set. */
  readonly settings = new Map<string, Buffer>();
  /** Only harmless statements so far: nothing can lie in wait for the administrator yet. */
  #untouched = true;
  /** Tables whose triggers the script has disabled, as it names them. */
  readonly #withoutTriggers = new Set<string | undefined>();
  /** The session_replication_role to go back to after the rows of such a table. */
  #scriptsRole: string | undefined;
  readonly #createdRoles = new Set<string>();

  constructor(
    private readonly session: Session,
    private readonly administrator: Administrator,
    private readonly report: Report,
  ) {}

  async run(statements: Iterable<Statement> | AsyncIterable<Statement>): Promise<void> {
    const ahead = new Ahead(this.session, (statement, ended) => this.#settle(statement, ended));
    for await (const statement of statements) {
      const { kind } = statement;
      if (!kind.harmless && !kind.harmlessWhenRefused) this.#untouched = false;
      if (kind.skip) {
        this.report.skipped(kind.skip, statement);
      } else if (this.#mayBeSentAhead(kind)) {
        await ahead.send(statement);
      } else {
        await ahead.settle();
        await this.#switchTriggers(kind);
        const ended = kind.triggers ? this.#alterTriggers(statement) : this.#execute(statement);
        await this.#settle(statement, ended);
      }
    }
    await ahead.settle();
  }

  #mayBeSentAhead(kind: StatementKind): boolean {
    if (kind.extension || kind.triggers || kind.session === 'begin' || kind.session === 'end') return false;
    if (kind.namesRoles || kind.asksSuperuser) return false;
    if (this.#withoutTriggers.size > 0 || this.#scriptsRole !== undefined) return false;
    // Inside the script's own transaction a forgiven error must not spoil what came before it.
    return this.session.transaction === 'I' || !this.#mayBeForgiven(kind);
  }

  #mayBeForgiven({ lenient, session }: StatementKind): boolean {
    return lenient !== undefined || (session === 'none' && this.report.hasSkipped);
  }

  async #settle(statement: Statement, ended: Promise<void>): Promise<void> {
    const { kind } = statement;
    try {
      await ended;
      if (kind.harmlessWhenRefused) this.#untouched = false;
      if (kind.session === 'setting') this.#remember(statement.bytes);
    } catch (error) {
      if (this.#isTooLate(kind, error)) this.report.treated(LATE_EXTENSION, statement, error);
      else if (kind.lenient && isForgiven(kind, error)) this.report.treated(kind.lenient, statement, error);
      else this.report.failed(error, statement);
    }
  }

  #remember(setting: Buffer): void {
    const text = setting.toString('latin1');
    const [, name] = SETTING_NAME.exec(text) ?? [];
    this.settings.set(name?.toLowerCase() ?? text, setting);
  }

  async #execute(statement: Statement): Promise<void> {
    const { kind } = statement;
    if (kind.extension && this.#mayCreate(kind.extension)) {
      const { name, schema } = kind.extension;
      return this.administrator.createExtension(name, schema);
    }
    const mended = kind.namesRoles || kind.asksSuperuser;
    const guarded = this.session.transaction === 'T' && (mended || this.#mayBeForgiven(kind));
    let { bytes } = statement;
    for (;;) {
      if (guarded) await this.#say('SAVEPOINT replichat');
      try {
        await this.session.run(bytes);
        if (guarded) await this.#say('RELEASE SAVEPOINT replichat');
        return;
      } catch (error) {
        if (guarded) await this.#say('ROLLBACK TO SAVEPOINT replichat');
        const role = kind.namesRoles ? missingRole(error) : undefined;
        if (role !== undefined && (await this.#createRole(role))) continue;
        const permitted = kind.asksSuperuser ? withoutRefused(bytes, error) : undefined;
        if (!permitted) throw error;
        bytes = permitted;
        this.report.treated(ROUTINE_CLAUSE, statement, error);
        if (bytes.length === 0) return;
      }
    }
  }

  /** Rows for what was skipped are skipped with it: the script's own transaction goes on without them. */
  async load(kind: StatementKind, load: () => Promise<void>): Promise<void> {
    await this.#switchTriggers(kind);
    if (this.session.transaction !== 'T' || !this.#mayBeForgiven(kind)) return load();
    await this.#say('SAVEPOINT replichat');
    await load();
    // Refused where the load was, too.
    await this.#say('RELEASE SAVEPOINT replichat').catch(() => this.#say('ROLLBACK TO SAVEPOINT replichat'));
  }

  #say(statement: string): Promise<void> {
    return this.session.run(Buffer.from(statement));
  }

  /**
   * `ALTER TABLE ... TRIGGER ALL` is refused to the owner of a table with foreign keys, whose triggers are the system's.
   * The owner may switch the others, and while rows of that table come, `load` does the rest.
   */
  async #alterTriggers(statement: Statement): Promise<void> {
    const { bytes, kind } = statement;
    if (kind.triggers === 'ENABLE') this.#withoutTriggers.delete(kind.object);
    const run = (instead: Buffer) => this.#execute({ ...statement, bytes: instead });
    try {
      await run(bytes);
    } catch (error) {
      if ((error as DatabaseError).code !== INSUFFICIENT_PRIVILEGE) throw error;
      const ofUser = bytes.toString('latin1').replace(/\bALL$/i, 'USER');
      await run(Buffer.from(ofUser, 'latin1'));
      if (kind.triggers === 'ENABLE') return;
      // Refused where the role may not set it: then foreign keys stay in force.
      await run(Buffer.from(`SELECT ${setRole(`pg_catalog.current_setting('${ROLE}')`)}`));
      this.#withoutTriggers.add(kind.object);
    }
  }

  /** Before rows of `kind.object` come, or something else than rows. */
  async #switchTriggers(kind: StatementKind): Promise<void> {
    const off = kind.step === 'DATA' && this.#withoutTriggers.has(kind.object);
    if (off === (this.#scriptsRole !== undefined)) return;
    // What fails here fails in a transaction that has failed, where nothing is of any consequence.
    if (off) {
      const query = `SELECT pg_catalog.current_setting('${ROLE}'), ${setRole("'replica'")}`;
      const rows = await this.session.rows(query).catch(() => []);
      this.#scriptsRole = rows[0]?.[0] ?? undefined;
    } else {
      await this.#say(`SELECT ${setRole(`'${this.#scriptsRole}'`)}`).catch(() => {});
      this.#scriptsRole = undefined;
    }
  }

  /** Each role once: a second complaint about it means that creating it was no remedy. */
  async #createRole(name: string): Promise<boolean> {
    if (this.#createdRoles.has(name) || name.startsWith('pg_') || this.#createdRoles.size >= MOST_ROLES) return false;
    this.#createdRoles.add(name);
    try {
      await this.administrator.createRole(name);
    } catch (error) {
      const message = `role ${name} could not be created: ${messageOf(error)}`;
      throw new RestoreFailure({ code: 'ROLE_NOT_CREATED', message, object: name }, { cause: error });
    }
    this.report.warn({
      code: 'ROLE_CREATED',
      message: `role ${name} does not come with the dump: it was created without login, owning nothing`,
      object: name,
    });
    return true;
  }

  #mayCreate({ name }: NonNullable<StatementKind['extension']>): boolean {
    return this.#untouched && this.session.transaction === 'I' && this.administrator.createsExtension(name);
  }

  /** The administrator would have created it earlier. */
  #isTooLate({ extension }: StatementKind, error: unknown): boolean {
    const refused = (error as DatabaseError).code === INSUFFICIENT_PRIVILEGE;
    return extension !== undefined && refused && this.administrator.createsExtension(extension.name);
  }
}

function isForgiven(kind: StatementKind, error: unknown): boolean {
  if (kind.lenient === undefined || !isServerError(error)) return false;
  return kind.lenient.only?.includes((error as DatabaseError).code as string) ?? true;
}

function setRole(value: string): string {
  return `pg_catalog.set_config('${ROLE}', ${value}, false)`;
}

function withoutRefused(statement: Buffer, error: unknown): Buffer | undefined {
  const { code, message } = error as DatabaseError;
  return code === INSUFFICIENT_PRIVILEGE ? withoutRefusedClause(statement, message) : undefined;
}

function missingRole(error: unknown): string | undefined {
  const { code, message } = error as DatabaseError;
  return code === '42704' ? /^role "(.+)" does not exist$/s.exec(message)?.[1] : undefined;
}
