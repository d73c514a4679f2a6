import { InMemoryCache } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';

/** A chat has one replica and one status at a time, which every answer and every event updates in place. */
export function createCache(): InMemoryCache {
  return new InMemoryCache({
    possibleTypes: { MessageContent: ['TextContent', 'QueryContent', 'TableContent', 'ImageContent'] },
    typePolicies: {
      Query: { fields: { chats: relayStylePagination() } },
      Chat: { fields: { messages: relayStylePagination() } },
      Replica: { keyFields: ['chatId'], fields: { tables: { merge: false } } },
      ReplicationStatus: {
        keyFields: ['chatId'],
        fields: { warnings: { keyArgs: false, merge: false } },
        // An answer may be overtaken by an event.
        merge: (existing, incoming, { readField, mergeObjects }) => {
          const known = readField<number>('sequence', existing) ?? 0;
          return known > (readField<number>('sequence', incoming) ?? 0) ? existing : mergeObjects(existing, incoming);
        },
      },
    },
  });
}
