import { registerEnumType } from 'type-graphql';

function enumOf<K extends string>(name: string, description: string, values: Record<K, string>): { [P in K]: P } {
  const names = Object.fromEntries(Object.keys(values).map((value) => [value, value])) as { [P in K]: P };
  const valuesConfig = Object.fromEntries(
    Object.entries<string>(values).map(([value, text]) => [value, { description: text }]),
  ) as Record<K, { description: string }>;
  registerEnumType(names, { name, description, valuesConfig });
  return names;
}

export const RoleEnum = enumOf('Role', 'Who a message is from.', {
  USER: 'A person, or whoever asks.',
  ASSISTANT: 'A language model, or whoever answers.',
});

export const ContentTypeEnum = enumOf(
  'ContentType',
  'The kind of a message; says which member of MessageContent it holds.',
  {
    TEXT: 'TextContent: words.',
    TABLE: 'TableContent: rows, usually the result of a query.',
    QUERY: 'QueryContent: an SQL statement.',
    IMAGE: 'ImageContent: a picture, for example a chart.',
  },
);

export const DbmsEnum = enumOf('Dbms', 'The database management system.', { POSTGRESQL: 'PostgreSQL.' });

export const EnvironmentEnum = enumOf(
  'Environment',
  'Where the source database runs. For people; nothing depends on it.',
  {
    LOCAL: "On the user's own machine or network.",
    CLOUD: 'With a hosting provider.',
  },
);

export const ReplicaStateEnum = enumOf('ReplicaState', 'Where a replication stands.', {
  QUEUED: 'Accepted; nothing has been started yet.',
  STARTING: 'A PostgreSQL server is being started; its image may have to be pulled first.',
  RESTORING: 'The dump is being restored, while it may still be arriving.',
  READY: 'The replica answers queries. Ends the replication.',
  FAILED: 'It could not be restored, or its server has died; `error` says why. Ends the replication.',
  CANCELLED: 'Ended by cancelReplication, deleteReplica or deleteChat. Ends the replication.',
  EXPIRED: 'The replica was not used for its time to live and is gone. Ends the replication.',
});

export const RestoreStepEnum = enumOf('RestoreStep', 'What a restore is at, in this order. A step never comes back.', {
  SCHEMA: 'Types, functions, tables, views.',
  DATA: 'Rows.',
  INDEXES: 'Indexes, primary keys and unique constraints.',
  CONSTRAINTS: 'Foreign keys, triggers, rules, policies, materialised views.',
  FINISHING: "The planner's statistics, and the copy that resetReplica goes back to.",
});

export const CredentialsTargetEnum = enumOf('CredentialsTarget', 'Whose credentials.', {
  SOURCE: 'Of the database that the chat is about, as they were given to createChat.',
  REPLICA: "Of the chat's replica, for PostgreSQL clients: `user` is role.chatId; the password goes with the replica.",
});

export const QueryAccessEnum = enumOf('QueryAccess', 'What a statement may do. PostgreSQL enforces it.', {
  READ_ONLY: 'Read: it runs in a read-only transaction.',
  READ_WRITE: 'Change data and schema of the replica; resetReplica undoes it.',
});

export const OnErrorEnum = enumOf('OnError', 'What a statement of the dump that fails means for the restore.', {
  STOP: 'The first that loses schema or data ends the restore: FAILED.',
  CONTINUE: 'It becomes a warning, and the restore goes on.',
});
