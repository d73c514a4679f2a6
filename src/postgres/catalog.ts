import type { ClientBase } from 'pg';

export interface Table {
  readonly schema: string;
  readonly name: string;
  /** TABLE, PARTITIONED_TABLE, VIEW, MATERIALIZED_VIEW or FOREIGN_TABLE. */
  readonly kind: string;
  /** 0 before the first ANALYZE, and for views. */
  readonly rowEstimate: number;
  /** With its indexes and TOAST data. */
  readonly sizeBytes: number;
  readonly columns: readonly Column[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly comment: string | null;
}

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly default: string | null;
  readonly primaryKey: boolean;
  readonly comment: string | null;
}

export interface ForeignKey {
  readonly name: string;
  readonly columns: readonly string[];
  readonly referencedSchema: string;
  readonly referencedTable: string;
  readonly referencedColumns: readonly string[];
}

/**
 * Everything in one round trip. Partitions are left out (their partitioned table stands for them), as are the objects
 * of extensions. Every relation, function and type is qualified: the chat's search_path has no say in them. It may in
 * the operators, and should in what `format_type` and `pg_get_expr` write, which is why it is left as it is.
 */
const TABLES = `
WITH tables AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.reltuples,
         pg_catalog.obj_description(c.oid, 'pg_class') AS comment
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
), columns AS (
  SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_object(
           'name', a.attname,
           'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
           'nullable', NOT a.attnotnull,
           'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
           'primaryKey', coalesce(a.attnum = ANY (k.conkey), false),
           'comment', pg_catalog.col_description(a.attrelid, a.attnum)) ORDER BY a.attnum) AS list
  FROM pg_catalog.pg_attribute a
  JOIN tables t ON t.oid = a.attrelid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p'
  WHERE a.attnum > 0 AND NOT a.attisdropped
  GROUP BY a.attrelid
), keys AS (
  SELECT k.conrelid, pg_catalog.json_agg(pg_catalog.json_build_object(
           'name', k.conname,
           'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.at)
                       FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (num, at)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
           'referencedSchema', n.nspname,
           'referencedTable', c.relname,
           'referencedColumns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.at)
                                 FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u (num, at)
                                 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num)
         ) ORDER BY k.conname) AS list
  FROM pg_catalog.pg_constraint k
  JOIN tables t ON t.oid = k.conrelid
  JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE k.contype = 'f' AND NOT c.relispartition
  GROUP BY k.conrelid
)
SELECT t.nspname AS schema, t.relname AS name,
       CASE t.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED_TABLE' WHEN 'v' THEN 'VIEW'
                      WHEN 'm' THEN 'MATERIALIZED_VIEW' ELSE 'FOREIGN_TABLE' END AS kind,
       greatest(t.reltuples, 0)::pg_catalog.float8 AS "rowEstimate",
       CASE WHEN t.relkind = 'p'
            THEN (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(p.relid)), 0)::pg_catalog.float8
                  FROM pg_catalog.pg_partition_tree(t.oid) p)
            ELSE pg_catalog.pg_total_relation_size(t.oid)::pg_catalog.float8 END AS "sizeBytes",
       coalesce(c.list, '[]') AS columns, coalesce(k.list, '[]') AS "foreignKeys", t.comment
FROM tables t
LEFT JOIN columns c ON c.attrelid = t.oid
LEFT JOIN keys k ON k.conrelid = t.oid
WHERE $1::pg_catalog.text IS NULL
   OR pg_catalog.strpos(pg_catalog.lower(t.nspname || '.' || t.relname || ' ' || coalesce(t.comment, '')),
                        pg_catalog.lower($1)) > 0
   OR EXISTS (SELECT FROM pg_catalog.json_array_elements(c.list) e
              WHERE pg_catalog.strpos(pg_catalog.lower((e ->> 'name') || ' ' || coalesce(e ->> 'comment', '')),
                                      pg_catalog.lower($1)) > 0)
ORDER BY 1, 2`;

/** Tables and views by schema and name; `search` keeps those with it in a name or comment, a column's included. */
export async function readTables(client: ClientBase, search: string | null): Promise<Table[]> {
  const { rows } = await client.query<Table>(TABLES, [search]);
  return rows;
}
