import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';
import type { SubscribeResolverData } from 'type-graphql';
import {
  Arg,
  Ctx,
  Field,
  FieldResolver,
  Float,
  ID,
  Int,
  ObjectType,
  Query,
  Resolver,
  Root,
  Subscription,
} from 'type-graphql';
import { badInput } from '../domain/errors.js';
import type * as domain from '../domain/replica.js';
import type { Context } from './context.js';
import { ReplicaStateEnum, RestoreStepEnum } from './enums.js';

@ObjectType({
  description: 'What went wrong in a restore, or was treated differently, and where in the uploaded file.',
})
export class RestoreIssue {
  @Field({
    description:
      'Stable, for programs: SQL_ERROR, CUT_OFF, UNSUPPORTED_DUMP, PAYLOAD_TOO_LARGE, UPLOAD_ABORTED, OUT_OF_MEMORY, ' +
      'DISK_LIMIT, DISK_FULL, SPOOL_FULL, RESTORE_TIMEOUT, SERVER_STOPPED, ENGINE_UNAVAILABLE, INTERRUPTED, CANCELLED, CONNECTION_LOST; of ' +
      'warnings OWNERSHIP_SKIPPED, ROLE_CREATED, EXTENSION_SKIPPED, SETTING_SKIPPED and other ..._SKIPPED.',
  })
  code!: string;

  @Field({ description: 'In words.' })
  message!: string;

  @Field(() => String, { nullable: true, description: "PostgreSQL's error code (manual, appendix A)." })
  sqlstate?: string;

  @Field(() => Int, {
    nullable: true,
    description: 'Line of the uploaded file, or of the script in it, counted from 1.',
  })
  line?: number;

  @Field(() => String, { nullable: true, description: 'The statement, cut to 300 characters.' })
  statement?: string;

  @Field(() => String, { nullable: true, description: 'The object that it is about, e.g. "public.film".' })
  object?: string;

  @Field(() => String, { nullable: true, description: 'What can be done.' })
  hint?: string;

  @Field(() => Int, {
    nullable: true,
    description: 'How often the same warning was given, of which this is the first; null for an error.',
  })
  count?: number;
}

@ObjectType({
  description:
    'A snapshot of one replication. A subscriber gets the present one first, then each change, at most about 5 a second; ' +
    'the last has state READY, FAILED, CANCELLED or EXPIRED, and completes the subscription.',
})
export class ReplicationStatus {
  @Field(() => ID, { description: 'The chat whose replica this is about.' })
  chatId!: string;

  @Field(() => Int, { description: 'Rises by at least one with every change, across the replications of a chat too.' })
  sequence!: number;

  @Field(() => ReplicaStateEnum, { description: 'Where the replication stands.' })
  state!: domain.ReplicaState;

  @Field(() => RestoreStepEnum, { nullable: true, description: 'What the restore is at; null before it begins.' })
  step!: domain.RestoreStep | null;

  @Field(() => Float, { description: '0 to 100; never falls within one replication, 100 only when READY.' })
  percent!: number;

  @Field(() => GraphQLSafeInt, { description: 'Bytes of the file that have arrived.' })
  bytesReceived!: number;

  @Field(() => GraphQLSafeInt, {
    description: 'Bytes of the file, unpacked, whose statements and rows are in the replica.',
  })
  bytesRestored!: number;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Bytes of the file; null until the upload has ended.' })
  bytesTotal!: number | null;

  @Field(() => Int, { description: 'Tables whose rows are in the replica.' })
  tablesDone!: number;

  @Field(() => Int, { description: 'Tables found in the file so far.' })
  tablesTotal!: number;

  @Field(() => Int, { description: 'Indexes, primary keys and unique constraints that stand.' })
  indexesDone!: number;

  @Field(() => Int, { description: 'Indexes, primary keys and unique constraints found in the file so far.' })
  indexesTotal!: number;

  @Field(() => [String], {
    description: 'What is being worked on now, e.g. "public.events", "index public.events_kind_idx".',
  })
  current!: string[];

  @Field(() => Int, { nullable: true, description: 'About how many seconds are left; null when that cannot be told.' })
  etaSeconds!: number | null;

  @Field(() => Int, { description: 'Different warnings so far; the same one, however often, counts once.' })
  warningCount!: number;

  @Field(() => RestoreIssue, { nullable: true, description: 'Why it is FAILED or CANCELLED.' })
  error!: RestoreIssue | null;

  @Field(() => GraphQLDateTime, { description: 'When this was so.' })
  at!: Date;
}

export function toStatus(status: domain.ReplicationStatus): ReplicationStatus {
  return status as unknown as ReplicationStatus;
}

@Resolver(() => ReplicationStatus)
export class ReplicationStatusResolver {
  @FieldResolver(() => [RestoreIssue], {
    description: 'What was treated differently or left out, oldest first; the first 100 are kept.',
  })
  warnings(
    @Root() status: domain.ReplicationStatus,
    @Arg('last', () => Int, {
      nullable: true,
      defaultValue: 20,
      description: 'At most so many, the newest of them.',
    })
    last: number | null,
  ): RestoreIssue[] {
    if (last !== null && last < 0) throw badInput('last', `${last} is out of range; give 0 or more`);
    return last === 0 ? [] : status.warnings.slice(-(last ?? 20));
  }

  @Query(() => ReplicationStatus, {
    nullable: true,
    description: "The present snapshot of a chat's latest replication; null when there was none, or no such chat.",
  })
  async replicationStatus(
    @Arg('chatId', () => ID, { description: 'The chat.' }) chatId: string,
    @Ctx() { replicas, owner }: Context,
  ): Promise<ReplicationStatus | null> {
    const replica = await replicas.replica(owner, chatId);
    return replica ? toStatus(replica.status) : null;
  }

  @Subscription(() => ReplicationStatus, {
    name: 'replicationStatus',
    description:
      'The present snapshot, then each change until the replication has ended. Where there was no replication yet, it ' +
      'waits for the first one. It completes without a further snapshot when the replica is deleted. Errors: NOT_FOUND.',
    subscribe: ({ args, context }: SubscribeResolverData<unknown, WatchArguments, Context>) =>
      context.replicas.watch(context.owner, args.chatId, context.signal, args.after ?? undefined),
  })
  watchReplication(
    @Root() status: domain.ReplicationStatus,
    @Arg('chatId', () => ID, { description: 'The chat.' }) _chatId: string,
    @Arg('after', () => Int, {
      nullable: true,
      description:
        'Leave out snapshots up to this `sequence`. With the `sequence` of an ended replication it waits for the next.',
    })
    _after?: number,
  ): ReplicationStatus {
    return toStatus(status);
  }
}

interface WatchArguments {
  chatId: string;
  after?: number | null;
}
