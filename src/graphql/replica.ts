import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';
import { type FileUpload, GraphQLUpload } from 'graphql-upload-ts';
import { Arg, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import type * as domain from '../domain/replica.js';
import type { Context } from './context.js';
import { OnErrorEnum } from './enums.js';
import { Spends } from './rates.js';
import { ReplicationStatus } from './replication-status.js';
import { Table } from './table.js';

@ObjectType({ description: "A chat's private, disposable copy of its database." })
export class Replica {
  @Field(() => ID, { description: 'The chat that it belongs to.' })
  chatId!: string;

  @Field(() => ReplicationStatus, {
    description: 'The latest replication. While it runs, and when it fails, an earlier READY replica stays in use.',
  })
  status!: ReplicationStatus;

  @Field({ description: 'What runs it: "docker" or "embedded".' })
  engine!: string;

  @Field(() => String, { nullable: true, description: "PostgreSQL's version; null before the first READY." })
  serverVersion!: string | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'Bytes on disk after the restore; null before the first READY.',
  })
  sizeBytes!: number | null;

  @Field(() => GraphQLDateTime, { description: 'When the upload was accepted.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, {
    description: 'When it was last used: a query, or bytes between a PostgreSQL client and it.',
  })
  lastUsedAt!: Date;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it goes unless it is used; null for never.' })
  expiresAt!: Date | null;
}

export function toReplica(replica: domain.Replica): Replica {
  return replica as unknown as Replica;
}

@InputType({ description: 'A dump to make a replica from.' })
class UploadReplicaInput {
  @Field(() => ID, { description: 'The chat.' })
  chatId!: string;

  @Field(() => GraphQLUpload as never, {
    description:
      'A plain dump of pg_dump or an SQL script, also in gzip or zstd, or, on engine docker, an archive of pg_dump in ' +
      'custom or tar format, by the GraphQL multipart request specification. At most MAX_UPLOAD_BYTES, and ' +
      'MAX_UNPACKED_BYTES when it is unpacked.',
  })
  file!: Promise<FileUpload>;

  @Field(() => OnErrorEnum, { defaultValue: 'STOP', description: 'What a statement that fails means.' })
  onError!: 'STOP' | 'CONTINUE';

  @Field(() => Int, {
    nullable: true,
    description:
      "Seconds after its last use until the replica goes, at least 1; null: the server's default (REPLICA_TTL).",
  })
  ttlSeconds?: number | null;
}

@Resolver(() => Replica)
export class ReplicaResolver {
  @Spends('queries')
  @FieldResolver(() => [Table], {
    description: 'Its tables, partitioned tables, views and materialised views. Errors: REPLICA_NOT_READY.',
  })
  tables(
    @Root() replica: domain.Replica,
    @Arg('search', () => String, {
      nullable: true,
      description: 'Only those with this in a name or comment of theirs or of a column; case does not matter.',
    })
    search: string | null,
    @Ctx() { queries, owner, signal }: Context,
  ): Promise<Table[]> {
    return queries.tables(owner, replica.chatId, search ?? null, signal) as unknown as Promise<Table[]>;
  }

  @Spends('queries')
  @FieldResolver(() => String, {
    description:
      'The same as text for a prompt, much like DDL: tables and views with columns, types, keys, enum values, comments and ' +
      'estimates of rows. What is longer than `maxChars` loses detail, the least important tables first, and ends with ' +
      'what was left out. Errors: REPLICA_NOT_READY, BAD_USER_INPUT.',
  })
  schemaText(
    @Root() replica: domain.Replica,
    @Arg('maxChars', () => Int, {
      defaultValue: 16_000,
      description: 'Characters at most, 1000 to 1000000; a token of a language model is about four.',
    })
    maxChars: number,
    @Arg('search', () => String, { nullable: true, description: 'As in `tables`.' }) search: string | null,
    @Ctx() { queries, owner, signal }: Context,
  ): Promise<string> {
    return queries.schemaText(owner, replica.chatId, { maxChars, search: search ?? null }, signal);
  }

  @FieldResolver(() => Boolean, {
    description:
      'Whether it can be queried now. The state alone does not say it: while a newer dump is RESTORING, and when that has ' +
      'FAILED, the earlier replica answers.',
  })
  queryable(@Root() { server }: domain.Replica): boolean {
    return server !== null;
  }

  @Spends('uploads')
  @Mutation(() => Replica, {
    description:
      'Makes a replica from a dump. Answers as soon as the file is accepted, while it may still be arriving; progress ' +
      'comes by Subscription.replicationStatus. An earlier READY replica stays in use until the new one is READY. ' +
      'Errors: NOT_FOUND, CONFLICT, UNSUPPORTED_DUMP, PAYLOAD_TOO_LARGE, QUOTA_EXCEEDED, ENGINE_UNAVAILABLE.',
  })
  async uploadReplica(
    @Arg('input', () => UploadReplicaInput, { description: 'The dump, and what to do with it.' })
    { chatId, file, onError, ttlSeconds }: UploadReplicaInput,
    @Ctx() { replicas, owner, requestBytes }: Context,
  ): Promise<Replica> {
    const { createReadStream } = await file;
    const options = { onError, ttlSeconds: ttlSeconds ?? null, expectedBytes: requestBytes };
    return toReplica(await replicas.accept(owner, chatId, createReadStream(), options));
  }

  @Mutation(() => Replica, {
    description: 'Ends the replication that is running; without one, nothing happens. Errors: NOT_FOUND.',
  })
  async cancelReplication(
    @Arg('chatId', () => ID, { description: 'The chat.' }) chatId: string,
    @Ctx() { replicas, owner }: Context,
  ): Promise<Replica> {
    return toReplica(await replicas.cancel(owner, chatId));
  }

  @Mutation(() => Replica, {
    description:
      'Brings back the state right after the restore; queries that are running and sessions of PostgreSQL clients are ' +
      'ended. ' +
      'Errors: NOT_FOUND, REPLICA_NOT_READY.',
  })
  async resetReplica(
    @Arg('chatId', () => ID, { description: 'The chat.' }) chatId: string,
    @Ctx() { replicas, owner }: Context,
  ): Promise<Replica> {
    return toReplica(await replicas.reset(owner, chatId));
  }

  @Mutation(() => ID, {
    description:
      'Removes the replica, and ends its replication if one runs. Returns the id of the chat. Errors: NOT_FOUND.',
  })
  async deleteReplica(
    @Arg('chatId', () => ID, { description: 'The chat, which stays.' }) chatId: string,
    @Ctx() { replicas, owner }: Context,
  ): Promise<string> {
    await replicas.remove(owner, chatId);
    return chatId;
  }
}
