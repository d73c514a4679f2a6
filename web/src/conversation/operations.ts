import { graphql } from '../api/generated/gql.js';

export const MessageFields = graphql(`
  fragment MessageFields on Message {
    id
    role
    createdAt
    content {
      __typename
      ... on TextContent {
        text
      }
      ... on QueryContent {
        sql
      }
      ... on TableContent {
        columns
        rows
        rowCount
        truncated
      }
      ... on ImageContent {
        url
        alt
      }
    }
  }
`);

export const MessagesDocument = graphql(`
  query Messages($chatId: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    chat(id: $chatId) {
      id
      messages(first: $first, after: $after, last: $last, before: $before) {
        edges {
          cursor
          node {
            ...MessageFields
          }
        }
        pageInfo {
          startCursor
          endCursor
          hasPreviousPage
          hasNextPage
        }
      }
    }
  }
`);

export const MessageAddedDocument = graphql(`
  subscription MessageAdded($chatId: ID!) {
    messageAdded(chatId: $chatId) {
      id
    }
  }
`);

export const PostMessageDocument = graphql(`
  mutation PostMessage($input: PostMessageInput!) {
    postMessage(input: $input) {
      id
    }
  }
`);

export const RunQueryDocument = graphql(`
  mutation RunQuery($input: RunQueryInput!) {
    runQuery(input: $input) {
      columns
      columnTypes
      rows
      rowCount
      truncated
      durationMs
      messages {
        id
      }
    }
  }
`);
