import { graphql } from '../api/generated/gql.js';
import type { ChatQuery } from '../api/generated/graphql.js';

export type Chat = NonNullable<ChatQuery['chat']>;

export const ChatDocument = graphql(`
  query Chat($id: ID!) {
    chat(id: $id) {
      id
      name
      host
      port
      user
      database
      createdAt
      replica {
        ...ReplicaFields
      }
    }
  }
`);

export const RenameChatDocument = graphql(`
  mutation RenameChat($chatId: ID!, $name: String!) {
    updateChat(input: { chatId: $chatId, name: $name }) {
      id
      name
    }
  }
`);

export const DeleteChatDocument = graphql(`
  mutation DeleteChat($id: ID!) {
    deleteChat(id: $id)
  }
`);
