import type { Server } from 'node:http';
import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer';
import { GraphQLError, type GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import { presentError } from './errors.js';
import type { OperationReport } from './operation-report.js';
import { costError, documentRules, type QueryLimits } from './query-limits.js';
import type { RequestScopes } from './request-scope.js';

/** How long a request in flight may go on after close(). */
const DRAIN_MS = 10_000;

export interface ApolloOptions {
  schema: GraphQLSchema;
  queryLimits: QueryLimits;
  httpServer: Server;
  scopes: RequestScopes;
  logger: Logger;
  onOperation: (report: OperationReport) => void;
}

export function createApollo({
  schema,
  queryLimits,
  httpServer,
  scopes,
  logger,
  onOperation,
}: ApolloOptions): ApolloServer {
  return new ApolloServer({
    schema,
    logger,
    parseOptions: { maxTokens: queryLimits.tokens },
    validationRules: documentRules(queryLimits),
    introspection: true,
    csrfPrevention: true,
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    formatError: (_formatted, error) =>
      presentError(error, logger, scopes.getStore()?.requestId ?? 'unknown', queryLimits.hints),
    plugins: [
      ApolloServerPluginDrainHttpServer({ httpServer, stopGracePeriodMillis: DRAIN_MS }),
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      operations(scopes, queryLimits),
      reporting(onOperation),
      statusOfRequestErrors,
    ],
  });
}

/** Notes the operation's name for the request log, sends subscriptions to where they are served, refuses what costs too much. */
function operations(scopes: RequestScopes, { cost }: QueryLimits): ApolloServerPlugin {
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ schema, document, operation, operationName, request: { variables } }) => {
        const scope = scopes.getStore();
        if (scope && operationName) scope.operationName = operationName;
        if (operation?.operation === 'subscription') throw subscriptionOverHttp();
        const tooMuch = costError({ schema, document, operationName, variables }, cost);
        if (tooMuch) throw tooMuch;
      },
    }),
  };
}

function reporting(report: (report: OperationReport) => void): ApolloServerPlugin {
  return {
    requestDidStart: async () => {
      const startedAt = performance.now();
      return {
        willSendResponse: async ({ operation, operationName, response: { body } }) => {
          const failed = body.kind === 'single' && body.singleResult.errors !== undefined;
          const seconds = (performance.now() - startedAt) / 1000;
          const name = operationName ?? undefined;
          report({ transport: 'http', type: operation?.operation, name, failed, seconds });
        },
      };
    },
  };
}

function subscriptionOverHttp(): GraphQLError {
  return new GraphQLError('Subscriptions are served over WebSocket (graphql-transport-ws) on the same path.', {
    extensions: { code: 'BAD_USER_INPUT', http: { status: 400 } },
  });
}

const REQUEST_ERRORS: unknown[] = [
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_USER_INPUT',
];

/**
 * GraphQL over HTTP, 6.4.1: to a client that has not asked for application/graphql-response+json, a well-formed
 * request is answered with 200 even if its document or variables are wrong. Apollo answers with 400 to both.
 */
const statusOfRequestErrors: ApolloServerPlugin = {
  requestDidStart: async () => ({
    willSendResponse: async ({ request, response, source }) => {
      if (source === undefined || response.http.status !== 400 || response.body.kind !== 'single') return;
      if (request.http?.headers.get('accept')?.includes('application/graphql-response+json')) return;
      const { errors } = response.body.singleResult;
      if (errors?.every((error) => REQUEST_ERRORS.includes(error.extensions?.code))) response.http.status = 200;
    },
  }),
};
