import { GraphQLJSONObject } from 'graphql-scalars';
import { Arg, Ctx, Field, Float, ID, InputType, Int, Mutation, ObjectType, Resolver } from 'type-graphql';
import type { Row } from '../domain/message.js';
import type { Context } from './context.js';
import { QueryAccessEnum } from './enums.js';
import { Message, toMessage } from './message.js';
import { Spends } from './rates.js';

@ObjectType({ description: 'What a statement returned.' })
class QueryResult {
  @Field(() => [String], {
    description:
      'Column names in their order, a repeated name with _2, _3, ... appended; empty when it returns no rows.',
  })
  columns!: string[];

  @Field(() => [String], {
    description: 'Their types as PostgreSQL writes them, e.g. "character varying(20)", in the order of `columns`.',
  })
  columnTypes!: string[];

  @Field(() => [GraphQLJSONObject], {
    description:
      'One object per row: column name -> value. bigint is a number up to 2^53 - 1 and a string beyond, numeric a ' +
      'string, NaN and Infinity are strings, timestamps and intervals ISO 8601, json as it is, arrays as arrays, ' +
      "composites as objects, everything else PostgreSQL's text. The README has the table.",
  })
  rows!: Row[];

  @Field(() => Int, { description: 'Rows in `rows`; of a statement that returns none, rows that it changed.' })
  rowCount!: number;

  @Field({ description: 'Whether there were more than `maxRows`.' })
  truncated!: boolean;

  @Field(() => Float, { description: 'Milliseconds from the call to the last row, measured in the server.' })
  durationMs!: number;

  @Field(() => [Message], { description: 'The messages that this run added to the chat; empty with record: false.' })
  messages!: Message[];
}

@InputType({ description: "A statement to run on a chat's replica." })
class RunQueryInput {
  @Field(() => ID, { description: 'The chat.' })
  chatId!: string;

  @Field({ description: 'One SQL statement, up to 1 MiB.' })
  sql!: string;

  @Field(() => QueryAccessEnum, { defaultValue: 'READ_ONLY', description: 'What it may do.' })
  access!: 'READ_ONLY' | 'READ_WRITE';

  @Field(() => Int, { defaultValue: 500, description: 'Rows to return at most, 1 to 10000.' })
  maxRows!: number;

  @Field(() => Int, { defaultValue: 15000, description: 'Milliseconds after which it is stopped, 1 to 600000.' })
  timeoutMs!: number;

  @Field({ defaultValue: true, description: 'Whether to add the QUERY message and the TABLE message to the chat.' })
  record!: boolean;
}

@Resolver()
export class QueryResolver {
  @Spends('queries')
  @Mutation(() => QueryResult, {
    description:
      'Runs one statement of any kind on the replica, in a session of its own. Errors: BAD_USER_INPUT, NOT_FOUND, ' +
      'REPLICA_NOT_READY, SQL_ERROR (with sqlstate, position, hint, detail, where, schema, table, column, dataType and ' +
      'constraint as far as PostgreSQL tells them; position counts characters, Unicode code points, of sql from 1), ' +
      'QUERY_TIMEOUT, QUOTA_EXCEEDED (the answer is larger than MAX_RESULT_BYTES).',
  })
  async runQuery(
    @Arg('input', () => RunQueryInput, { description: 'The statement, and its limits.' }) input: RunQueryInput,
    @Ctx() { queries, owner, signal }: Context,
  ): Promise<QueryResult> {
    const { columns, columnTypes, rows, messages, ...answer } = await queries.run(owner, input, signal);
    return {
      ...answer,
      columns: [...columns],
      columnTypes: [...columnTypes],
      rows: [...rows],
      messages: messages.map(toMessage),
    };
  }
}
