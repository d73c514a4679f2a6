import type { TablesQuery } from '../api/generated/graphql.js';
import { quoteName, tableName } from '../database/names.js';

type Table = NonNullable<NonNullable<TablesQuery['chat']>['replica']>['tables'][number];

export interface Suggestion {
  readonly title: string;
  readonly sql: string;
}

/** Queries that make sense in this schema: its largest table, over time, and by what it refers to. */
export function suggest(tables: readonly Table[]): Suggestion[] {
  const largest = tables.filter(({ kind }) => kind.endsWith('TABLE')).sort((a, b) => b.rowEstimate - a.rowEstimate)[0];
  if (!largest) return [];
  return [sizes(), firstRows(largest), overTime(largest), byReference(largest, tables)].filter(
    (found) => found !== undefined,
  );
}

export function firstRows(table: Pick<Table, 'schema' | 'name'>): Suggestion {
  return { title: `The first rows of ${table.name}`, sql: `SELECT *\nFROM ${tableName(table)}\nLIMIT 100` };
}

function sizes(): Suggestion {
  return {
    title: 'The largest tables',
    sql: `SELECT relname AS name, reltuples::bigint AS rows, pg_total_relation_size(oid) AS bytes
FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
ORDER BY bytes DESC
LIMIT 20`,
  };
}

function overTime(table: Table): Suggestion | undefined {
  const column = table.columns.find(({ type }) => /^(date|timestamp)/.test(type));
  if (!column) return undefined;
  return {
    title: `${table.name} by month`,
    sql: `SELECT date_trunc('month', ${quoteName(column.name)})::date AS month, count(*)
FROM ${tableName(table)}
GROUP BY month
ORDER BY month`,
  };
}

function byReference(table: Table, tables: readonly Table[]): Suggestion | undefined {
  for (const key of table.foreignKeys) {
    const other = tables.find(({ schema, name }) => schema === key.referencedSchema && name === key.referencedTable);
    const label = other?.columns.find(
      ({ type, name }) => /^(text|character)/.test(type) && !key.referencedColumns.includes(name),
    );
    if (!other || !label || other === table) continue;
    const condition = key.columns
      .map((column, index) => `o.${quoteName(key.referencedColumns[index] ?? '')} = t.${quoteName(column)}`)
      .join(' AND ');
    return {
      title: `${table.name} by ${other.name}`,
      sql: `SELECT o.${quoteName(label.name)}, count(*)
FROM ${tableName(table)} t
JOIN ${tableName(other)} o ON ${condition}
GROUP BY 1
ORDER BY 2 DESC
LIMIT 20`,
    };
  }
  return undefined;
}
