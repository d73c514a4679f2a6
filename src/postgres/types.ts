import type { ClientBase, FieldDef } from 'pg';
import { type Reader, readerOf, type TypeShape } from './values.js';

/** The type of a column of an answer. */
export interface ColumnType {
  /** As PostgreSQL writes it: "bigint", "character varying(20)". */
  readonly name: string;
  readonly read: Reader;
}

/** Below it are the object ids of pg_type.dat, which are the same everywhere. */
const FIRST_OTHER_ID = 10_000;
const MOST_NAMES = 1_000;

/**
 * What the columns of one server's answers are. PostgreSQL's own types are asked for once; those of a database each time,
 * since they may have been changed.
 */
export class ColumnTypes {
  readonly #names = new Map<string, string>();
  readonly #shapes = new Map<number, TypeShape>();

  async of(client: ClientBase, fields: readonly FieldDef[]): Promise<ColumnType[]> {
    const unknown = fields.filter((field) => !this.#knows(field));
    const answer = unknown.length > 0 ? await ask(client, unknown) : { names: [], shapes: [] };
    const names = new Map(unknown.map((field, index) => [keyOf(field), answer.names[index] ?? '']));
    const shapes = new Map([...this.#shapes, ...answer.shapes]);
    this.#remember(names, answer.shapes);
    return fields.map((field) => ({
      name: names.get(keyOf(field)) ?? this.#names.get(keyOf(field)) ?? '',
      read: readerOf(field.dataTypeID, shapes),
    }));
  }

  #knows(field: FieldDef): boolean {
    const shape = this.#shapes.get(field.dataTypeID);
    const elements = shape?.kind !== 'array' || this.#shapes.has(shape.element);
    return shape !== undefined && elements && this.#names.has(keyOf(field));
  }

  /** Rows of the catalog are composites, and differ from version to version. */
  #remember(names: ReadonlyMap<string, string>, shapes: readonly [number, TypeShape][]): void {
    if (this.#names.size > MOST_NAMES) this.#names.clear();
    for (const [key, name] of names) if (Number.parseInt(key, 10) < FIRST_OTHER_ID) this.#names.set(key, name);
    for (const [type, shape] of shapes) {
      if (type < FIRST_OTHER_ID && shape.kind !== 'composite') this.#shapes.set(type, shape);
    }
  }
}

function keyOf({ dataTypeID, dataTypeModifier }: FieldDef): string {
  return `${dataTypeID} ${dataTypeModifier}`;
}

interface Answer {
  /** Of the fields asked for, in their order. */
  readonly names: readonly string[];
  /** Of their types, and of all that these are made of. */
  readonly shapes: readonly [number, TypeShape][];
}

/** The chat's search_path has a say in how `format_type` writes a name, and, as in catalog.ts, in the operators. */
const TYPES = `
WITH RECURSIVE fields AS (
  SELECT *
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[]))
    WITH ORDINALITY AS f (type, modifier, at)
), parts (type) AS (
  SELECT type FROM fields
  UNION
  SELECT made_of.type
  FROM parts
  JOIN pg_catalog.pg_type t ON t.oid = parts.type
  CROSS JOIN LATERAL (
    SELECT t.typelem AS type WHERE t.typelem <> 0
    UNION ALL
    SELECT t.typbasetype WHERE t.typtype = 'd'
    UNION ALL
    SELECT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) made_of
)
SELECT
  (SELECT pg_catalog.json_agg(pg_catalog.format_type(type, modifier) ORDER BY at) FROM fields) AS names,
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(t.oid::pg_catalog.int8, CASE
      WHEN e.oid IS NOT NULL THEN
        pg_catalog.json_build_object('kind', 'array', 'element', e.oid::pg_catalog.int8, 'delimiter', e.typdelim)
      WHEN t.typtype = 'd' THEN
        pg_catalog.json_build_object('kind', 'domain', 'base', t.typbasetype::pg_catalog.int8)
      WHEN t.typtype = 'c' THEN
        pg_catalog.json_build_object('kind', 'composite', 'attributes',
          (SELECT coalesce(pg_catalog.json_agg(
                    pg_catalog.json_build_object('name', a.attname, 'type', a.atttypid::pg_catalog.int8)
                    ORDER BY a.attnum), '[]')
           FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
      ELSE pg_catalog.json_build_object('kind', 'scalar')
    END))
   FROM parts
   JOIN pg_catalog.pg_type t ON t.oid = parts.type
   LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid) AS shapes`;

async function ask(client: ClientBase, fields: readonly FieldDef[]): Promise<Answer> {
  const { rows } = await client.query<{ names: string[]; shapes: [number, TypeShape][] | null }>(TYPES, [
    fields.map(({ dataTypeID }) => dataTypeID),
    fields.map(({ dataTypeModifier }) => dataTypeModifier),
  ]);
  return { names: rows[0]?.names ?? [], shapes: rows[0]?.shapes ?? [] };
}
