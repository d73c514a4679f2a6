import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';

/** What the API's errors say, in the form in which the console shows them. */
export interface Problem {
  code: string;
  message: string;
  hint?: string;
  detail?: string;
  sqlstate?: string;
  /** Of SQL: the character at which PostgreSQL found the error, counted from 1. */
  position?: number;
}

export function problemOf(error: unknown): Problem {
  if (ServerError.is(error)) return refusalOf(error);
  if (!CombinedGraphQLErrors.is(error)) {
    return { code: 'NETWORK', message: `The server could not be reached: ${messageOf(error)}` };
  }
  return described(error.errors[0] ?? { message: error.message });
}

/** An answer with an error status is JSON like the others. */
function refusalOf({ bodyText, message }: ServerError): Problem {
  try {
    return described(JSON.parse(bodyText).errors[0]);
  } catch {
    return { code: 'HTTP', message };
  }
}

function described({ message, extensions = {} }: { message: string; extensions?: Record<string, unknown> }): Problem {
  const { code, hint, detail, sqlstate, position } = extensions as Partial<Problem>;
  return { code: code ?? 'UNKNOWN', message, hint, detail, sqlstate, position };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
