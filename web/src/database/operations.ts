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
            enumValues
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

export const SchemaTextDocument = graphql(`
  query SchemaText($chatId: ID!) {
    chat(id: $chatId) {
      id
      replica {
        chatId
        schemaText
      }
    }
  }
`);
