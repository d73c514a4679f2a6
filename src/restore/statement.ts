import type { RestoreStep } from '../domain/replica.js';
import { type Place, placeOf, type SessionEffect, sessionEffectOf } from './place.js';
import { identifierOf, isName, type Word, wordsOf } from './words.js';

/** What a statement is, as far as a restore by a role that is no superuser needs to know. */
export interface StatementKind {
  readonly step: RestoreStep;
  /** Counted in the progress as. */
  readonly counts?: 'table' | 'index';
  /** The object that it is about, as written: `public.film`. */
  readonly object?: string;
  /** Not run at all: what a plain role must not do and a replica does not need. */
  readonly skip?: Treatment;
  /** Run; when PostgreSQL refuses it, a warning, because neither schema nor data is lost. */
  readonly lenient?: Treatment;
  /** What it needs when it may leave the file's order, where the file is of pg_dump. */
  readonly place?: Place;
  readonly session: SessionEffect;
  /** COMMENT ON. */
  readonly comments: boolean;
  /** REFRESH MATERIALIZED VIEW. */
  readonly refreshes: boolean;
  /** May fail for want of a role. */
  readonly namesRoles: boolean;
  /** A function or procedure with something that only a superuser may give to it, as far as can be seen. */
  readonly asksSuperuser: boolean;
  /** Of a pg_dump, run after everything else, because it would stand in the way of what comes before. */
  readonly last?: true;
  /** ALTER TABLE ... TRIGGER ALL, for `object`. */
  readonly triggers?: 'DISABLE' | 'ENABLE';
  readonly extension?: { readonly name: string; readonly schema: string | undefined };
  /** Cannot define anything that a later statement of ours could be lured into calling. */
  readonly harmless: boolean;
  /** The same, where the server refuses it: it does nothing before it is checked. */
  readonly harmlessWhenRefused: boolean;
}

export interface Treatment {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** Something is missing from the replica: every object is named, not only the first. */
  readonly perObject?: true;
  /** Only for these SQLSTATEs; without it, for all. */
  readonly only?: readonly string[];
}

const OWNERSHIP: Treatment = {
  code: 'OWNERSHIP_SKIPPED',
  message: "owners are not taken over: everything in a replica belongs to the chat's role",
};
const DATABASE: Treatment = {
  code: 'DATABASE_SKIPPED',
  message: 'statements about databases and connections are skipped: a replica is one database of its own',
};
const SERVER_WIDE: Treatment = {
  code: 'SERVER_OBJECT_SKIPPED',
  message: 'roles, tablespaces and server settings are skipped: they belong to the server, not to the database',
};
const REPLICATION: Treatment = {
  code: 'PUBLICATION_SKIPPED',
  message: 'publications and subscriptions are skipped: a replica publishes and subscribes to nothing',
  perObject: true,
};
const FOREIGN: Treatment = {
  code: 'FOREIGN_DATA_SKIPPED',
  message: 'foreign servers, user mappings and foreign tables are skipped: a replica reaches no other server',
  perObject: true,
};
const EVENT_TRIGGER: Treatment = {
  code: 'EVENT_TRIGGER_SKIPPED',
  message: 'event triggers are skipped: only a superuser may own them',
  perObject: true,
};
const OPERATOR_CLASS: Treatment = {
  code: 'OPERATOR_CLASS_SKIPPED',
  message: 'operator classes, operator families and access methods are skipped: only a superuser may create them',
  perObject: true,
};
const TEXT_SEARCH: Treatment = {
  code: 'TEXT_SEARCH_SKIPPED',
  message: 'text search parsers and templates are skipped: only a superuser may create them',
  perObject: true,
};
const CAST: Treatment = {
  code: 'CAST_SKIPPED',
  message: "transforms, and casts between PostgreSQL's own types, are skipped: only a superuser may create them",
  only: ['42501'],
};
const EXTENSION_DETAIL: Treatment = {
  code: 'EXTENSION_DETAIL_SKIPPED',
  message: "changes to and comments on extensions are skipped: extensions belong to the server's administrator",
};
const EXTENSION: Treatment = {
  code: 'EXTENSION_SKIPPED',
  message: 'the server has no such extension, or lets only a superuser create it',
  hint: 'Use an image that has the extension (REPLICA_IMAGE); what the dump builds on it cannot be restored without.',
  perObject: true,
};
/** For one that the administrator does not create any more. */
export const LATE_EXTENSION: Treatment = {
  code: 'EXTENSION_SKIPPED',
  message: 'an extension that only a superuser may create comes after statements that might have set a trap for him',
  hint:
    'Move the line to the beginning of the script, where only SET, CREATE SCHEMA and its like stand before it, outside ' +
    'of any transaction (pg_restore --file=dump.sql makes a script of an archive).',
  perObject: true,
};
const SETTING: Treatment = {
  code: 'SETTING_SKIPPED',
  message: 'a setting that this server does not know or does not let a plain role change was left as it is',
};
const GRANT: Treatment = { code: 'GRANT_SKIPPED', message: 'a grant or revoke was refused and skipped' };
const COMMENT: Treatment = { code: 'COMMENT_SKIPPED', message: 'a comment or security label was refused and skipped' };
const DROP: Treatment = {
  code: 'DROP_SKIPPED',
  message: 'a DROP found nothing to drop: the replica starts empty',
  only: ['42P01', '42703', '42704', '42883', '3F000', '42501'],
};
const STATISTICS: Treatment = {
  code: 'STATISTICS_SKIPPED',
  message: "the planner's statistics of the source were refused: the replica collects its own",
};
const LANGUAGE: Treatment = {
  code: 'LANGUAGE_SKIPPED',
  message: 'the language is part of the server already',
  only: ['42710', '42501'],
};
const TRIGGER_SWITCH: Treatment = {
  code: 'TRIGGER_SWITCH_SKIPPED',
  message: 'triggers were not switched off or on: only a superuser may do so for those of foreign keys',
};
/** For what refers to something that is skipped. */
export const DEPENDENT: Treatment = {
  code: 'DEPENDENT_SKIPPED',
  message: 'what is built on something that was skipped is skipped, too',
  perObject: true,
};
/** For what is run without a clause of it. */
export const ROUTINE_CLAUSE: Treatment = {
  code: 'ROUTINE_CLAUSE_SKIPPED',
  message: 'a function or procedure was left without a clause that only a superuser may give to it',
  perObject: true,
};
const SCHEMA_EXISTS: Treatment = {
  code: 'SCHEMA_EXISTS',
  message: 'the schema public exists from the start',
  only: ['42P06'],
};

/** `head` is matched against the statement's words: keywords in upper case, "q" for a quoted name, 's' for a string. */
interface Rule {
  readonly head: RegExp;
  /** Only where this is all that the statement does: ALTER TABLE may have several actions, separated by commas. */
  readonly alone?: true;
  readonly skip?: Treatment;
  readonly lenient?: Treatment;
}

const RULES: readonly Rule[] = [
  { head: /^ALTER .* OWNER TO \S+$/, alone: true, skip: OWNERSHIP },
  { head: /^(CREATE|ALTER|DROP|COMMENT ON|SECURITY LABEL (FOR \S+ )?ON) DATABASE /, skip: DATABASE },
  { head: /^(GRANT|REVOKE) .* ON DATABASE /, skip: DATABASE },
  { head: /^(SET|RESET) (LOCAL |SESSION )?SESSION AUTHORIZATION/, skip: OWNERSHIP },
  { head: /^(CREATE|ALTER|DROP|COMMENT ON) (ROLE|USER|GROUP|TABLESPACE) (?!MAPPING )/, skip: SERVER_WIDE },
  { head: /^ALTER SYSTEM /, skip: SERVER_WIDE },
  { head: /^(CREATE|ALTER|DROP|COMMENT ON) (PUBLICATION|SUBSCRIPTION) /, skip: REPLICATION },
  { head: /^(CREATE|ALTER|DROP|COMMENT ON) (SERVER|USER MAPPING|FOREIGN DATA WRAPPER|FOREIGN TABLE) /, skip: FOREIGN },
  { head: /^IMPORT FOREIGN SCHEMA /, skip: FOREIGN },
  { head: /^(GRANT|REVOKE) .* ON FOREIGN (SERVER|DATA WRAPPER) /, skip: FOREIGN },
  { head: /^(CREATE|ALTER|DROP|COMMENT ON) EVENT TRIGGER /, skip: EVENT_TRIGGER },
  { head: /^(CREATE|ALTER|DROP|COMMENT ON) (OPERATOR (CLASS|FAMILY)|ACCESS METHOD) /, skip: OPERATOR_CLASS },
  { head: /^(CREATE|ALTER|DROP|COMMENT ON) TEXT SEARCH (PARSER|TEMPLATE) /, skip: TEXT_SEARCH },
  { head: /^CREATE (OR REPLACE )?(CAST \(|TRANSFORM FOR )/, lenient: CAST },
  { head: /^(ALTER|COMMENT ON) EXTENSION /, skip: EXTENSION_DETAIL },
  { head: /^CREATE EXTENSION /, lenient: EXTENSION },
  { head: /^(SET|RESET) /, lenient: SETTING },
  { head: /^SELECT PG_CATALOG \. SET_CONFIG \(/, lenient: SETTING },
  { head: /^(GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) /, lenient: GRANT },
  { head: /^(COMMENT ON|SECURITY LABEL) /, lenient: COMMENT },
  { head: /^DROP /, lenient: DROP },
  { head: /^ALTER (TABLE|DOMAIN) .* DROP (CONSTRAINT|DEFAULT|NOT NULL|IDENTITY)\b/, alone: true, lenient: DROP },
  { head: /^SELECT PG_CATALOG \. LO_UNLINK \(/, lenient: DROP },
  // By which `pg_dump --clean` takes a view's dependencies away before it drops them.
  { head: /^CREATE OR REPLACE VIEW \S+( \. \S+)?( WITH \(.*\))? AS SELECT NULL : : (?!.* FROM )/, lenient: DROP },
  { head: /^SELECT \* FROM PG_CATALOG \. PG_RESTORE_\w+_STATS \(/, lenient: STATISTICS },
  { head: /^(CREATE|ALTER) (OR REPLACE )?(TRUSTED )?(PROCEDURAL )?LANGUAGE /, lenient: LANGUAGE },
  { head: /^ALTER TABLE .* (DISABLE|ENABLE) TRIGGER ALL$/, alone: true, lenient: TRIGGER_SWITCH },
  { head: /^CREATE SCHEMA (IF NOT EXISTS )?(PUBLIC|"PUBLIC")( |$)/, lenient: SCHEMA_EXISTS },
];

const INDEX = /^CREATE (UNIQUE )?INDEX /;
const INDEX_CONSTRAINT = /^ALTER TABLE .* ADD (CONSTRAINT \S+ )?(PRIMARY KEY|UNIQUE|EXCLUDE)\b/;
const AFTER_DATA = new RegExp(
  '^ALTER TABLE .* ADD (CONSTRAINT \\S+ )?(FOREIGN KEY|CHECK)\\b|^ALTER INDEX |^CREATE (OR REPLACE )?(CONSTRAINT )?TRIGGER ' +
    '|^CREATE (OR REPLACE )?RULE |^CREATE POLICY |^REFRESH |^ALTER TABLE .* ENABLE ROW LEVEL SECURITY',
);
const TABLE = /^CREATE (UNLOGGED |(GLOBAL |LOCAL )?TEMP(ORARY)? )?TABLE /;
const DATA = /^(COPY|INSERT|UPDATE|DELETE|MERGE|WITH) |^SELECT PG_CATALOG \. (SETVAL|LO\w*|LOWRITE) \(/;
/** Together with what is skipped, all that pg_dump writes before its extensions, `--clean` included. */
const HARMLESS = new RegExp(
  '^(SET|RESET|BEGIN|COMMIT|CREATE EXTENSION|CREATE COLLATION|COMMENT ON|DROP|SELECT PG_CATALOG \\. SET_CONFIG)\\b' +
    '|^CREATE SCHEMA (IF NOT EXISTS )?\\S+( AUTHORIZATION \\S+)?$|^CREATE (OR REPLACE )?(TRUSTED )?(PROCEDURAL )?LANGUAGE ' +
    '|^ALTER TABLE (IF EXISTS )?(ONLY )?\\S+( \\. \\S+)? (DROP CONSTRAINT (IF EXISTS )?\\S+|ALTER COLUMN \\S+ DROP DEFAULT)$',
);

/**
 * A superuser is above what an owner has given up; an owner would be kept from the rows that come after it where a file
 * has the sections of pg_dump one after another.
 */
const PRIVILEGES = /^(GRANT|REVOKE) /;

/** Longer statements are judged by their beginning: what is matched above is never that long. */
const HEAD_BYTES = 8192;
/** Enough for the table's and the columns' names: there are as many INSERTs as rows. */
const INSERT_HEAD_BYTES = 512;
const INSERT = Buffer.from('INSERT INTO ');

const ROUTINE = /^(CREATE (OR REPLACE )?|ALTER )(FUNCTION|PROCEDURE|ROUTINE) /;
/** Also where these are words of its body. */
const ASKS_SUPERUSER = /\b(LEAKPROOF|SUPPORT|SET)\b/;

const NAMES_ROLES = /^(GRANT|REVOKE|ALTER (DEFAULT PRIVILEGES|POLICY)|CREATE (POLICY|SCHEMA)) |^ALTER .* OWNER TO /;

export function classify(statement: Buffer): StatementKind {
  const isInsert = statement.subarray(0, INSERT.length).equals(INSERT);
  const headBytes = isInsert ? INSERT_HEAD_BYTES : HEAD_BYTES;
  const text = statement.toString('utf8', 0, Math.min(statement.length, headBytes));
  const words = wordsOf(text);
  const head = words.map((word) => word.shape).join(' ');
  const several = hasSeveralActions(words);
  const rule = RULES.find((candidate) => candidate.head.test(head) && !(candidate.alone && several));
  const extension = /^CREATE EXTENSION /.test(head) ? extensionOf(words) : undefined;
  return {
    step: stepOf(head),
    ...countedAs(head),
    object: objectOf(words, head),
    skip: rule?.skip,
    lenient: rule?.lenient,
    extension,
    place:
      rule || (several && !isInsert && !/^(COPY|CREATE) /.test(head))
        ? undefined
        : placeOf(words, head, statement.length > headBytes),
    session: rule?.skip ? 'none' : sessionEffectOf(head),
    comments: head.startsWith('COMMENT ON '),
    refreshes: head.startsWith('REFRESH '),
    namesRoles: NAMES_ROLES.test(head),
    asksSuperuser: ROUTINE.test(head) && (statement.length > headBytes || ASKS_SUPERUSER.test(head)),
    ...(PRIVILEGES.test(head) && { last: true as const }),
    ...triggersOf(head),
    // pg_dump writes no block comments; nested ones could hide from `wordsOf` what a statement is.
    harmless: (rule?.skip !== undefined || HARMLESS.test(head)) && !text.includes('/*'),
    harmlessWhenRefused: rule?.lenient === CAST && !text.includes('/*'),
  };
}

function hasSeveralActions(words: readonly Word[]): boolean {
  let depth = 0;
  return words.some(({ text }) => {
    if (text === '(') depth += 1;
    if (text === ')') depth -= 1;
    return text === ',' && depth === 0;
  });
}

function stepOf(head: string): RestoreStep {
  if (INDEX.test(head) || INDEX_CONSTRAINT.test(head)) return 'INDEXES';
  if (AFTER_DATA.test(head)) return 'CONSTRAINTS';
  return DATA.test(head) ? 'DATA' : 'SCHEMA';
}

function countedAs(head: string): { counts?: 'table' | 'index' } {
  if (TABLE.test(head)) return { counts: 'table' };
  return INDEX.test(head) || INDEX_CONSTRAINT.test(head) ? { counts: 'index' } : {};
}

function triggersOf(head: string): { triggers?: 'DISABLE' | 'ENABLE' } {
  const [, verb] = /^ALTER TABLE [^,]* (DISABLE|ENABLE) TRIGGER ALL$/.exec(head) ?? [];
  return verb === 'DISABLE' || verb === 'ENABLE' ? { triggers: verb } : {};
}

/** Before the name of a table, which may itself look like a keyword. */
const BEFORE_TABLE =
  /^(INSERT INTO|COPY|(UPDATE|DELETE FROM|((CREATE (UNLOGGED |TEMP |TEMPORARY )?|ALTER |DROP )TABLE( IF (NOT )?EXISTS)?))( ONLY)?) /;

/** Keywords that may stand between the verb and the name of what the statement is about. */
const BEFORE_NAME = new Set(
  (
    'CREATE ALTER DROP COMMENT ON OR REPLACE UNIQUE UNLOGGED GLOBAL LOCAL TEMP TEMPORARY TABLE INDEX CONCURRENTLY VIEW ' +
    'MATERIALIZED RECURSIVE SEQUENCE FUNCTION PROCEDURE ROUTINE AGGREGATE TYPE DOMAIN SCHEMA EXTENSION TRIGGER CONSTRAINT RULE ' +
    'POLICY COLLATION CONVERSION STATISTICS OPERATOR LANGUAGE COLUMN IF NOT EXISTS ONLY INSERT INTO COPY UPDATE DELETE ' +
    'FROM REFRESH TEXT SEARCH CONFIGURATION DICTIONARY PARSER TEMPLATE FOREIGN SERVER DATA WRAPPER USER MAPPING FOR ' +
    'EVENT CLASS FAMILY ACCESS METHOD PUBLICATION SUBSCRIPTION PROCEDURAL TRUSTED'
  ).split(' '),
);

function objectOf(words: readonly Word[], head: string): string | undefined {
  if (!words[0] || !BEFORE_NAME.has(words[0].shape)) return undefined;
  const table = BEFORE_TABLE.exec(head)?.[0];
  const start = table ? table.split(' ').length - 1 : words.findIndex((word) => !BEFORE_NAME.has(word.shape));
  if (start < 1 || !isName(words[start])) return undefined;
  let end = start + 1;
  while (words[end]?.text === '.' && isName(words[end + 1])) end += 2;
  return words
    .slice(start, end)
    .map((word) => word.text)
    .join('');
}

function extensionOf(words: readonly Word[]): StatementKind['extension'] {
  const name = nameAt(words, words[2]?.shape === 'IF' ? 5 : 2);
  const schemaAt = words.findIndex((word) => word.shape === 'SCHEMA');
  return name === undefined ? undefined : { name, schema: schemaAt > 0 ? nameAt(words, schemaAt + 1) : undefined };
}

function nameAt(words: readonly Word[], index: number): string | undefined {
  const word = words[index];
  return isName(word) ? identifierOf(word) : undefined;
}
