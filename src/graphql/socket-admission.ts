import { CloseCode } from 'graphql-ws';
import { ReplichatError } from '../domain/errors.js';
import type { Authenticator } from '../ports.js';
import { Tally } from './tally.js';

/** A WebSocket as far as its admission is concerned. */
export interface Admissible {
  /** Whose it is, once it is admitted. */
  owner: string | undefined;
  /** Aborts when it is closed. */
  readonly closed: AbortSignal;
  /** Ends its operations and closes it. */
  dismiss(code: number, reason: string): void;
}

/** RFC 6455's registry: try again later. Clients of graphql-ws do. */
export const TRY_AGAIN_LATER = 1013;

/** What a timer of Node can wait for. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Lets a socket in for as long as its token is good. What a new token mends is closed with 4403, after which clients of
 * graphql-ws connect again; the rest with 4401, after which they give up.
 */
export class SocketAdmission {
  readonly #sockets: Tally;

  constructor(
    private readonly authenticator: Authenticator,
    private readonly socketsPerUser: number,
  ) {
    this.#sockets = new Tally(socketsPerUser);
  }

  async admit(socket: Admissible, connectionParams?: Readonly<Record<string, unknown>>): Promise<boolean> {
    try {
      const { owner, expiresAt } = await this.authenticator.identify(authorizationOf(connectionParams));
      if (!this.#count(socket, owner)) return false;
      socket.owner = owner;
      if (expiresAt) dismissAt(expiresAt, socket);
      return true;
    } catch (error) {
      if (!(error instanceof ReplichatError) || error.code !== 'UNAUTHENTICATED') throw error;
      socket.dismiss(error.facts.reason === 'EXPIRED' ? CloseCode.Forbidden : CloseCode.Unauthorized, error.message);
      return false;
    }
  }

  #count(socket: Admissible, owner: string): boolean {
    if (socket.closed.aborted) return false;
    const leave = this.#sockets.enter(owner);
    if (leave) socket.closed.addEventListener('abort', leave, { once: true });
    else socket.dismiss(TRY_AGAIN_LATER, `a user has at most ${this.socketsPerUser} sockets (MAX_SOCKETS_PER_USER)`);
    return leave !== undefined;
  }
}

/** Clients hand on their HTTP headers there, spelled as they please. */
function authorizationOf(connectionParams: Readonly<Record<string, unknown>> = {}): string | undefined {
  const { authorization = connectionParams.Authorization } = connectionParams;
  return typeof authorization === 'string' ? authorization : undefined;
}

function dismissAt(time: Date, socket: Admissible): void {
  if (socket.closed.aborted) return;
  const left = time.getTime() - Date.now();
  if (left <= 0) {
    socket.dismiss(CloseCode.Forbidden, 'the token has expired; connect again with a new one');
    return;
  }
  const timer = setTimeout(() => dismissAt(time, socket), Math.min(left, LONGEST_TIMER_MS));
  socket.closed.addEventListener('abort', () => clearTimeout(timer), { once: true });
}
