import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  isListType,
  isNonNullType,
  isObjectType,
  NoSchemaIntrospectionCustomRule,
  type ValidationContext,
  type ValidationRule,
  validate,
} from 'graphql';
import { type ComplexityEstimatorArgs, createComplexityRule } from 'graphql-query-complexity';
import { ReplichatError } from '../domain/errors.js';

export interface QueryLimits {
  /** Of the document; beyond them it is not even parsed. */
  readonly tokens: number;
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
  /** Fields that may have to be resolved, see costOf. */
  readonly cost: number;
  readonly introspection: boolean;
  /** Whether errors name what the schema has in the place of a wrong name. */
  readonly hints: boolean;
}

/** What holds for a document whatever its variables are. */
export function documentRules({ depth, aliases, directives, introspection }: QueryLimits): ValidationRule[] {
  return [
    maxDepthRule({ n: depth, flattenFragments: true, ...refusing('depth', depth, 'MAX_QUERY_DEPTH') }),
    maxAliasesRule({ n: aliases, ...refusing('aliases', aliases, 'MAX_QUERY_ALIASES') }),
    maxDirectivesRule({ n: directives, ...refusing('directives', directives, 'MAX_QUERY_DIRECTIVES') }),
    ...(introspection ? [] : [NoSchemaIntrospectionCustomRule]),
  ];
}

/** The armor's rules throw where the others report. */
function refusing(quota: string, limit: number, variable: string) {
  const refuse = (context: ValidationContext | null) => context?.reportError(tooMuch(quota, limit, variable));
  return { propagateOnRejection: false, onReject: [refuse] };
}

function tooMuch(quota: string, limit: number, variable: string): GraphQLError {
  const message = `the query has too much of one thing: ${quota}, of which at most ${limit} are allowed (${variable})`;
  return new GraphQLError(message, { originalError: new ReplichatError('QUOTA_EXCEEDED', message, { quota, limit }) });
}

export interface Operation {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operationName: string | null | undefined;
  readonly variables: Record<string, unknown> | null | undefined;
}

/** What is wrong with the cost of an operation in a valid document. Other mistakes are left for its execution to find. */
export function costError({ schema, document, operationName, variables }: Operation, most: number) {
  if (!getOperationAST(document, operationName)) return undefined;
  let error: GraphQLError | undefined;
  // Only when there is need of it: it has the stack of calls.
  const refuse = () => {
    error ??= tooMuch('cost', most, 'MAX_QUERY_COST');
    return error;
  };
  const rule = createComplexityRule({
    maximumComplexity: most,
    estimators: [costOf],
    variables: variables ?? {},
    ...(operationName && { operationName }),
    createError: refuse,
  });
  try {
    const errors = validate(schema, document, [rule], { maxErrors: Number.MAX_SAFE_INTEGER });
    return errors.find((found) => found === error);
  } catch {
    return refuse(); // Fragments in fragments: more fields than the rule is willing to count.
  }
}

const PAGE = 50;
const MOST_OF_A_PAGE = 500;
/** About so many columns has a table, and tables a small database. */
const ITEMS_OF_A_LIST = 10;

/** One for each field, times the items of the lists that it is in. */
function costOf({ field, type, args, childComplexity }: ComplexityEstimatorArgs): number {
  const isOfTheSchema = type.name.startsWith('__') || field.name.startsWith('__');
  if (isOfTheSchema || childComplexity === 0) return 1 + childComplexity;
  const isPage = field.args.some(({ name }) => name === 'first');
  const given = args.first ?? args.last ?? PAGE;
  const isList = isListType(isNonNullType(field.type) ? field.type.ofType : field.type);
  const items = isPage
    ? Math.min(Math.max(given, 1), MOST_OF_A_PAGE)
    : isList && !isConnection(type)
      ? ITEMS_OF_A_LIST
      : 1;
  return 1 + items * childComplexity;
}

/** Whose lists are the page that has been counted already. */
function isConnection(type: ComplexityEstimatorArgs['type']): boolean {
  return isObjectType(type) && type.name.endsWith('Connection');
}
