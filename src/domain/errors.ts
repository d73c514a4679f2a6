/** The error codes of the public API (`extensions.code`). */
export type ErrorCode =
  | 'BAD_USER_INPUT'
  | 'NOT_FOUND'
  | 'UNAUTHENTICATED'
  | 'CONFLICT'
  | 'UNSUPPORTED_DUMP'
  | 'PAYLOAD_TOO_LARGE'
  | 'REPLICA_NOT_READY'
  | 'SQL_ERROR'
  | 'QUERY_TIMEOUT'
  | 'QUOTA_EXCEEDED'
  | 'ENGINE_UNAVAILABLE'
  | 'STORE_UNAVAILABLE';

/**
 * An error that its reader can act on: `message` names the thing and the remedy and is shown to clients as it is,
 * `facts` become further `extensions` of the GraphQL error (`field`, `sqlstate`, `state`, ...). Every other error
 * is the server's own and shown as INTERNAL_SERVER_ERROR.
 */
export class ReplichatError extends Error {
  override readonly name = 'ReplichatError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly facts: Readonly<Record<string, unknown>> = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** BAD_USER_INPUT for one field: `field` is its path in the input, `problem` says what is wrong and what would be right. */
export function badInput(field: string, problem: string): ReplichatError {
  return new ReplichatError('BAD_USER_INPUT', `${field}: ${problem}`, { field });
}

/** What a failed Promise or a caught exception says, whatever was thrown. */
export function messageOf(error: unknown): string {
  // Node joins the refusals of several addresses into an error without words.
  if (error instanceof AggregateError && error.message === '') return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
