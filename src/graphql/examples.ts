import type { Example } from './graphiql.js';

/** The first tabs of GraphiQL: a whole first session. */
export const EXAMPLES: readonly Example[] = [
  {
    query: `# 1. A chat is about one PostgreSQL database. Nothing connects to it: a replica is made from your dump.
mutation CreateChat {
  createChat(
    input: { name: "My shop", host: "db.example.com", user: "shop", password: "secret", database: "shop" }
  ) {
    id
    name
  }
}
`,
  },
  {
    query: `# 2. Choose a dump with the file picker above, put the chat's id into the variables, and run.
mutation UploadReplica($chatId: ID!, $file: Upload!) {
  uploadReplica(input: { chatId: $chatId, file: $file }) {
    engine
    status {
      state
    }
  }
}
`,
    variables: '{ "chatId": "", "file": null }',
  },
  {
    query: `# 3. Watch it become a replica.
subscription Watch($chatId: ID!) {
  replicationStatus(chatId: $chatId) {
    state
    step
    percent
    current
    tablesDone
    tablesTotal
    warnings {
      message
    }
    error {
      message
      line
      hint
    }
  }
}
`,
    variables: '{ "chatId": "" }',
  },
  {
    query: `# 4. Ask it something.
mutation Ask($chatId: ID!) {
  runQuery(input: { chatId: $chatId, sql: "select current_database(), version()" }) {
    columns
    rows
    durationMs
  }
}
`,
    variables: '{ "chatId": "" }',
  },
];
