import { useQuery } from '@apollo/client/react';
import type { TablesQuery } from '../api/generated/graphql.js';
import type { Chat } from '../chat/operations.js';
import { TablesDocument } from './operations.js';

export type Table = NonNullable<NonNullable<TablesQuery['chat']>['replica']>['tables'][number];

const NONE: readonly Table[] = [];

export function useTables(chat: Chat) {
  const { data, error } = useQuery(TablesDocument, {
    variables: { chatId: chat.id },
    skip: !chat.replica?.queryable,
    // Asking counts as a use of the replica, which keeps it from expiring.
    fetchPolicy: 'cache-first',
  });
  return { tables: data?.chat?.replica?.tables ?? NONE, error };
}
