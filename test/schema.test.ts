import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  BreakingChangeType,
  buildSchema,
  DangerousChangeType,
  findBreakingChanges,
  findDangerousChanges,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';
import { createSchema, printedSchema } from '../src/graphql/schema.js';

/** Lies beside a checkout of the maintainers, and is no part of the repository. */
const CONTRACT = new URL('../../shared/contract.graphql', import.meta.url);

let schema: GraphQLSchema;
beforeAll(async () => {
  schema = await createSchema();
});

test('schema.graphql is what the code says', async () => {
  const committed = await readFile(new URL('../schema.graphql', import.meta.url), 'utf8');
  // On a failure: npm run schema, and commit the difference.
  expect(committed).toBe(await printedSchema());
});

test('everything has a description', () => {
  const elements = describedElements(schema);
  expect(elements.length).toBeGreaterThan(200);
  expect(elements.filter(({ description }) => !description?.trim()).map(({ name }) => name)).toEqual([]);
});

test('an enum value, an argument and an input field without a description would be noticed', () => {
  const elements = describedElements(buildSchema('enum E { A } input I { b: Int } type Query { c(d: I): E }'));
  const names = elements.filter(({ description }) => !description).map(({ name }) => name);
  expect(names.sort()).toEqual(['E', 'E.A', 'I', 'I.b', 'Query.c', 'Query.c(d:)']);
});

const describeContract = existsSync(CONTRACT) ? describe : describe.skip;
if (!existsSync(CONTRACT))
  process.stderr.write('skipping the public contract: there is no ../shared/contract.graphql\n');

describeContract('the public contract', () => {
  test('holds: nothing of it is dropped, renamed or made stricter', async () => {
    expect(breaches(buildSchema(await readFile(CONTRACT, 'utf8')), schema)).toEqual([]);
  });
});

describe('a breach of a contract', () => {
  const contract = `
    enum Kind { A B }
    input Choice @oneOf { a: Int b: Int }
    input Filter { kind: Kind! = A limit: Int }
    type Thing { id: ID! note: String }
    type Query { thing(id: ID!, filter: Filter, choice: Choice, first: Int = 50): Thing! }`;

  test.each([
    ['a dropped type', 'type Thing {', 'type Item {', 'Thing was removed.'],
    ['a dropped field', 'note: String', '', 'Thing.note was removed.'],
    ['a nullable result', 'id: ID! note', 'id: ID note', 'Thing.id changed type from ID! to ID.'],
    ['a dropped enum value', '{ A B }', '{ A }', 'B was removed from enum type Kind.'],
    ['another default', 'kind: Kind! = A', 'kind: Kind! = B', 'Filter.kind changed its default from A to B.'],
    ['a default dropped', 'first: Int = 50', 'first: Int', 'Query.thing arg first defaultValue was removed.'],
    ['a stricter field of an input', 'limit: Int', 'limit: Int!', 'Filter.limit changed type from Int to Int!.'],
    ['a new required argument', 'first: Int = 50', 'first: Int = 50, now: Int!', 'A required arg now on'],
    ['an input that is @oneOf no more', '@oneOf', '', 'Choice is not @oneOf.'],
  ])('is noticed: %s', (_what, from, to, message) => {
    const changed = contract
      .replaceAll(from, to)
      .replace('): Thing!', from === 'type Thing {' ? '): Item!' : '): Thing!');
    expect(breaches(buildSchema(contract), buildSchema(changed)).join('\n')).toContain(message);
  });

  test('is none: more types, more fields, more optional arguments', () => {
    const more = contract
      .replace('note: String', 'note: String more: More')
      .replace('first: Int = 50', 'first: Int = 50, last: Int')
      .concat('type More { a: Int }');
    expect(breaches(buildSchema(contract), buildSchema(more))).toEqual([]);
  });
});

interface Element {
  name: string;
  description: string | null | undefined;
}

/** Types, fields, arguments, enum values and input fields. The three root types need no words of their own. */
function describedElements(schema: GraphQLSchema): Element[] {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  const elements: Element[] = [];
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) continue;
    const add = (name: string, { description }: Omit<Element, 'name'>) => elements.push({ name, description });
    if (!roots.some((root) => root === type)) add(type.name, type);
    if (isEnumType(type)) for (const value of type.getValues()) add(`${type.name}.${value.name}`, value);
    if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) add(`${type.name}.${field.name}`, field);
    }
    if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        add(`${type.name}.${field.name}`, field);
        for (const argument of field.args) add(`${type.name}.${field.name}(${argument.name}:)`, argument);
      }
    }
  }
  return elements;
}

/** What a client of `contract` would stumble over in `schema`; empty when it holds all of it. */
function breaches(contract: GraphQLSchema, schema: GraphQLSchema): string[] {
  // A directive that a schema file declares is no part of the API.
  const broken = findBreakingChanges(contract, schema).filter(
    ({ type }) => type !== BreakingChangeType.DIRECTIVE_REMOVED,
  );
  const defaults = findDangerousChanges(contract, schema).filter(
    ({ type }) => type === DangerousChangeType.ARG_DEFAULT_VALUE_CHANGE,
  );
  return [...[...broken, ...defaults].map(({ description }) => description), ...changedInputs(contract, schema)];
}

/** graphql-js compares neither the defaults of input fields nor @oneOf. */
function changedInputs(contract: GraphQLSchema, schema: GraphQLSchema): string[] {
  const found: string[] = [];
  for (const promised of Object.values(contract.getTypeMap())) {
    const ours = schema.getType(promised.name);
    if (!isInputObjectType(promised) || !isInputObjectType(ours)) continue;
    if (promised.isOneOf !== ours.isOneOf) found.push(`${ours.name} is ${ours.isOneOf ? '' : 'not '}@oneOf.`);
    for (const field of Object.values(promised.getFields())) {
      const [before, now] = [field.defaultValue, ours.getFields()[field.name]?.defaultValue];
      if (now !== before) found.push(`${ours.name}.${field.name} changed its default from ${before} to ${now}.`);
    }
  }
  return found;
}
