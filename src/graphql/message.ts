import { GraphQLDateTime, GraphQLJSONObject } from 'graphql-scalars';
import type { SubscribeResolverData } from 'type-graphql';
import {
  Arg,
  Ctx,
  createUnionType,
  Field,
  ID,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Resolver,
  Root,
  Subscription,
} from 'type-graphql';
import type * as domain from '../domain/message.js';
import type { Context } from './context.js';
import { ContentTypeEnum, RoleEnum } from './enums.js';
import { connectionOf } from './pagination.js';
import { Spends } from './rates.js';

@ObjectType({ description: 'Words.' })
class TextContent {
  @Field({ description: 'Plain text or Markdown; not interpreted here.' })
  text!: string;
}

@ObjectType({ description: 'An SQL statement.' })
class QueryContent {
  @Field({ description: 'The statement, as it was run or is meant to be run.' })
  sql!: string;
}

@ObjectType({ description: 'A picture.' })
class ImageContent {
  @Field({ description: 'An https: URL, or a base64 data: URL of a PNG, JPEG, GIF, WebP or AVIF image.' })
  url!: string;

  @Field(() => String, { nullable: true, description: 'What the picture shows, for those who cannot see it.' })
  alt!: string | null;
}

@ObjectType({ description: 'Rows, usually the result of a query.' })
class TableContent {
  @Field(() => [String], { description: 'Column names in their order; a repeated name has got _2, _3, ... appended.' })
  columns!: string[];

  @Field(() => [GraphQLJSONObject], { description: 'One object per row: column name -> value.' })
  rows!: domain.Row[];

  @Field(() => Int, {
    description: 'Rows that the query returned or changed; more than in `rows` when these were cut.',
  })
  rowCount!: number;

  @Field({ description: 'Whether rows were left out, to keep to a limit.' })
  truncated!: boolean;
}

const MEMBERS = { TEXT: TextContent, QUERY: QueryContent, IMAGE: ImageContent, TABLE: TableContent };

const MessageContent = createUnionType({
  name: 'MessageContent',
  description: 'What a message says: one of the four kinds.',
  types: () => [TextContent, TableContent, QueryContent, ImageContent] as const,
  resolveType: (content) => MEMBERS[(content as unknown as domain.MessageContent).type],
});

@ObjectType({ description: 'A message of a chat. Messages are never changed.' })
export class Message {
  @Field(() => ID, { description: 'Unique; 20 characters of 0-9 and a-z.' })
  id!: string;

  @Field(() => ID, { description: 'The chat that it belongs to.' })
  chatId!: string;

  @Field(() => RoleEnum, { description: 'Who it is from.' })
  role!: domain.Role;

  @Field(() => ContentTypeEnum, { description: 'The kind of `content`.' })
  contentType!: domain.MessageContent['type'];

  @Field(() => MessageContent, { description: 'What it says.' })
  content!: domain.MessageContent;

  @Field(() => GraphQLDateTime, { description: 'When the server took it in.' })
  createdAt!: Date;
}

export const MessageConnection = connectionOf('Message', Message);

export function toMessage(message: domain.Message): Message {
  return { ...message, contentType: message.content.type };
}

@InputType({ description: 'A picture to post.' })
class ImageInput {
  @Field({ description: 'An https: URL, or a base64 data: URL of a PNG, JPEG, GIF, WebP or AVIF image.' })
  url!: string;

  @Field(() => String, { nullable: true, description: 'What the picture shows, for those who cannot see it.' })
  alt?: string | null;
}

@InputType({ description: 'What to post: exactly one of the four kinds. At most MAX_MESSAGE_BYTES as JSON.' })
export class MessageContentInput {
  @Field(() => String, { nullable: true, description: 'Words.' })
  text?: string | null;

  @Field(() => String, { nullable: true, description: 'An SQL statement. It is not run: see runQuery.' })
  query?: string | null;

  @Field(() => [GraphQLJSONObject], {
    nullable: true,
    description:
      'Rows: one object each, column name -> value. Columns are shown in the order in which the rows name them.',
  })
  table?: domain.Row[] | null;

  @Field(() => ImageInput, { nullable: true, description: 'A picture.' })
  image?: ImageInput | null;
}

@InputType({ description: 'A message to post.' })
class PostMessageInput {
  @Field(() => ID, { description: 'The chat to post it to.' })
  chatId!: string;

  @Field(() => RoleEnum, { description: 'Who it is from.' })
  role!: domain.Role;

  @Field(() => MessageContentInput, { description: 'What it says.' })
  content!: MessageContentInput;

  @Field(() => ID, {
    nullable: true,
    description:
      'An id of your own, 1 to 100 characters, which makes a retry safe: a second post with it to the same chat adds ' +
      'nothing and returns the message of the first.',
  })
  clientId?: string | null;
}

@Resolver()
export class MessageResolver {
  @Spends('messages')
  @Mutation(() => Message, {
    description: 'Adds a message to a chat. Errors: NOT_FOUND, BAD_USER_INPUT, QUOTA_EXCEEDED.',
  })
  async postMessage(
    @Arg('input', () => PostMessageInput, { description: 'The message.' }) input: PostMessageInput,
    @Ctx() { chats, owner }: Context,
  ): Promise<Message> {
    return toMessage(await chats.post(owner, input.chatId, input));
  }

  @Subscription(() => Message, {
    description: 'Every message that is added to a chat from now on; ends when the chat is deleted. Errors: NOT_FOUND.',
    subscribe: ({ args, context }: SubscribeResolverData<unknown, { chatId: string }, Context>) =>
      context.chats.watchMessages(context.owner, args.chatId, context.signal),
  })
  messageAdded(
    @Root() message: domain.Message,
    @Arg('chatId', () => ID, { description: 'The chat to listen to.' }) _chatId: string,
  ): Message {
    return toMessage(message);
  }
}
