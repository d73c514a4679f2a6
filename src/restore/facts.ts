import { relationName } from './place.js';
import type { Session } from './session.js';

/** What the tables of a database have to do with each other, as far as it matters for loading them side by side. */
export interface Facts {
  /** Whether the order in which tables are loaded may make a difference to this one. */
  isOrdered(table: string): boolean;
  /** It is an ordinary table, and has no row. */
  isEmpty(table: string): boolean;
  /** Parents in the sense of inheritance and partitioning, and theirs. */
  ancestors(table: string): readonly string[];
  descendants(table: string): readonly string[];
  /** The tables and materialised views that filling this one reads; undefined when it may read more than can be told. */
  readBy(view: string): readonly string[] | undefined;
}

/** Functions of the script, which may do anything. */
const OWN = `
own AS MATERIALIZED (
  SELECT p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
  WHERE p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')
)`;

/**
 * Functions that are not PostgreSQL's own and not written in C may read any table. A table is ordered when loading it
 * may run one of them: by a trigger, a rule, a check, a generated column or default, an index; or when it has foreign
 * keys already. A domain or a partition key that uses one concerns more tables than can be told: then all are ordered.
 */
const ORDERED = `
WITH ${OWN}, used AS MATERIALIZED (
  SELECT d.classid, d.objid FROM pg_depend d
  WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM own)
     OR d.refclassid = 'pg_operator'::regclass
        AND d.refobjid IN (SELECT o.oid FROM pg_operator o JOIN own ON own.oid = o.oprcode)
), suspects AS (
  SELECT c.conrelid AS oid FROM used JOIN pg_constraint c ON used.classid = 'pg_constraint'::regclass AND c.oid = used.objid
  UNION SELECT a.adrelid FROM used JOIN pg_attrdef a ON used.classid = 'pg_attrdef'::regclass AND a.oid = used.objid
  UNION SELECT i.indrelid FROM used JOIN pg_index i ON used.classid = 'pg_class'::regclass AND i.indexrelid = used.objid
  UNION SELECT 0 FROM used JOIN pg_class c ON used.classid = 'pg_class'::regclass AND c.oid = used.objid AND c.relkind = 'p'
  UNION SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND (relhastriggers OR relhasrules)
)
SELECT n.nspname, c.relname FROM suspects s
LEFT JOIN pg_class c ON c.oid = s.oid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE s.oid = 0 OR c.oid >= 16384`;

const FILLED = `
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid >= 16384 AND (c.relkind IN ('p', 'f') OR c.relkind = 'r' AND pg_relation_size(c.oid) > 0)`;

const INHERITANCE = `
SELECT cn.nspname, c.relname, pn.nspname, p.relname FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p') JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace`;

/**
 * What materialised views read, through views as well: all relations in their query trees. Without a name, a relation
 * is one of the system's or a sequence, whose contents depend on what else has been restored; so it is where one of the
 * functions of above is called.
 */
const READS = `
WITH RECURSIVE ${OWN}, calls AS MATERIALIZED (
  SELECT d.objid AS rule FROM pg_depend d WHERE d.classid = 'pg_rewrite'::regclass
    AND (d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM own)
      OR d.refclassid = 'pg_operator'::regclass
         AND d.refobjid IN (SELECT o.oid FROM pg_operator o JOIN own ON own.oid = o.oprcode))
), rules AS MATERIALIZED (
  SELECT r.ev_class AS view, relation[1]::oid AS relation
  FROM pg_rewrite r, regexp_matches(r.ev_action::text, ':relid (\\d+) ', 'g') AS relation
  WHERE r.ev_type = '1' AND r.ev_class >= 16384 AND relation[1]::oid <> r.ev_class
  UNION SELECT r.ev_class, 0 FROM pg_rewrite r JOIN calls ON calls.rule = r.oid
), reads AS (
  SELECT c.oid AS view, rules.relation FROM pg_class c JOIN rules ON rules.view = c.oid WHERE c.relkind = 'm'
  UNION SELECT reads.view, rules.relation FROM reads
    JOIN pg_class v ON v.oid = reads.relation AND v.relkind = 'v' JOIN rules ON rules.view = v.oid
)
SELECT vn.nspname, v.relname, rn.nspname, r.relname FROM reads
JOIN pg_class v ON v.oid = reads.view JOIN pg_namespace vn ON vn.oid = v.relnamespace
LEFT JOIN pg_class r ON r.oid = reads.relation AND r.oid >= 16384 AND r.relkind IN ('r', 'p', 'm', 'v')
LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace`;

/** The session's search path must be empty, so that the names are PostgreSQL's own. */
export async function readFacts(session: Session): Promise<Facts> {
  const ordered = new Set<string>();
  let allOrdered = false;
  for (const [schema, name] of await session.rows(ORDERED)) {
    if (schema && name) ordered.add(relationName(schema, name));
    else allOrdered = true;
  }
  const filled = new Set<string>();
  for (const [schema, name] of await session.rows(FILLED)) filled.add(relationName(schema as string, name as string));
  const [parents, children] = [new Map<string, string[]>(), new Map<string, string[]>()];
  for (const [schema, name, parentSchema, parentName] of await session.rows(INHERITANCE)) {
    const child = relationName(schema as string, name as string);
    const parent = relationName(parentSchema as string, parentName as string);
    parents.set(child, [...(parents.get(child) ?? []), parent]);
    const siblings = children.get(parent);
    if (siblings) siblings.push(child);
    else children.set(parent, [child]);
  }
  const reads = new Map<string, Set<string | undefined>>();
  for (const [schema, name, readSchema, readName] of await session.rows(READS)) {
    const view = relationName(schema as string, name as string);
    const known = reads.get(view) ?? new Set();
    known.add(readSchema && readName ? relationName(readSchema, readName) : undefined);
    reads.set(view, known);
  }
  return {
    readBy(view) {
      const known = reads.get(view) ?? new Set();
      return allOrdered || known.has(undefined) ? undefined : [...(known as Set<string>)];
    },
    isOrdered: (table) =>
      allOrdered || ordered.has(table) || reachable(table, children).some((partition) => ordered.has(partition)),
    isEmpty: (table) => !filled.has(table),
    ancestors: (table) => reachable(table, parents),
    descendants: (table) => reachable(table, children),
  };
}

function reachable(from: string, next: ReadonlyMap<string, readonly string[]>): readonly string[] {
  if (!next.has(from)) return [];
  const found = new Set<string>();
  const visit = (table: string) => {
    for (const other of next.get(table) ?? []) {
      if (found.has(other)) continue;
      found.add(other);
      visit(other);
    }
  };
  visit(from);
  return [...found];
}
