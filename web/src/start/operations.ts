import { graphql } from '../api/generated/gql.js';

export const CreateChatDocument = graphql(`
  mutation CreateChat($input: CreateChatInput!) {
    createChat(input: $input) {
      id
      name
      replica {
        chatId
      }
    }
  }
`);
