import { graphql } from '../api/generated/gql.js';

export const TablesDocument = graphql(`
  query Tables($chatId: ID!) {
    chat(id: $chatId) {
      id
      replica {
        chatId
        tables {
          schema
          name
          kind
          comment
          rowEstimate
          sizeBytes
          columns {
            name
            type
            nullable
            default
            primaryKey
            comment
          }
          foreignKeys {
            name
            columns
            referencedSchema
            referencedTable
            referencedColumns
          }
        }
      }
    }
  }
`);
