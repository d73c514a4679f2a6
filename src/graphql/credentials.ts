import { Arg, Ctx, Field, FieldResolver, ID, Int, ObjectType, Query, Resolver, Root } from 'type-graphql';
import * as domain from '../domain/chat.js';
import type { Context } from './context.js';
import { CredentialsTargetEnum, DbmsEnum, EnvironmentEnum } from './enums.js';

@ObjectType({ description: 'How to reach a database. The one type that carries a password.' })
export class Credentials {
  @Field(() => ID, { description: 'The chat that they belong to.' })
  chatId!: string;

  @Field({ description: 'Host name or IP address.' })
  host!: string;

  @Field(() => Int, { description: 'TCP port.' })
  port!: number;

  @Field({ description: 'The PostgreSQL role to log in with.' })
  user!: string;

  @Field({ description: 'Its password.' })
  password!: string;

  @Field({ description: 'The name of the database.' })
  database!: string;

  @Field(() => DbmsEnum, { description: 'The database management system.' })
  dbms!: domain.Dbms;

  @Field(() => EnvironmentEnum, { description: 'Where the database runs.' })
  environment!: domain.Environment;
}

@Resolver(() => Credentials)
export class CredentialsResolver {
  @FieldResolver(() => String, {
    description: 'postgres://user:password@host:port/database, every part percent-encoded.',
  })
  uri(@Root() credentials: domain.Credentials): string {
    return domain.connectionUri(credentials);
  }

  @Query(() => Credentials, {
    description: 'The only way to a password. Errors: NOT_FOUND; for REPLICA also REPLICA_NOT_READY.',
  })
  async credentials(
    @Arg('chatId', () => ID, { description: 'The chat.' }) chatId: string,
    @Arg('target', () => CredentialsTargetEnum, {
      defaultValue: 'SOURCE',
      description: 'Those of the source database or those of the replica.',
    })
    target: 'SOURCE' | 'REPLICA',
    @Ctx() { chats, replicas, owner, audit }: Context,
  ): Promise<domain.Credentials> {
    const credentials = await (target === 'SOURCE' ? chats : replicas).credentials(owner, chatId);
    audit('password read', { chatId, target });
    return credentials;
  }
}
