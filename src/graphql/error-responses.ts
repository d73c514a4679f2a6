import type { ErrorRequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { ReplichatError } from '../domain/errors.js';
import { bodyTooLarge, presentError } from './errors.js';
import type { RequestScope } from './request-scope.js';
import { UploadAborted } from './upload-stream.js';

/** Answers in the shape of GraphQL, whatever the route: clients need one way to read an error. */
export function refuse(response: Response, status: number, code: string, message: string): void {
  response.status(status).json(errorBody(code, message));
}

export function errorBody(
  code: string,
  message: string,
): { errors: [{ message: string; extensions: { code: string } }] } {
  return { errors: [{ message, extensions: { code } }] };
}

/** Express's last resort: never HTML, never a stack. */
export function handleErrors(logger: Logger, maxBodyBytes: number): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (response.headersSent) return void request.socket.destroy();
    const known = asReplichatError(error, maxBodyBytes);
    const scope: RequestScope = response.locals.scope;
    const presented = presentError(known ?? error, logger, scope.requestId);
    response.status(known ? statusOf(known, error) : 500).json({ errors: [presented] });
  };
}

/** The errors that are the request's fault: ours, and those of the body parser. */
function asReplichatError(error: unknown, maxBodyBytes: number): ReplichatError | undefined {
  if (error instanceof ReplichatError) return error;
  if (error instanceof UploadAborted) return new ReplichatError('BAD_USER_INPUT', error.message);
  switch (fieldOf(error, 'type')) {
    case 'entity.too.large':
      return bodyTooLarge(maxBodyBytes);
    case 'entity.parse.failed':
      return new ReplichatError('BAD_USER_INPUT', 'The request body is not valid JSON.');
  }
  const status = fieldOf(error, 'status');
  if (typeof status !== 'number' || status < 400 || status > 499) return undefined;
  return new ReplichatError('BAD_USER_INPUT', error instanceof Error ? error.message : 'Bad request.');
}

function statusOf(known: ReplichatError, error: unknown): number {
  if (known.code === 'PAYLOAD_TOO_LARGE') return 413;
  const status = fieldOf(error, 'status');
  return typeof status === 'number' ? status : 400;
}

function fieldOf(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
}
