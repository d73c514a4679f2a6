import pg from 'pg';
import { identifierOf, isName, type Word } from './words.js';

/**
 * What a statement of pg_dump needs of which tables, when it may leave the file's order: proven from its words alone.
 * Tables are named by `relationAt`. Without a place, a statement runs alone, after all before it and before all after it.
 */
export type Place =
  /** COPY or INSERT of rows. */
  | { readonly of: 'load'; readonly table: string }
  /** CREATE INDEX; other indexes of the table may be built at the same time. */
  | { readonly of: 'index'; readonly table: string; readonly only: boolean; readonly gin: boolean }
  /** A primary key, unique or exclusion constraint. */
  | { readonly of: 'key'; readonly table: string; readonly only: boolean }
  | { readonly of: 'foreignKey'; readonly table: string; readonly references: string }
  /** Concerns the one table only: a trigger, extended statistics, CLUSTER ON, REPLICA IDENTITY. */
  | { readonly of: 'table'; readonly table: string }
  /** Filling a materialised view. */
  | { readonly of: 'refresh'; readonly view: string }
  /** The position of a sequence. */
  | { readonly of: 'sequence' };

/** The "Type" of pg_dump's comment on a statement, for each kind of place. What they disagree on is left in its order. */
export const ENTRY_TYPES: Readonly<Record<Place['of'], ReadonlySet<string>>> = {
  load: new Set(['TABLE DATA']),
  index: new Set(['INDEX']),
  key: new Set(['CONSTRAINT']),
  foreignKey: new Set(['FK CONSTRAINT']),
  table: new Set(['TRIGGER', 'STATISTICS', 'INDEX', 'CONSTRAINT', 'TABLE']),
  refresh: new Set(['MATERIALIZED VIEW DATA']),
  sequence: new Set(['SEQUENCE SET']),
};

/** What a statement does to the session, beyond the database. */
export type SessionEffect = 'setting' | 'begin' | 'end' | 'other' | 'none';

const LOAD = /^(COPY|INSERT INTO) \S+ \. \S+ /;
/** A row is a line. */
const COPY_OF_ROWS = /^COPY \S+ \. \S+ (\( .* \) )?FROM (STDIN|STDOUT)$/;
/** As far as the head goes. */
const INSERT_OF_LITERALS = new RegExp(
  '^INSERT INTO \\S+ \\. \\S+ (\\( [^()]* \\) )?(OVERRIDING SYSTEM VALUE )?(DEFAULT VALUES|VALUES (\\( )?' +
    "([-+.0-9(), ]|'s'|NULL|DEFAULT|TRUE|FALSE|[BEX] 's'|ON CONFLICT DO NOTHING)*)",
);
const INDEX = /^CREATE (UNIQUE )?INDEX \S+ ON (ONLY )?(?=\S+ \. )/;
const ALTER_TABLE = /^ALTER TABLE (ONLY )?(?=\S+ \. )/;
const KEY = / ADD CONSTRAINT \S+ (PRIMARY KEY|UNIQUE|EXCLUDE) /;
const FOREIGN_KEY = / ADD CONSTRAINT \S+ FOREIGN KEY \([^()]*\) REFERENCES (?=\S+ \. )/;
const TABLE_ONLY = / (CLUSTER ON \S+|REPLICA IDENTITY USING INDEX \S+)$/;
const TRIGGER = /^CREATE (OR REPLACE )?TRIGGER \S+ (BEFORE|AFTER) (?!.* FROM ).* ON (?=\S+ \. )/;
const STATISTICS = /^CREATE STATISTICS \S+ \. \S+ (\([^()]*\) )?ON [^()]* FROM (?=\S+ \. \S+$)/;
const REFRESH = /^REFRESH MATERIALIZED VIEW \S+ \. \S+$/;
const SEQUENCE = /^SELECT PG_CATALOG \. SETVAL \( 's' , \d[\d ]* , (TRUE|FALSE) \)$/;

const SETTING =
  /^(SET (SESSION )?(?!LOCAL |ROLE |SESSION |TRANSACTION |CONSTRAINTS )\S+( \. \S+)? (=|TO) |SELECT PG_CATALOG \. SET_CONFIG \( 's' , 's' , FALSE \)$)/;
const BEGIN = /^(BEGIN|START TRANSACTION)\b/;
const END = /^(COMMIT|END|ROLLBACK|ABORT)\b(?!.* (TO|AND CHAIN)\b)/;
/** Of what pg_dump writes, all that leaves the session as it is. */
const WITHOUT_EFFECT = new RegExp(
  '^(CREATE (?!(GLOBAL |LOCAL )?TEMP)|ALTER|COMMENT ON|SECURITY LABEL|GRANT|REVOKE|DROP|INSERT INTO|COPY|REFRESH)\\b' +
    '|^SELECT PG_CATALOG \\. (SETVAL|LO_\\w+|LOWRITE) \\(|^SELECT \\* FROM PG_CATALOG \\. PG_RESTORE_\\w+_STATS \\(',
);

export function sessionEffectOf(head: string): SessionEffect {
  if (SETTING.test(head)) return 'setting';
  if (BEGIN.test(head)) return 'begin';
  if (END.test(head)) return 'end';
  return WITHOUT_EFFECT.test(head) ? 'none' : 'other';
}

/** `head`: the words' shapes, joined by spaces. With `atLength`, `words` are only the beginning of the statement. */
export function placeOf(words: readonly Word[], head: string, atLength: boolean): Place | undefined {
  if (LOAD.test(head)) {
    const table = relationAt(words, head.startsWith('COPY') ? 1 : 2);
    return table !== undefined && (COPY_OF_ROWS.test(head) || isInsertOfLiterals(head, atLength))
      ? { of: 'load', table }
      : undefined;
  }
  if (atLength) return undefined;
  if (SEQUENCE.test(head)) return { of: 'sequence' };
  if (REFRESH.test(head)) {
    const view = relationAt(words, 3);
    return view === undefined ? undefined : { of: 'refresh', view };
  }
  const trigger = TRIGGER.exec(head) ?? STATISTICS.exec(head);
  if (trigger) return onTable('table', words, trigger);
  const index = INDEX.exec(head);
  if (index) return callsFunctions(words) ? undefined : onIndexed(words, index, head);
  const alter = ALTER_TABLE.exec(head);
  if (alter?.index !== 0) return undefined;
  const foreignKey = FOREIGN_KEY.exec(head);
  if (foreignKey) {
    const table = relationAt(words, countWords(alter[0]));
    const references = relationAt(words, countWords(head.slice(0, foreignKey.index + foreignKey[0].length)));
    return table !== undefined && references !== undefined ? { of: 'foreignKey', table, references } : undefined;
  }
  if (KEY.test(head)) return callsFunctions(words) ? undefined : onTable('key', words, alter);
  return TABLE_ONLY.test(head) ? onTable('table', words, alter) : undefined;
}

function isInsertOfLiterals(head: string, atLength: boolean): boolean {
  const [matched] = INSERT_OF_LITERALS.exec(head) ?? [];
  return matched !== undefined && (atLength || matched.length === head.length);
}

function onTable(of: 'key' | 'table', words: readonly Word[], match: RegExpExecArray): Place | undefined {
  const table = relationAt(words, countWords(match[0]));
  if (table === undefined) return undefined;
  return of === 'key' ? { of, table, only: isOnly(match) } : { of, table };
}

/** ONLY: what inherits from the table, or is a partition of it, is left alone. */
function isOnly(match: RegExpExecArray): boolean {
  return match[0].endsWith(' ONLY ');
}

function onIndexed(words: readonly Word[], match: RegExpExecArray, head: string): Place | undefined {
  const table = relationAt(words, countWords(match[0]));
  return table === undefined ? undefined : { of: 'index', table, only: isOnly(match), gin: / USING GIN /.test(head) };
}

function countWords(text: string): number {
  return text.trim().split(' ').length;
}

/**
 * Whether an expression may run a function of the script, which may read any table: with an empty search path, such a
 * function, operator or type is written with its schema, those of PostgreSQL without.
 */
function callsFunctions(words: readonly Word[]): boolean {
  const from = words.findIndex((word) => word.text === '(');
  return words.some((word, at) => {
    if (at < from || word.text !== '.') return false;
    const [before, schema, , name, after] = words.slice(at - 2, at + 3);
    if (!isName(schema) || schema.shape === 'PG_CATALOG') return false;
    // A column of a composite value has its parentheses before the dot. An operator class is followed by none.
    return before?.text === '(' || before?.text === ':' || (isName(name) && after?.text === '(');
  });
}

/** A table's or view's name with its schema, the same for every way to write it; undefined without a schema. */
export function relationAt(words: readonly Word[], at: number): string | undefined {
  const [schema, dot, name] = words.slice(at, at + 3);
  if (!schema || !name || dot?.text !== '.' || !isName(schema) || !isName(name)) return undefined;
  return relationName(identifierOf(schema), identifierOf(name));
}

export function relationName(schema: string, name: string): string {
  return JSON.stringify([schema, name]);
}

/** Its schema and its own name. */
export function namesOf(relation: string): [schema: string, name: string] {
  return JSON.parse(relation);
}

/** As it is written in SQL. */
export function quotedRelation(relation: string): string {
  return namesOf(relation).map(pg.escapeIdentifier).join('.');
}

/** Any other name is known in the script's encoding only. */
export function isAscii(relation: string): boolean {
  return /^[ -~]*$/.test(relation);
}
