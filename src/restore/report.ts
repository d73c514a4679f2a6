import type { DatabaseError } from 'pg';
import { messageOf } from '../domain/errors.js';
import type { RestoreIssue } from '../domain/replica.js';
import { isServerError, issueOf, RestoreFailure, shorten } from './issues.js';
import type { Statement } from './script.js';
import { Skipped } from './skipped.js';
import { DEPENDENT, type Treatment } from './statement.js';

/** Of different warnings; the rest is counted as one. */
const MOST_WARNINGS = 10_000;
const FURTHER: RestoreIssue = { code: 'FURTHER_WARNINGS', message: 'there are more warnings than are kept' };

/** Says what becomes of what did not go as the script would have it. */
export class Report {
  /** By what makes a warning the same as another: its place among the warnings, and how often it was given. */
  readonly #warned = new Map<string, { readonly index: number; readonly issue: RestoreIssue; count: number }>();

  readonly #skipped = new Skipped();

  constructor(
    /** STOP: the first statement that loses schema or data ends the restore. CONTINUE: it becomes a warning. */
    private readonly onError: 'STOP' | 'CONTINUE',
    /** The warning at `index` is new, or has been given again. */
    private readonly onWarning: (index: number, issue: RestoreIssue) => void,
  ) {}

  get goesOn(): boolean {
    return this.onError === 'CONTINUE';
  }

  /** 900 times the same is one warning, at its first place; `distinction` tells apart what says the same. */
  warn(issue: RestoreIssue, distinction = ''): void {
    const key = JSON.stringify([issue.code, issue.message, distinction]);
    const known = this.#warned.get(key);
    if (!known && this.#warned.size >= MOST_WARNINGS && issue !== FURTHER) {
      this.warn(FURTHER);
      return;
    }
    const warning = known ?? { index: this.#warned.size, issue, count: 0 };
    if (!known) this.#warned.set(key, warning);
    warning.count += 1;
    this.onWarning(warning.index, { ...warning.issue, count: warning.count });
  }

  /** So far, what refers to it may fail. */
  get hasSkipped(): boolean {
    return !this.#skipped.isEmpty;
  }

  /** It was not run, or in vain. */
  skipped(treatment: Treatment, statement: Statement, error?: unknown): void {
    this.treated(treatment, statement, error);
    this.#skipped.add(statement);
  }

  treated(treatment: Treatment, { bytes, line, kind }: Statement, error?: unknown): void {
    const { code, message, hint } = treatment;
    const reason = error === undefined ? '' : ` (${messageOf(error)})`;
    this.warn(
      {
        code,
        message: `${message}${reason}`,
        ...(error !== undefined && isServerError(error) && { sqlstate: (error as DatabaseError).code }),
        line,
        statement: shorten(bytes.toString('utf8', 0, 1000)),
        object: kind.object,
        hint,
      },
      treatment.perObject ? kind.object : undefined,
    );
  }

  /** Throws RestoreFailure, unless the restore is to go on, or something was skipped that the statement refers to. */
  failed(error: unknown, statement: Statement, issue = issueOf(error, statement)): void {
    if (this.#skipped.explains(error, statement)) {
      this.skipped(DEPENDENT, statement, error);
      return;
    }
    if (this.onError === 'STOP' || !isServerError(error)) throw new RestoreFailure(issue, { cause: error });
    this.warn(issue, String(issue.line));
  }
}
