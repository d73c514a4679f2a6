import type { AsyncLocalStorage } from 'node:async_hooks';
import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import { newId } from '../domain/ids.js';

/** What is known of an HTTP request wherever it is being worked on. */
export interface RequestScope {
  readonly requestId: string;
  operationName?: string;
}

export type RequestScopes = AsyncLocalStorage<RequestScope>;

/** Gives every request an id, and logs it when it is done. Never its query, variables, body or headers. */
export function logRequests(scopes: RequestScopes, logger: Logger): RequestHandler {
  return (request, response, next) => {
    const scope: RequestScope = { requestId: newId() };
    const { method, path } = request;
    const startedAt = performance.now();
    response.locals.scope = scope;
    response.setHeader('x-request-id', scope.requestId);
    response.once('close', () => {
      const ms = Math.round(performance.now() - startedAt);
      const { statusCode: status, writableFinished } = response;
      const level = isChatter(path) ? 'debug' : 'info';
      logger[level]({ ...scope, method, path, status, ms, ...(!writableFinished && { aborted: true }) }, 'request');
    });
    scopes.run(scope, next);
  };
}

/** Probes and assets, which would bury the rest. */
function isChatter(path: string): boolean {
  return ['/healthz', '/readyz', '/metrics'].includes(path) || path.startsWith('/graphiql/');
}
