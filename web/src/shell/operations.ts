import { graphql } from '../api/generated/gql.js';

export const ChatsDocument = graphql(`
  query Chats($after: String) {
    chats(first: 50, after: $after) {
      edges {
        cursor
        node {
          id
          name
          replica {
            chatId
            status {
              chatId
              sequence
              state
            }
          }
        }
      }
      pageInfo {
        endCursor
        hasNextPage
      }
    }
  }
`);
