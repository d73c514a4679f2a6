import { GraphQLDateTime } from 'graphql-scalars';
import {
  Arg,
  Ctx,
  Field,
  FieldResolver,
  ID,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type * as domain from '../domain/chat.js';
import type { Context } from './context.js';
import { DbmsEnum, EnvironmentEnum } from './enums.js';
import { MessageConnection, toMessage } from './message.js';
import { type Connection, connectionOf, toConnection } from './pagination.js';
import { Spends } from './rates.js';
import { Replica, toReplica } from './replica.js';

@ObjectType({ description: 'A chat and the database that it is about. No secret is reachable from here.' })
export class Chat {
  @Field(() => ID, { description: 'Unique; 20 characters of 0-9 and a-z.' })
  id!: string;

  @Field({ description: 'What people call it; up to 200 characters.' })
  name!: string;

  @Field({ description: 'Host name or IP address of the source database.' })
  host!: string;

  @Field(() => Int, { description: 'TCP port of the source database.' })
  port!: number;

  @Field({ description: "The source database's role; the replica has one of this name too." })
  user!: string;

  @Field({ description: "The source database's name; the replica has one of this name too." })
  database!: string;

  @Field(() => DbmsEnum, { description: 'The database management system.' })
  dbms!: domain.Dbms;

  @Field(() => EnvironmentEnum, { description: 'Where the source database runs.' })
  environment!: domain.Environment;

  @Field(() => GraphQLDateTime, { description: 'When the chat was created.' })
  createdAt!: Date;
}

const ChatConnection = connectionOf('Chat', Chat);

@InputType({ description: 'A chat to create, with the credentials of its source database.' })
class CreateChatInput {
  @Field({ description: 'What people call it; 1 to 200 characters.' })
  name!: string;

  @Field({ description: 'Host name or IP address of the source database.' })
  host!: string;

  @Field(() => Int, { defaultValue: 5432, description: 'TCP port of the source database, 1 to 65535.' })
  port!: number;

  @Field({ description: 'Role of the source database; up to 63 bytes.' })
  user!: string;

  @Field({ description: 'Its password. Only Query.credentials gives it back.' })
  password!: string;

  @Field({ description: 'Name of the source database; up to 63 bytes.' })
  database!: string;

  @Field(() => DbmsEnum, { defaultValue: 'POSTGRESQL', description: 'The database management system.' })
  dbms!: domain.Dbms;

  @Field(() => EnvironmentEnum, { defaultValue: 'LOCAL', description: 'Where the source database runs.' })
  environment!: domain.Environment;

  @Field(() => ID, {
    nullable: true,
    description:
      'An id of your own, 1 to 100 characters, which makes a retry safe: a second call with it creates nothing and ' +
      'returns the chat of the first, as it is by then.',
  })
  clientId?: string | null;
}

@InputType({ description: 'What to change of a chat; what is left out or null stays as it is.' })
class UpdateChatInput {
  @Field(() => ID, { description: 'The chat.' })
  chatId!: string;

  @Field(() => String, { nullable: true, description: 'What people call it; 1 to 200 characters.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Host name or IP address of the source database.' })
  host?: string | null;

  @Field(() => Int, { nullable: true, description: 'TCP port of the source database, 1 to 65535.' })
  port?: number | null;

  @Field(() => String, { nullable: true, description: 'Role; an existing replica keeps the earlier one.' })
  user?: string | null;

  @Field(() => String, { nullable: true, description: 'Password of the source database.' })
  password?: string | null;

  @Field(() => String, { nullable: true, description: 'Name; an existing replica keeps the earlier one.' })
  database?: string | null;

  @Field(() => EnvironmentEnum, { nullable: true, description: 'Where the source database runs.' })
  environment?: domain.Environment | null;
}

@Resolver(() => Chat)
export class ChatResolver {
  @Query(() => ChatConnection, { description: 'All chats of the caller, newest first. Errors: BAD_USER_INPUT.' })
  async chats(
    @Arg('first', () => Int, { defaultValue: 50, description: 'At most so many, 0 to 500.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Only those that come after this cursor.' })
    after: string | null,
    @Ctx() { chats, owner }: Context,
  ): Promise<Connection<domain.Chat>> {
    return toConnection(await chats.list(owner, { first, after }), (chat) => chat);
  }

  @Query(() => Chat, { nullable: true, description: 'A chat; null when there is none of this id.' })
  async chat(
    @Arg('id', () => ID, { description: 'Its id.' }) id: string,
    @Ctx() { chats, owner }: Context,
  ): Promise<domain.Chat | null> {
    return (await chats.find(owner, id)) ?? null;
  }

  @Spends('chats')
  @Mutation(() => Chat, {
    description: 'Creates a chat. Nothing connects to its source database. Errors: BAD_USER_INPUT, QUOTA_EXCEEDED.',
  })
  createChat(
    @Arg('input', () => CreateChatInput, { description: 'The chat.' }) input: CreateChatInput,
    @Ctx() { chats, owner }: Context,
  ): Promise<domain.Chat> {
    return chats.create(owner, input);
  }

  @Mutation(() => Chat, { description: 'Changes a chat. Errors: NOT_FOUND, BAD_USER_INPUT.' })
  updateChat(
    @Arg('input', () => UpdateChatInput, { description: 'The changes.' }) { chatId, ...changes }: UpdateChatInput,
    @Ctx() { chats, owner }: Context,
  ): Promise<domain.Chat> {
    const given = Object.entries(changes).filter(([, value]) => value !== null && value !== undefined);
    return chats.update(owner, chatId, Object.fromEntries(given));
  }

  @Mutation(() => ID, {
    description: 'Deletes a chat; its messages, credentials and replica go with it. Returns its id. Errors: NOT_FOUND.',
  })
  async deleteChat(
    @Arg('id', () => ID, { description: 'Its id.' }) id: string,
    @Ctx() { chats, owner }: Context,
  ): Promise<string> {
    await chats.delete(owner, id);
    return id;
  }

  @FieldResolver(() => MessageConnection, {
    description: 'Its messages, oldest first; by default the newest 50. Errors: BAD_USER_INPUT.',
  })
  async messages(
    @Root() chat: domain.Chat,
    @Arg('first', () => Int, { nullable: true, description: 'At most so many from the beginning, 0 to 500.' })
    first: number | null,
    @Arg('after', () => String, { nullable: true, description: 'Only those that come after this cursor.' })
    after: string | null,
    @Arg('last', () => Int, { nullable: true, description: 'At most so many from the end, 0 to 500.' })
    last: number | null,
    @Arg('before', () => String, { nullable: true, description: 'Only those that come before this cursor.' })
    before: string | null,
    @Ctx() { chats, owner }: Context,
  ): Promise<InstanceType<typeof MessageConnection>> {
    return toConnection(await chats.messages(owner, chat.id, { first, after, last, before }), toMessage);
  }

  @FieldResolver(() => Replica, { nullable: true, description: 'Its replica; null before the first upload.' })
  async replica(@Root() chat: domain.Chat, @Ctx() { replicas, owner }: Context): Promise<Replica | null> {
    const replica = await replicas.replica(owner, chat.id);
    return replica ? toReplica(replica) : null;
  }
}
