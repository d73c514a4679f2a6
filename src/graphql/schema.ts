import 'reflect-metadata';
import { type GraphQLInputObjectType, type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { buildSchema } from 'type-graphql';
import { ChatResolver } from './chat.js';
import { CredentialsResolver } from './credentials.js';
import { MessageResolver } from './message.js';
import { QueryResolver } from './query-result.js';
import { ReplicaResolver } from './replica.js';
import { ReplicationStatusResolver } from './replication-status.js';

/** The schema of the public API, executable with a Context. */
export async function createSchema(): Promise<GraphQLSchema> {
  const schema = await buildSchema({
    resolvers: [
      ChatResolver,
      CredentialsResolver,
      MessageResolver,
      QueryResolver,
      ReplicaResolver,
      ReplicationStatusResolver,
    ],
    // The rules of the domain validate; see validateChat and its like.
    validate: false,
    // TypeGraphQL wants one wherever there is a subscription. Ours listen to the services instead.
    pubSub: { publish: unused, subscribe: unused },
  });
  // TypeGraphQL knows no @oneOf.
  (schema.getType('MessageContentInput') as GraphQLInputObjectType).isOneOf = true;
  return schema;
}

function unused(): never {
  throw new Error('every subscription has a subscribe function of its own');
}

/** What schema.graphql holds. */
export async function printedSchema(): Promise<string> {
  return `${printSchema(lexicographicSortSchema(await createSchema()))}\n`;
}
