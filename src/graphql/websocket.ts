import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';
import {
  CloseCode,
  type Context,
  handleProtocols,
  MessageType,
  makeServer,
  type OperationResult,
  parseMessage,
  type SubscribePayload,
} from 'graphql-ws';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import { ReplichatError } from '../domain/errors.js';
import { newId } from '../domain/ids.js';
import type { Authenticator } from '../ports.js';
import { parseOptions } from './apollo.js';
import { errorBody } from './error-responses.js';
import { presentError } from './errors.js';
import { isAllowedHost, isAllowedOrigin } from './http-guards.js';
import { type Admissible, admit } from './socket-admission.js';

export interface WebSocketOptions {
  schema: GraphQLSchema;
  context: (source: { requestId: string; signal: AbortSignal; owner: string }) => object;
  authenticator: Authenticator;
  logger: Logger;
  allowedOrigins: readonly string[];
  allowedHosts: readonly string[];
  validationRules?: readonly ValidationRule[];
  maxMessageBytes?: number;
}

const PATH = '/graphql';
const INIT_TIMEOUT_MS = 10_000;
const PING_MS = 15_000;
/** How long a client may take to answer the close of its socket. */
const CLOSE_MS = 2_000;
const MAX_OPERATIONS = 100;

/** An operation from its subscribe message until it is complete. */
interface Operation {
  readonly id: string;
  readonly requestId: string;
  readonly startedAt: number;
  readonly abort: AbortController;
}

/** By their messages: an id may be used again as soon as its operation has been completed by the client. */
type Operations = Map<SubscribePayload, Operation>;
interface Extra extends Admissible {
  readonly operations: Operations;
}
type Connection = Context<undefined, Extra>;

/** graphql-transport-ws on /graphql of this server. */
export function serveWebSockets(httpServer: Server, options: WebSocketOptions): { close(): Promise<void> } {
  const { logger, maxMessageBytes = 64 * 1024 } = options;
  const webSockets = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, handleProtocols });
  const graphql = createProtocol(options);
  webSockets.on('connection', (socket: WebSocket) => attach(socket, graphql, logger));
  httpServer.on('upgrade', (request, socket, head) => {
    const refusal = refusalOf(request, options);
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
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

type Protocol = ReturnType<typeof createProtocol>;

function createProtocol(options: WebSocketOptions) {
  const { logger } = options;
  const present = (connection: Connection, payload: SubscribePayload, errors: readonly GraphQLError[]) => {
    const requestId = connection.extra.operations.get(payload)?.requestId ?? newId();
    return errors.map((error) => presentError(error, logger, requestId));
  };
  return makeServer<undefined, Extra>({
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    onConnect: ({ connectionParams, extra }) => admit(extra, connectionParams, options.authenticator),
    onSubscribe: ({ extra }, id, payload) => prepare(extra, id, payload, options),
    onOperation: ({ extra }, _id, payload, _args, result) => endQuietly(result, extra.operations.get(payload)),
    onNext: (connection, _id, payload, _args, { errors, ...result }) =>
      errors && { ...result, errors: present(connection, payload, errors) },
    onError: (connection, _id, payload, errors) => {
      const presented = present(connection, payload, errors);
      finish(connection.extra.operations, payload, logger);
      return presented;
    },
    onComplete: ({ extra }, _id, payload) => finish(extra.operations, payload, logger),
  });
}

/** The arguments of the execution, or what is wrong with the request. */
function prepare(
  { operations, owner = '' }: Extra,
  id: string,
  payload: SubscribePayload,
  { schema, context, validationRules = [] }: WebSocketOptions,
): ExecutionArgs | readonly GraphQLError[] {
  const { query, operationName, variables: variableValues } = payload;
  const operation = { id, requestId: newId(), startedAt: performance.now(), abort: new AbortController() };
  operations.set(payload, operation);
  if (operations.size > MAX_OPERATIONS) return [tooManyOperations()];
  try {
    const document = parse(query, parseOptions);
    const errors = validate(schema, document, [...specifiedRules, ...validationRules]);
    if (errors.length > 0) return errors;
    const contextValue = context({ requestId: operation.requestId, signal: operation.abort.signal, owner });
    return { schema, document, contextValue, operationName, variableValues };
  } catch (error) {
    return [error instanceof GraphQLError ? error : new GraphQLError('', { originalError: asError(error) })];
  }
}

function tooManyOperations(): GraphQLError {
  const message = `One connection runs at most ${MAX_OPERATIONS} operations at a time: complete some, or open another.`;
  return new GraphQLError(message, { originalError: new ReplichatError('QUOTA_EXCEEDED', message) });
}

/** A source that was told to stop often says so by throwing; its client has left and is told nothing. */
function endQuietly(result: OperationResult, operation: Operation | undefined): OperationResult {
  if (!operation || !isResultStream(result)) return result;
  const results = result[Symbol.asyncIterator]();
  const ended: IteratorResult<ExecutionResult> = { done: true, value: undefined };
  const quiet: AsyncIterableIterator<ExecutionResult> = {
    next: () =>
      results.next().catch((error: unknown) => {
        if (operation.abort.signal.aborted) return ended;
        throw error;
      }),
    return: async () => (await results.return?.(undefined)) ?? ended,
    [Symbol.asyncIterator]: () => quiet,
  };
  return quiet;
}

function isResultStream(result: OperationResult): result is AsyncGenerator<ExecutionResult> {
  return Symbol.asyncIterator in result;
}

function finish(operations: Operations, payload: SubscribePayload, logger: Logger): void {
  const operation = operations.get(payload);
  if (!operation) return;
  operations.delete(payload);
  operation.abort.abort();
  const { requestId, startedAt } = operation;
  const ms = Math.round(performance.now() - startedAt);
  logger.info(
    { requestId, method: 'WS', path: PATH, operationName: payload.operationName ?? undefined, ms },
    'request',
  );
}

function attach(socket: WebSocket, protocol: Protocol, logger: Logger): void {
  const operations: Operations = new Map();
  const stopPinging = keepAlive(socket);
  const gone = new AbortController();
  const dismiss = (code: number, reason: string) => {
    for (const { abort } of operations.values()) abort.abort();
    close(socket, code, reason);
  };
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      send: (data) => send(socket, data),
      close: (code, reason) => close(socket, code, reason),
      onMessage: (handle) => socket.on('message', (data) => receive(String(data), handle)),
    },
    { operations, owner: undefined, closed: gone.signal, dismiss },
  );
  const receive = async (text: string, handle: (text: string) => Promise<void>) => {
    // What arrives after our goodbye has not been asked by anybody who is still admitted.
    if (socket.readyState !== socket.OPEN) return;
    abortCompleted(text, operations);
    try {
      await handle(text);
    } catch (err) {
      logger.error({ err }, 'a WebSocket message could not be handled');
      close(socket, CloseCode.InternalServerError, 'Internal server error');
    }
  };
  socket.on('error', (err) => logger.debug({ err }, 'WebSocket failed'));
  socket.once('close', async (code, reason) => {
    stopPinging();
    gone.abort();
    for (const { abort } of operations.values()) abort.abort();
    await closed(code, String(reason));
  });
}

/** graphql-ws only asks the generator to return, which it does not before the promise that it awaits is settled. */
function abortCompleted(text: string, operations: Operations): void {
  const id = completedId(text);
  for (const operation of operations.values()) {
    if (operation.id === id) operation.abort.abort();
  }
}

function completedId(text: string): string | undefined {
  try {
    const message = parseMessage(text);
    return message.type === MessageType.Complete ? message.id : undefined;
  } catch {
    return undefined; // graphql-ws closes the socket for it.
  }
}

function send(socket: WebSocket, data: string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.readyState !== socket.OPEN) return resolve();
    socket.send(data, (error) => (error ? reject(error) : resolve()));
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

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
