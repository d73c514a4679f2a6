import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Authenticator } from '../ports.js';
import { errorBody } from './error-responses.js';
import { isAllowedHost, isAllowedOrigin } from './http-guards.js';
import { type Admissible, SocketAdmission, TRY_AGAIN_LATER } from './socket-admission.js';
import { type OperationOptions, OperationRules, SocketOperations } from './socket-operations.js';

export interface WebSocketOptions extends OperationOptions {
  readonly authenticator: Authenticator;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly socketLimits: SocketLimits;
}

export interface SocketLimits {
  readonly all: number;
  readonly perUser: number;
  /** At a time, of one socket. */
  readonly operations: number;
  /** At a time, of all sockets of one user. */
  readonly operationsPerUser: number;
  /** Of a message that a client sends. */
  readonly messageBytes: number;
  /** What may wait for a client when more follows. */
  readonly backlogBytes: number;
}

const PATH = '/graphql';
const INIT_TIMEOUT_MS = 10_000;
const PING_MS = 15_000;
/** How long a client may take to answer the close of its socket. */
const CLOSE_MS = 2_000;

interface Extra extends Admissible {
  readonly operations: SocketOperations;
}

/** graphql-transport-ws on /graphql of this server. */
export function serveWebSockets(httpServer: Server, options: WebSocketOptions): { close(): Promise<void> } {
  const { messageBytes, all } = options.socketLimits;
  const webSockets = new WebSocketServer({ noServer: true, maxPayload: messageBytes, handleProtocols });
  const protocol = createProtocol(options);
  const rules = new OperationRules(options);
  webSockets.on('connection', (socket: WebSocket) => attach(socket, protocol, new SocketOperations(rules), options));
  httpServer.on('upgrade', (request, socket, head) => {
    const refusal = refusalOf(request, options) ?? (webSockets.clients.size >= all ? TOO_MANY : undefined);
    if (refusal) return refuseUpgrade(socket, refusal);
    webSockets.handleUpgrade(request, socket, head, (client) => webSockets.emit('connection', client, request));
  });
  return { close: () => closeAll(webSockets) };
}

interface Refusal {
  status: string;
  code: string;
  message: string;
}

const TOO_MANY: Refusal = {
  status: '503 Service Unavailable',
  code: 'QUOTA_EXCEEDED',
  message: 'The server has as many WebSockets as it may have (MAX_SOCKETS). Try again later.',
};

function refusalOf(request: IncomingMessage, { allowedHosts, allowedOrigins }: WebSocketOptions): Refusal | undefined {
  if (!isAllowedHost(request.headers.host, allowedHosts)) {
    return { status: '421 Misdirected Request', code: 'HOST_NOT_ALLOWED', message: 'Unknown host name.' };
  }
  if (!isAllowedOrigin(request, allowedOrigins)) {
    return { status: '403 Forbidden', code: 'ORIGIN_NOT_ALLOWED', message: 'Pages of this origin may not connect.' };
  }
  if (request.url?.split('?', 1)[0] !== PATH) {
    return { status: '404 Not Found', code: 'NOT_FOUND', message: `WebSockets are served on ${PATH}.` };
  }
  return undefined;
}

function refuseUpgrade(socket: Duplex, { status, code, message }: Refusal): void {
  const body = JSON.stringify(errorBody(code, message));
  socket.on('error', () => {});
  // Its client may never end its own half.
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

type Protocol = ReturnType<typeof createProtocol>;

function createProtocol({ authenticator, socketLimits }: WebSocketOptions) {
  const admission = new SocketAdmission(authenticator, socketLimits.perUser);
  return makeServer<undefined, Extra>({
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    onConnect: ({ connectionParams, extra }) => admission.admit(extra, connectionParams),
    // Nobody subscribes before he is admitted.
    onSubscribe: ({ extra }, id, payload) => extra.operations.prepare(id, payload, extra.owner as string),
    onOperation: ({ extra }, _id, payload, _args, result) => extra.operations.endQuietly(payload, result),
    onNext: ({ extra }, _id, payload, _args, { errors, ...result }) =>
      errors && { ...result, errors: extra.operations.present(payload, errors) },
    onError: ({ extra }, _id, payload, errors) => {
      const presented = extra.operations.present(payload, errors);
      extra.operations.finish(payload);
      return presented;
    },
    onComplete: ({ extra }, _id, payload) => extra.operations.finish(payload),
  });
}

function attach(socket: WebSocket, protocol: Protocol, operations: SocketOperations, options: WebSocketOptions): void {
  const { logger, socketLimits } = options;
  const stopPinging = keepAlive(socket);
  const gone = new AbortController();
  const dismiss = (code: number, reason: string) => {
    operations.abortAll();
    close(socket, code, reason);
  };
  // The goodbye waits behind all that the client has not read, and memory with it: close() gives it little time.
  const drop = () => {
    if (socket.readyState !== socket.OPEN) return;
    logger.warn({ bufferedAmount: socket.bufferedAmount }, 'a WebSocket client was dropped, as it does not keep up');
    dismiss(TRY_AGAIN_LATER, 'too slow: more waits for this client than may (MAX_SOCKET_BACKLOG_BYTES)');
  };
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      send: (data) => {
        if (socket.bufferedAmount > socketLimits.backlogBytes) drop();
        return send(socket, data);
      },
      close: (code, reason) => close(socket, code, reason),
      onMessage: (handle) => socket.on('message', (data) => receive(String(data), handle)),
    },
    { operations, owner: undefined, closed: gone.signal, dismiss },
  );
  const receive = async (text: string, handle: (text: string) => Promise<void>) => {
    // What arrives after our goodbye has not been asked by anybody who is still admitted.
    if (socket.readyState !== socket.OPEN) return;
    operations.abortCompleted(text);
    try {
      await handle(text);
    } catch (err) {
      if (socket.readyState !== socket.OPEN) return;
      logger.error({ err }, 'a WebSocket message could not be handled');
      close(socket, CloseCode.InternalServerError, 'Internal server error');
    }
  };
  socket.on('error', (err) => logger.debug({ err }, 'WebSocket failed'));
  socket.once('close', async (code, reason) => {
    stopPinging();
    gone.abort();
    operations.abortAll();
    await closed(code, String(reason));
    operations.finishAll();
  });
}

/** Of a client that has gone meanwhile, the close of its socket tells. */
function send(socket: WebSocket, data: string): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState !== socket.OPEN) return resolve();
    socket.send(data, () => resolve());
  });
}

/** Ends the socket of a client that has not answered a ping by the time of the next one. */
function keepAlive(socket: WebSocket): () => void {
  let alive = true;
  socket.on('pong', () => {
    alive = true;
  });
  const timer = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, PING_MS);
  return () => clearInterval(timer);
}

function close(socket: WebSocket, code: number | undefined, reason: string | undefined): void {
  socket.close(code, reason);
  setTimeout(() => socket.terminate(), CLOSE_MS).unref();
}

function closeAll(webSockets: WebSocketServer): Promise<void> {
  for (const client of webSockets.clients) close(client, 1001, 'Going away');
  return new Promise((resolve) => {
    webSockets.close(() => resolve());
  });
}
