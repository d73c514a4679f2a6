import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer, type Server } from 'node:http';
import { expressMiddleware } from '@as-integrations/express5';
import cors from 'cors';
import express, { type Request, type RequestHandler, type Response } from 'express';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { Authenticator } from '../ports.js';
import { createApollo } from './apollo.js';
import { authenticate } from './authentication.js';
import { setBodyDeadline } from './body-deadline.js';
import { handleErrors, refuse } from './error-responses.js';
import { bodyTooLarge } from './errors.js';
import { createGraphiQL, type Example } from './graphiql.js';
import { isAllowedHost, isAllowedOrigin } from './http-guards.js';
import type { OperationReport } from './operation-report.js';
import type { QueryLimits } from './query-limits.js';
import { logRequests, type RequestScope } from './request-scope.js';
import { receiveUploads } from './uploads.js';
import { type SocketLimits, serveWebSockets } from './websocket.js';

export interface GraphQLServerOptions {
  schema: GraphQLSchema;
  /** Called for every operation. `signal` aborts when its client has gone, or unsubscribes. */
  context: (source: OperationSource) => object;
  /** Tells whom an operation comes from, on both transports. */
  authenticator: Authenticator;
  logger: Logger;
  /** Origins beyond the server's own and localhost whose pages may use the API, e.g. "https://studio.apollographql.com". */
  allowedOrigins: readonly string[];
  /** Host names beyond IP addresses and localhost by which the server may be reached. */
  allowedHosts: readonly string[];
  maxUploadBytes: number;
  /** Of a JSON body. */
  maxBodyBytes: number;
  /** How long the reader of an upload waits for the next byte. */
  uploadIdleMs: number;
  /** Per second, while its reader waits. */
  minUploadBytes: number;
  /** How long a body may take that nobody streams. */
  bodyTimeoutMs: number;
  queryLimits: QueryLimits;
  socketLimits: SocketLimits;
  /** Of any kind, at a time. */
  maxConnections: number;
  /** What /healthz tells beside `status`. */
  health: () => object;
  /** The first tabs of GraphiQL. */
  examples?: readonly Example[];
  /** Called for every operation that has ended. */
  onOperation?: (report: OperationReport) => void;
  /** What is put around every request, before all else. */
  around?: RequestHandler;
  /** What else the server serves, after the routes of its own. */
  routes?: RequestHandler;
}

export interface OperationSource {
  requestId: string;
  signal: AbortSignal;
  /** Whose chats it may see. */
  owner: string;
  /** Content-Length of an HTTP request. */
  requestBytes?: number;
}

export interface GraphQLServer {
  /** Not listening yet. */
  httpServer: Server;
  /** Ends subscriptions at once and requests in flight after a grace period. */
  close(): Promise<void>;
}

/** GraphQL over HTTP and WebSocket on /graphql, GraphiQL on /graphiql, and /healthz. */
export async function createGraphQLServer(options: GraphQLServerOptions): Promise<GraphQLServer> {
  const { schema, logger, queryLimits, onOperation = () => {} } = options;
  const scopes = new AsyncLocalStorage<RequestScope>();
  const app = express();
  // An upload may take hours: every body has a deadline of its own (body-deadline.ts, upload-stream.ts).
  const httpServer = createServer({ requestTimeout: 0 }, app).on('checkContinue', app);
  httpServer.maxConnections = options.maxConnections;
  const apollo = createApollo({ schema, queryLimits, httpServer, scopes, logger, onOperation });
  await apollo.start();

  app.disable('x-powered-by').disable('etag');
  app.use(logRequests(scopes, logger));
  if (options.around) app.use(options.around);
  app.use(guardRequests(options));
  app.get('/healthz', (_request, response) => void response.json({ status: 'ok', ...options.health() }));
  app.get('/graphql', redirectBrowsers);
  app.all(
    '/graphql',
    authenticate(options.authenticator, logger),
    receiveUploads(options),
    refuseLargeBodies(options.maxBodyBytes),
    express.json({ limit: options.maxBodyBytes }),
    expressMiddleware(apollo, {
      context: async ({ req, res }) => options.context(sourceOf(req, res)),
    }),
  );
  app.use('/graphiql', await createGraphiQL(options.examples ?? []));
  if (options.routes) app.use(options.routes);
  app.use((request, response) => refuse(response, 404, 'NOT_FOUND', `There is nothing at ${request.path}.`));
  app.use(handleErrors(logger, options.maxBodyBytes));

  const webSockets = serveWebSockets(httpServer, { ...options, onOperation });
  const close = async () => {
    await webSockets.close();
    await apollo.stop();
  };
  return { httpServer, close };
}

function guardRequests({ allowedHosts, allowedOrigins, bodyTimeoutMs }: GraphQLServerOptions): RequestHandler[] {
  return [
    (request, response, next) => {
      response.locals.bodyDeadline = setBodyDeadline(request, response, bodyTimeoutMs);
      response.setHeader('x-content-type-options', 'nosniff');
      if (isAllowedHost(request.headers.host, allowedHosts)) return next();
      refuse(response, 421, 'HOST_NOT_ALLOWED', HOST_REFUSAL);
    },
    cors((request, callback) => {
      const origin = isAllowedOrigin(request, allowedOrigins);
      callback(null, { origin, methods: ['GET', 'POST'], exposedHeaders: ['x-request-id'], maxAge: 86_400 });
    }),
  ];
}

const HOST_REFUSAL = 'The server does not answer to this host name. Use localhost, an IP address, or an allowed name.';

/** People who open the endpoint want to look around. */
const redirectBrowsers: RequestHandler = (request, response, next) => {
  if ('query' in request.query || !prefersHtml(request)) return next();
  response.redirect('/graphiql');
};

function prefersHtml(request: Request): boolean {
  return request.accepts(['application/json', 'application/graphql-response+json', 'text/html']) === 'text/html';
}

/** At once; the parser would read all of it first. */
function refuseLargeBodies(maxBodyBytes: number): RequestHandler {
  return (request, _response, next) => {
    const length = Number(request.headers['content-length'] ?? 0);
    if (request.body === undefined && length > maxBodyBytes) throw bodyTooLarge(maxBodyBytes);
    next();
  };
}

function sourceOf(request: Request, response: Response): OperationSource {
  const scope: RequestScope = response.locals.scope;
  const length = request.headers['content-length'];
  const source = { requestId: scope.requestId, signal: signalOf(response), owner: response.locals.owner };
  return length === undefined ? source : { ...source, requestBytes: Number(length) };
}

function signalOf(response: Response): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}
