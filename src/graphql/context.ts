import type { Logger } from 'pino';
import type { ChatService } from '../services/chats.js';
import type { QueryService } from '../services/queries.js';
import type { ReplicaService } from '../services/replicas.js';
import type { Rates } from './rates.js';

/** What a resolver works with; the same for HTTP and WebSocket. */
export interface Context {
  readonly chats: ChatService;
  readonly replicas: ReplicaService;
  readonly queries: QueryService;
  /** Who asks: the chats of this owner, and no others, exist here. */
  readonly owner: string;
  readonly rates: Rates;
  readonly logger: Logger;
  /** Logs what somebody may be called to account for, whatever LOG_LEVEL is. Never with a secret. */
  readonly audit: (event: string, facts: Readonly<Record<string, string>>) => void;
  /** Aborts when the operation's client has gone or has unsubscribed. */
  readonly signal: AbortSignal;
  /** Content-Length of an HTTP request. */
  readonly requestBytes: number | undefined;
}
