import type { IncomingMessage, ServerResponse } from 'node:http';

/** The time within which a request's body has to have arrived. */
export interface BodyDeadline {
  /** The body may take as long as it takes: somebody reads it, and watches over it. */
  stop(): void;
  restart(): void;
}

/**
 * Ends the connection of a client that takes longer than `ms` for its body. In the place of node's requestTimeout,
 * which knows no difference between a dawdling client and a large upload.
 */
export function setBodyDeadline(request: IncomingMessage, response: ServerResponse, ms: number): BodyDeadline {
  let timer: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(timer);
  const restart = () => {
    stop();
    if (request.complete || request.destroyed) return;
    timer = setTimeout(() => hangUp(request, response), ms).unref();
  };
  request.once('close', stop);
  restart();
  return { stop, restart };
}

function hangUp(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete) return;
  if (!response.headersSent || response.writableFinished) request.socket.destroy();
  else response.end(() => request.socket.destroySoon());
}
