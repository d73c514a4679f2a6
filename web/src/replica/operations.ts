import { graphql } from '../api/generated/gql.js';

export const ReplicationStatusFields = graphql(`
  fragment ReplicationStatusFields on ReplicationStatus {
    chatId
    sequence
    state
    step
    percent
    bytesReceived
    bytesRestored
    bytesTotal
    tablesDone
    tablesTotal
    indexesDone
    indexesTotal
    current
    etaSeconds
    warningCount
    warnings(last: 100) {
      ...IssueFields
    }
    error {
      ...IssueFields
    }
    at
  }
`);

export const IssueFields = graphql(`
  fragment IssueFields on RestoreIssue {
    code
    message
    line
    statement
    sqlstate
    object
    hint
    count
  }
`);

export const ReplicaFields = graphql(`
  fragment ReplicaFields on Replica {
    chatId
    queryable
    engine
    serverVersion
    sizeBytes
    createdAt
    lastUsedAt
    expiresAt
    status {
      ...ReplicationStatusFields
    }
  }
`);

export const WatchReplicationDocument = graphql(`
  subscription WatchReplication($chatId: ID!, $after: Int) {
    replicationStatus(chatId: $chatId, after: $after) {
      ...ReplicationStatusFields
    }
  }
`);

/** Its answer is as old as the upload's beginning: of the replica it may only say what is numbered. */
export const UploadReplicaDocument = graphql(`
  mutation UploadReplica($input: UploadReplicaInput!) {
    uploadReplica(input: $input) {
      chatId
      status {
        ...ReplicationStatusFields
      }
    }
  }
`);

export const CancelReplicationDocument = graphql(`
  mutation CancelReplication($chatId: ID!) {
    cancelReplication(chatId: $chatId) {
      ...ReplicaFields
    }
  }
`);

export const ResetReplicaDocument = graphql(`
  mutation ResetReplica($chatId: ID!) {
    resetReplica(chatId: $chatId) {
      ...ReplicaFields
    }
  }
`);

export const DeleteReplicaDocument = graphql(`
  mutation DeleteReplica($chatId: ID!) {
    deleteReplica(chatId: $chatId)
  }
`);

export const ReplicaCredentialsDocument = graphql(`
  query ReplicaCredentials($chatId: ID!) {
    credentials(chatId: $chatId, target: REPLICA) {
      uri
      password
    }
  }
`);
