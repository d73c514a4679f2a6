import { ApolloClient, ApolloLink } from '@apollo/client';
import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs';
import { OperationTypeNode } from 'graphql';
import { createCache } from './cache.js';
import { socket } from './socket.js';
import { credentials, tokenWanted } from './token.js';

/** Subscriptions over WebSocket, all else over HTTP, files as multipart requests. */
export function createApolloClient(): ApolloClient {
  const http = new SetContextLink(({ headers }) => ({ headers: { ...headers, ...credentials() } })).concat(
    // The server's guard against forged requests wants a header that no form can send.
    new UploadHttpLink({ uri: '/graphql', headers: { 'apollo-require-preflight': 'true' } }),
  );
  const transport = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    http,
  );
  return new ApolloClient({
    link: askWhoItIs.concat(transport),
    cache: createCache(),
    defaultOptions: { watchQuery: { fetchPolicy: 'cache-and-network' } },
  });
}

const askWhoItIs = new ErrorLink(({ error }) => {
  const isRefused = ServerError.is(error)
    ? error.statusCode === 401
    : CombinedGraphQLErrors.is(error) && error.errors.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED');
  if (isRefused) tokenWanted(true);
});
