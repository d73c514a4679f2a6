import type { DatabaseError } from 'pg';
import { messageOf } from '../domain/errors.js';
import type { RestoreIssue } from '../domain/replica.js';
import { LexError } from './lexer.js';
import type { Statement } from './script.js';
import { NotOneStatement } from './session.js';

/** SQLSTATE disk_full. */
const DISK_FULL = '53100';

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

/** An answer of the server to a statement, as opposed to a connection that broke. */
export function isServerError(error: unknown): error is DatabaseError {
  const { code, severity } = error as DatabaseError;
  return severity === 'ERROR' && typeof code === 'string';
}

/** What the server, or the connection to it, said to a statement. */
export function issueOf(
  error: unknown,
  { bytes, line, kind }: Pick<Statement, 'bytes' | 'line' | 'kind'>,
): RestoreIssue {
  const position = Number((error as DatabaseError).position ?? 1);
  const text = bytes.toString('utf8', 0, Math.min(bytes.length, Math.max(4 * position, 4 * SHOWN_CHARACTERS)));
  const linesBefore = text.slice(0, position - 1).split('\n').length - 1;
  return { ...sqlIssue(error), line: line + linesBefore, statement: shorten(text), object: kind.object };
}

/** What it said to rows of COPY; `firstLine` is the line of the file that the server counts as the first. */
export function issueOfRows(error: unknown, statement: Statement, lineOf: (row: number) => number): RestoreIssue {
  const row = /^COPY .*?, line (\d+)/m.exec((error as DatabaseError).where ?? '')?.[1];
  const issue = issueOf(error, statement);
  return row === undefined ? issue : { ...issue, line: lineOf(Number(row)) };
}

function sqlIssue(error: unknown): RestoreIssue {
  if (error instanceof RestoreFailure) return error.issue;
  if (error instanceof NotOneStatement) {
    const hint = 'Make the dump in UTF-8: pg_dump --encoding=UTF8.';
    return { code: 'UNSUPPORTED_DUMP', message: error.message, hint };
  }
  if (!isServerError(error)) {
    return { code: 'CONNECTION_LOST', message: `the connection to the replica broke: ${messageOf(error)}` };
  }
  const { code, message, detail, hint } = error as DatabaseError;
  if (code === DISK_FULL) {
    const remedy = 'Free some of the disk that replicas are on, or delete replicas, and upload the dump again.';
    return { code: 'DISK_FULL', message, sqlstate: code, hint: remedy };
  }
  return { code: 'SQL_ERROR', message: detail ? `${message} (${detail})` : message, sqlstate: code, hint };
}

/** As RestoreFailure, what can be told of an error in words; everything else as it is. */
export function asFailure(error: unknown): unknown {
  if (error instanceof LexError) return new RestoreFailure(issueOfLexError(error), { cause: error });
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC') {
    const message =
      "the disk of the server's temporary folder is full: there is no room for the rows that have arrived";
    const hint = 'Free some, or set TMPDIR to a folder with more room, or MAX_SPOOL_BYTES lower.';
    return new RestoreFailure({ code: 'SPOOL_FULL', message, hint }, { cause: error });
  }
  return error;
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

export function shorten(statement: string): string {
  const text = statement.trim();
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)} ...`;
}
