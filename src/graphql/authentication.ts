import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import { ReplichatError } from '../domain/errors.js';
import type { Authenticator } from '../ports.js';
import { presentError } from './errors.js';
import type { RequestScope } from './request-scope.js';

/** Before anything of the body is read: a client that waits for 100-continue sends it to nobody who may not. */
export function authenticate(authenticator: Authenticator, logger: Logger): RequestHandler {
  return async (request, response, next) => {
    try {
      const { owner } = await authenticator.identify(request.headers.authorization);
      response.locals.owner = owner;
    } catch (error) {
      if (!(error instanceof ReplichatError) || error.code !== 'UNAUTHENTICATED') throw error;
      const scope: RequestScope = response.locals.scope;
      response.status(401).set('www-authenticate', challenge(error));
      return void response.json({ errors: [presentError(error, logger, scope.requestId)] });
    }
    if (request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue();
    next();
  };
}

/** RFC 6750, 3: why a token was refused, but to a client that has sent none. */
function challenge({ facts }: ReplichatError): string {
  return facts.reason === 'MISSING' ? 'Bearer realm="replichat"' : 'Bearer realm="replichat", error="invalid_token"';
}
