import type { ApolloClient, OperationVariables, TypedDocumentNode } from '@apollo/client';

const onTheirWay = new Map<string, { again: boolean }>();

/**
 * Asks the server anew, and the page shows what it says. An answer that is on its way already may be older than what has
 * just happened: then once more after it.
 */
export async function refresh<Data, Variables extends OperationVariables>(
  client: ApolloClient,
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<void> {
  const key = JSON.stringify([query.loc?.source.body ?? query.definitions, variables]);
  const running = onTheirWay.get(key);
  if (running) {
    running.again = true;
    return;
  }
  const request = { again: true };
  onTheirWay.set(key, request);
  while (request.again) {
    request.again = false;
    const context = { queryDeduplication: false };
    const options = { query, variables, fetchPolicy: 'network-only', context } as ApolloClient.QueryOptions<
      Data,
      Variables
    >;
    // Whoever watches the query is told of its errors, and what is lost is asked for again when it is found.
    await client.query(options).catch(() => {});
  }
  onTheirWay.delete(key);
}
