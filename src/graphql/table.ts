import { GraphQLSafeInt } from 'graphql-scalars';
import { Field, ObjectType } from 'type-graphql';

@ObjectType({ description: 'A column of a table or view.' })
class Column {
  @Field({ description: 'Its name, unquoted.' })
  name!: string;

  @Field({ description: 'Its type as PostgreSQL writes it, e.g. "character varying(15)".' })
  type!: string;

  @Field({ description: 'Whether it may be NULL.' })
  nullable!: boolean;

  @Field(() => String, { nullable: true, description: 'Its default or generation expression.' })
  default!: string | null;

  @Field({ description: 'Whether it is computed from other columns, by `default`.' })
  generated!: boolean;

  @Field({ description: 'Whether it is an identity column (GENERATED ... AS IDENTITY).' })
  identity!: boolean;

  @Field({ description: 'Whether it is part of the primary key.' })
  primaryKey!: boolean;

  @Field(() => [String], {
    nullable: true,
    description: 'The values of its enum in their order, also where it is an array or a domain of one; null otherwise.',
  })
  enumValues!: string[] | null;

  @Field(() => String, { nullable: true, description: 'Its comment (COMMENT ON COLUMN).' })
  comment!: string | null;
}

@ObjectType({ description: 'A foreign key.' })
class ForeignKey {
  @Field({ description: "The constraint's name." })
  name!: string;

  @Field(() => [String], { description: 'The columns that refer.' })
  columns!: string[];

  @Field({ description: 'Schema of the table referred to.' })
  referencedSchema!: string;

  @Field({ description: 'Name of the table referred to.' })
  referencedTable!: string;

  @Field(() => [String], { description: 'The columns referred to, in the order of `columns`.' })
  referencedColumns!: string[];
}

@ObjectType({ description: 'A table, or what can be queried like one. Partitions are left out.' })
export class Table {
  @Field({ description: 'Its schema, unquoted.' })
  schema!: string;

  @Field({ description: 'Its name, unquoted.' })
  name!: string;

  @Field({ description: 'TABLE, PARTITIONED_TABLE, VIEW, MATERIALIZED_VIEW or FOREIGN_TABLE.' })
  kind!: string;

  @Field(() => GraphQLSafeInt, {
    description:
      "Rows, by the planner's statistics, of all partitions together; 0 for views and for tables never analysed.",
  })
  rowEstimate!: number;

  @Field(() => GraphQLSafeInt, { description: 'Bytes on disk, indexes and TOAST data included.' })
  sizeBytes!: number;

  @Field(() => [Column], { description: 'Its columns in their order.' })
  columns!: Column[];

  @Field(() => [String], { description: 'The columns of its primary key in their order; empty without one.' })
  primaryKey!: string[];

  @Field(() => [[String]], {
    description:
      'The columns of each other key (unique constraints and indexes), but for those on expressions or on parts of the rows.',
  })
  uniqueKeys!: string[][];

  @Field(() => [ForeignKey], { description: 'Its foreign keys by name.' })
  foreignKeys!: ForeignKey[];

  @Field(() => String, {
    nullable: true,
    description: 'What it is partitioned by, e.g. "RANGE (created_at)"; null when it is not.',
  })
  partitionKey!: string | null;

  @Field(() => String, { nullable: true, description: 'Its comment (COMMENT ON TABLE).' })
  comment!: string | null;
}
