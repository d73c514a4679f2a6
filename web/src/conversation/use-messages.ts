import { useApolloClient, useQuery, useSubscription } from '@apollo/client/react';
import { useMemo, useRef } from 'react';
import { useOnReconnect } from '../api/occasions.js';
import { refresh } from '../api/refresh.js';
import { ChatDocument } from '../chat/operations.js';
import { MessageAddedDocument, MessagesDocument } from './operations.js';

const PAGE = 20;
const CATCH_UP = 100;

/**
 * The newest messages, those before them on demand, and those that are added. An event only says that there is
 * something new: it is asked for by the last cursor, so that nothing is missed or doubled whatever the connection does.
 */
export function useMessages(chatId: string) {
  const { data, error, loading, fetchMore, observable } = useQuery(MessagesDocument, {
    variables: { chatId, last: PAGE },
  });
  const client = useApolloClient();
  const queue = useRef<Promise<unknown>>(Promise.resolve());
  const inTurn = (load: () => Promise<unknown>) => {
    queue.current = queue.current.then(load).catch(() => {});
    return queue.current;
  };
  const pageInfo = () => observable.getCurrentResult().data?.chat?.messages?.pageInfo;

  const catchUp = () =>
    inTurn(async () => {
      do await fetchMore({ variables: { first: CATCH_UP, after: pageInfo()?.endCursor || null, last: null } });
      while (pageInfo()?.hasNextPage);
    });
  const loadingOlder = useRef(false);
  const loadOlder = async () => {
    if (loadingOlder.current) return;
    loadingOlder.current = true;
    await inTurn(async () => {
      const { startCursor, hasPreviousPage } = pageInfo() ?? {};
      if (hasPreviousPage) await fetchMore({ variables: { last: PAGE, before: startCursor } });
    });
    loadingOlder.current = false;
  };

  useSubscription(MessageAddedDocument, {
    variables: { chatId },
    ignoreResults: true,
    onData: () => void catchUp(),
    // With the chat, as a rule.
    onComplete: () => void refresh(client, ChatDocument, { id: chatId }),
    onError: () => void refresh(client, ChatDocument, { id: chatId }),
  });
  useOnReconnect(catchUp);

  const { edges, pageInfo: page } = data?.chat?.messages ?? {};
  const messages = useMemo(() => edges?.map(({ node }) => node) ?? [], [edges]);
  return {
    messages,
    hasOlder: page?.hasPreviousPage ?? false,
    loadOlder,
    loading: loading && !edges,
    error,
  };
}

export type Message = ReturnType<typeof useMessages>['messages'][number];
