import { GraphQLError, type GraphQLFormattedError, Kind } from 'graphql';
import type { Logger } from 'pino';
import { ReplichatError } from '../domain/errors.js';
import { UploadAborted } from './upload-stream.js';

/**
 * What a client is told about an error, over HTTP and over WebSocket: a ReplichatError in its own words, GraphQL's
 * complaints about the request as they are, and nothing of any other error but the id under which the log has it.
 */
export function presentError(error: unknown, logger: Logger, requestId: string, hints = true): GraphQLFormattedError {
  const cause = rootCause(error);
  if (cause instanceof ReplichatError) {
    return { message: cause.message, ...place(error), extensions: { ...cause.facts, code: cause.code } };
  }
  if (cause instanceof UploadAborted) {
    return { message: cause.message, ...place(error), extensions: { code: 'BAD_USER_INPUT' } };
  }
  if (error instanceof GraphQLError) {
    const code = requestErrorCode(error);
    if (code !== undefined) {
      const message = hints ? withoutValue(error) : withoutHint(withoutValue(error));
      return { message, ...place(error), extensions: extensionsOf(error, code) };
    }
  }
  logger.error({ err: cause, requestId, path: place(error).path }, 'internal error');
  return {
    message: 'Internal server error',
    ...place(error),
    extensions: { code: 'INTERNAL_SERVER_ERROR', requestId },
  };
}

/** The error that a resolver threw, out of the GraphQLErrors that GraphQL and Apollo have wrapped it in. */
function rootCause(error: unknown): unknown {
  let current = error;
  while (current instanceof GraphQLError) {
    const inner = current.originalError ?? current.cause;
    if (inner === undefined) return current;
    current = inner;
  }
  return current;
}

/** The code of an error that is the request's fault; undefined when it is ours. */
function requestErrorCode(error: GraphQLError): string | undefined {
  const { path, nodes, originalError, extensions } = error;
  if (isVariableError(error)) return 'BAD_USER_INPUT';
  if (typeof extensions.code === 'string' && extensions.code !== 'INTERNAL_SERVER_ERROR') return extensions.code;
  if (path !== undefined) {
    // A bad argument is located in the document; "cannot return null" and a value that cannot be serialised are ours.
    return originalError instanceof GraphQLError && originalError.nodes ? 'BAD_USER_INPUT' : undefined;
  }
  if (originalError !== undefined) return undefined;
  return error.source && !nodes ? 'GRAPHQL_PARSE_FAILED' : 'GRAPHQL_VALIDATION_FAILED';
}

/** A variable's value was refused; also by the Upload scalar, which has a code of its own for it. */
function isVariableError({ nodes, message }: GraphQLError): boolean {
  return (
    nodes?.[0]?.kind === Kind.VARIABLE_DEFINITION &&
    /^Variable "\$\w+" (got invalid value|has invalid value|of required type|of non-null type)/.test(message)
  );
}

/**
 * GraphQL quotes a value that it refuses, and of a variable all of the object around it: a password may stand there.
 * What remains says where it is, and what is wrong.
 */
function withoutValue(error: GraphQLError): string {
  const { message, originalError } = error;
  const reason = originalError?.message;
  const quoted = reason !== undefined && isVariableError(error) && message.endsWith(`; ${reason}`);
  return (quoted ? `${prefaceOf(message, reason)}; ${reason}` : message)
    .replace(/( cannot represent [^:]+): .*$/s, '$1.')
    .replace(/(Expected value of type "[^"]+"), found .*$/s, '$1.');
}

function withoutHint(message: string): string {
  return message.replace(/ ?Did you mean .+\?$/s, '');
}

function prefaceOf(message: string, reason: string): string {
  const variable = /^Variable "\$(\w+)"/.exec(message)?.[1];
  const path = / at "([\w.[\]]+)"$/.exec(message.slice(0, -reason.length - 2))?.[1] ?? variable;
  return `Variable "$${variable}" got an invalid value at "${path}"`;
}

function extensionsOf(error: GraphQLError, code: string): Record<string, unknown> {
  // Apollo keeps the HTTP status of an error here.
  const { http, stacktrace, ...extensions } = error.extensions;
  return { ...extensions, code };
}

function place(error: unknown): Pick<GraphQLFormattedError, 'locations' | 'path'> {
  if (!(error instanceof GraphQLError)) return {};
  const { locations, path } = error;
  return { ...(locations && { locations }), ...(path && { path }) };
}

export function bodyTooLarge(limit: number, what = 'The request body'): ReplichatError {
  return new ReplichatError('PAYLOAD_TOO_LARGE', `${what} is larger than ${limit} bytes.`, { limit });
}

export function uploadTooLarge(limit: number): ReplichatError {
  return new ReplichatError(
    'PAYLOAD_TOO_LARGE',
    `The file is larger than ${limit} bytes, the limit of this server (MAX_UPLOAD_BYTES).`,
    { limit },
  );
}
