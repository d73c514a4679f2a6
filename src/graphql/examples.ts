import type { Example } from './graphiql.js';

/** The first tabs of GraphiQL: a whole first session. Lines are as short as an editor is narrow. */
export const EXAMPLES: readonly Example[] = [
  {
    query: `# 1. A chat is about one PostgreSQL database.
#    Nothing connects to that one: a replica
#    is made from a dump of it.
mutation CreateChat {
  createChat(input: {
    name: "Library"
    host: "db.example.com"
    user: "librarian"
    password: "secret"
    database: "library"
  }) {
    id
    name
  }
}
`,
  },
  {
    query: `# 2. Choose a dump at the top of the page,
#    for example examples/library.sql: plain,
#    .gz, .zst, or an archive of pg_dump.
mutation UploadReplica(
  $chatId: ID!
  $file: Upload!
) {
  uploadReplica(input: {
    chatId: $chatId
    file: $file
  }) {
    engine
    status {
      state
    }
  }
}
`,
    variables: '{\n  "chatId": "",\n  "file": ""\n}',
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
    variables: '{\n  "chatId": ""\n}',
  },
  {
    query: `# 4. Ask it something.
mutation Ask($chatId: ID!) {
  runQuery(input: {
    chatId: $chatId
    sql: """
      SELECT relname AS name, reltuples AS rows
      FROM pg_class
      WHERE relkind = 'r' AND reltuples > 0
        AND relname NOT LIKE 'pg_%'
      ORDER BY reltuples DESC
      LIMIT 5
    """
  }) {
    columns
    rows
    durationMs
  }
}
`,
    variables: '{\n  "chatId": ""\n}',
  },
];
