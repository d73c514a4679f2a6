import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { RestoreStep } from '../../src/domain/replica.js';
import { Lexer } from '../../src/restore/lexer.js';
import { classify, type StatementKind } from '../../src/restore/statement.js';
import { wordsOf } from '../../src/restore/words.js';
import { least } from '../support/measure.js';

function kindOf(statement: string): StatementKind {
  return classify(Buffer.from(statement));
}

describe('what is run as it is', () => {
  /** As pg_dump writes them, unless they look otherwise. */
  const CASES: [
    statement: string,
    step: RestoreStep,
    counts: 'table' | 'index' | undefined,
    object: string | undefined,
  ][] = [
    // Schema
    ['CREATE SCHEMA reporting', 'SCHEMA', undefined, 'reporting'],
    [
      "CREATE TYPE public.mpaa_rating AS ENUM (\n    'G',\n    'OWNER TO x'\n)",
      'SCHEMA',
      undefined,
      'public.mpaa_rating',
    ],
    ['CREATE DOMAIN public."bıgınt" AS bigint', 'SCHEMA', undefined, 'public."bıgınt"'],
    ["CREATE COLLATION public.nd (provider = icu, locale = 'und')", 'SCHEMA', undefined, 'public.nd'],
    ['CREATE TABLE public.film (\n    film_id integer NOT NULL\n)', 'SCHEMA', 'table', 'public.film'],
    ['CREATE UNLOGGED TABLE public.cache (id integer)', 'SCHEMA', 'table', 'public.cache'],
    ['CREATE TEMP TABLE scratch (id integer)', 'SCHEMA', 'table', 'scratch'],
    ['CREATE TABLE IF NOT EXISTS film (id integer)', 'SCHEMA', 'table', 'film'],
    ['create table film as select 1 as id', 'SCHEMA', 'table', 'film'],
    ['CREATE TABLE public.payment (d date)\nPARTITION BY RANGE (d)', 'SCHEMA', 'table', 'public.payment'],
    ["CREATE TABLE public.p1 PARTITION OF public.p\nFOR VALUES IN ('a')", 'SCHEMA', 'table', 'public.p1'],
    [
      "ALTER TABLE ONLY public.payment ATTACH PARTITION public.p1 FOR VALUES FROM ('2022-01-01') TO ('2022-02-01')",
      'SCHEMA',
      undefined,
      'public.payment',
    ],
    [
      "ALTER TABLE ONLY public.film ALTER COLUMN film_id SET DEFAULT nextval('public.film_film_id_seq'::regclass)",
      'SCHEMA',
      undefined,
      'public.film',
    ],
    [
      'ALTER TABLE public.a ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME public.a_id_seq\n)',
      'SCHEMA',
      undefined,
      'public.a',
    ],
    ['ALTER TABLE ONLY public.film REPLICA IDENTITY FULL', 'SCHEMA', undefined, 'public.film'],
    // pg_dump forces it with the table, before the data, and enables it after.
    ['ALTER TABLE ONLY public.film FORCE ROW LEVEL SECURITY', 'SCHEMA', undefined, 'public.film'],
    ['ALTER TABLE film ADD COLUMN unique_name text', 'SCHEMA', undefined, 'film'],
    ['ALTER TABLE film ADD uniqueness integer', 'SCHEMA', undefined, 'film'],
    ['ALTER TABLE film ADD checked boolean', 'SCHEMA', undefined, 'film'],
    ['ALTER DOMAIN public.year ADD CONSTRAINT year_check CHECK ((VALUE > 0))', 'SCHEMA', undefined, 'public.year'],
    ['CREATE SEQUENCE public.film_film_id_seq\n    START WITH 1', 'SCHEMA', undefined, 'public.film_film_id_seq'],
    [
      'ALTER SEQUENCE public.film_film_id_seq OWNED BY public.film.film_id',
      'SCHEMA',
      undefined,
      'public.film_film_id_seq',
    ],
    ['CREATE VIEW public.film_list AS\n SELECT 1 AS fid', 'SCHEMA', undefined, 'public.film_list'],
    ['CREATE OR REPLACE VIEW public.film_list AS\n SELECT 1 AS fid', 'SCHEMA', undefined, 'public.film_list'],
    ['CREATE MATERIALIZED VIEW public.m AS\n SELECT 1 AS a\n  WITH NO DATA', 'SCHEMA', undefined, 'public.m'],
    [
      'CREATE FUNCTION public.last_day(timestamp) RETURNS date\n    LANGUAGE sql\n    AS $_$ SELECT 1; $_$',
      'SCHEMA',
      undefined,
      'public.last_day',
    ],
    [
      'CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE sql\nBEGIN ATOMIC\n SELECT 1;\nEND',
      'SCHEMA',
      undefined,
      'public.f',
    ],
    [
      'CREATE PROCEDURE public.p(IN a integer)\n    LANGUAGE sql\n    AS $$ INSERT INTO t VALUES (1) $$',
      'SCHEMA',
      undefined,
      'public.p',
    ],
    [
      'CREATE AGGREGATE public.group_concat(text) (\n    SFUNC = public._group_concat,\n    STYPE = text\n)',
      'SCHEMA',
      undefined,
      'public.group_concat',
    ],
    [
      'CREATE TEXT SEARCH CONFIGURATION public.en (\n    PARSER = pg_catalog."default" )',
      'SCHEMA',
      undefined,
      'public.en',
    ],
    ['CREATE STATISTICS public.s (dependencies) ON a, b FROM public.t', 'SCHEMA', undefined, 'public.s'],
    ['DO $$ BEGIN ALTER TABLE a OWNER TO b; END $$', 'SCHEMA', undefined, undefined],
    // Data
    ['COPY public.actor (actor_id, first_name) FROM stdin', 'DATA', undefined, 'public.actor'],
    ["INSERT INTO public.actor VALUES (1, 'OWNER TO x')", 'DATA', undefined, 'public.actor'],
    ["INSERT INTO categories VALUES (1, 'Beverages')", 'DATA', undefined, 'categories'],
    ['UPDATE ONLY film SET a = 1', 'DATA', undefined, 'film'],
    ['DELETE FROM film', 'DATA', undefined, 'film'],
    ['WITH a AS (SELECT 1) INSERT INTO b SELECT * FROM a', 'DATA', undefined, undefined],
    ["SELECT pg_catalog.setval('public.actor_actor_id_seq', 200, true)", 'DATA', undefined, undefined],
    ["SELECT pg_catalog.lo_create('16513')", 'DATA', undefined, undefined],
    ["SELECT pg_catalog.lo_open('16513', 131072)", 'DATA', undefined, undefined],
    ["SELECT pg_catalog.lowrite(0, '\\x00')", 'DATA', undefined, undefined],
    ['SELECT pg_catalog.lo_close(0)', 'DATA', undefined, undefined],
    // Indexes, and constraints that are made of one
    ['CREATE INDEX film_title ON public.film USING btree (title)', 'INDEXES', 'index', 'film_title'],
    ['CREATE UNIQUE INDEX "a b" ON public.film USING btree (lower(title)) WHERE (a > 0)', 'INDEXES', 'index', '"a b"'],
    ['CREATE INDEX i ON ONLY public.payment USING gin (tags)', 'INDEXES', 'index', 'i'],
    ['CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON film (a)', 'INDEXES', 'index', 'i'],
    [
      'ALTER TABLE ONLY public.actor\n    ADD CONSTRAINT actor_pkey PRIMARY KEY (actor_id)',
      'INDEXES',
      'index',
      'public.actor',
    ],
    [
      'ALTER TABLE ONLY public.actor\n    ADD CONSTRAINT "a key" PRIMARY KEY USING INDEX i',
      'INDEXES',
      'index',
      'public.actor',
    ],
    [
      'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (b) DEFERRABLE',
      'INDEXES',
      'index',
      'public.a',
    ],
    [
      'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT e EXCLUDE USING gist (during WITH &&)',
      'INDEXES',
      'index',
      'public.a',
    ],
    ['ALTER TABLE a ADD PRIMARY KEY (id)', 'INDEXES', 'index', 'a'],
    ['ALTER TABLE a ADD UNIQUE (id)', 'INDEXES', 'index', 'a'],
    // What needs the data to be there
    [
      'ALTER INDEX public.payment_pkey ATTACH PARTITION public.p1_pkey',
      'CONSTRAINTS',
      undefined,
      'public.payment_pkey',
    ],
    [
      'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_b_fkey FOREIGN KEY (b) REFERENCES public.b(id)',
      'CONSTRAINTS',
      undefined,
      'public.a',
    ],
    ['ALTER TABLE public.a\n    ADD CONSTRAINT c CHECK ((b > 0)) NOT VALID', 'CONSTRAINTS', undefined, 'public.a'],
    ['ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b', 'CONSTRAINTS', undefined, 'a'],
    [
      'CREATE TRIGGER last_updated BEFORE UPDATE ON public.actor FOR EACH ROW EXECUTE FUNCTION public.f()',
      'CONSTRAINTS',
      undefined,
      'last_updated',
    ],
    [
      'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.f()',
      'CONSTRAINTS',
      undefined,
      't',
    ],
    ['CREATE RULE r AS\n    ON INSERT TO public.v DO INSTEAD NOTHING', 'CONSTRAINTS', undefined, 'r'],
    ['CREATE POLICY own ON public.a USING ((owner = CURRENT_USER))', 'CONSTRAINTS', undefined, 'own'],
    ['ALTER TABLE public.a ENABLE ROW LEVEL SECURITY', 'CONSTRAINTS', undefined, 'public.a'],
    ['REFRESH MATERIALIZED VIEW public.m', 'CONSTRAINTS', undefined, 'public.m'],
  ];

  test.each(CASES)('%s', (statement, step, counts, object) => {
    const kind = kindOf(statement);
    expect({ ...kind, counts: kind.counts }).toMatchObject({
      step,
      counts,
      object,
      skip: undefined,
      lenient: undefined,
      extension: undefined,
      harmless: expect.any(Boolean),
    });
  });

  test.each<[statement: string, object: string]>([
    ['CREATE TABLE public."owner to x" (id integer)', 'public."owner to x"'],
    ['CREATE TABLE "OWNER TO x" (id integer)', '"OWNER TO x"'],
    ['ALTER TABLE public."OWNER TO x" ADD COLUMN "OWNER TO y" text', 'public."OWNER TO x"'],
    ['ALTER TABLE a RENAME TO "b OWNER TO c"', 'a'],
    ['CREATE TABLE database (id integer)', 'database'],
    ['CREATE TABLE type (id integer)', 'type'],
    ['CREATE TABLE public.role (id integer)', 'public.role'],
    ['ALTER TABLE database ADD COLUMN subscription text', 'database'],
    ['INSERT INTO language VALUES (1)', 'language'],
    ['COPY policy (rule, trigger) FROM stdin', 'policy'],
    ['COPY public.subscription (database) FROM stdin', 'public.subscription'],
    ['CREATE VIEW public.server AS SELECT 1', 'public.server'],
    ['CREATE TABLE "create extension" (id integer)', '"create extension"'],
    ['CREATE TABLE "say ""hi""; drop"."a.b" (id integer)', '"say ""hi""; drop"."a.b"'],
    ['CREATE INDEX "DATABASE" ON public.a USING btree (b)', '"DATABASE"'],
    ["CREATE FUNCTION public.drop_database() RETURNS void LANGUAGE sql AS 'SELECT'", 'public.drop_database'],
  ])('also with a name that looks like a statement: %s', (statement, object) => {
    const kind = kindOf(statement);
    expect(kind).toMatchObject({ object, harmless: false });
    expect(kind.skip).toBeUndefined();
    expect(kind.lenient).toBeUndefined();
  });
});

describe('what is skipped', () => {
  const CASES: Record<string, string[]> = {
    OWNERSHIP_SKIPPED: [
      'ALTER TABLE public.film OWNER TO postgres',
      'ALTER TABLE public."my table" OWNER TO "a role"',
      'ALTER TABLE public."my\ttable" OWNER TO "a\nrole"',
      'ALTER FUNCTION public.last_day(timestamp without time zone) OWNER TO postgres',
      'ALTER SCHEMA public OWNER TO pg_database_owner',
      'ALTER DATABASE shop OWNER TO postgres',
      'ALTER LARGE OBJECT 16513 OWNER TO postgres',
      'ALTER OPERATOR public.=== (integer, integer) OWNER TO postgres',
      'ALTER EVENT TRIGGER t OWNER TO postgres',
      'alter table film owner to CURRENT_USER',
      "SET SESSION AUTHORIZATION 'postgres'",
      'SET SESSION AUTHORIZATION DEFAULT',
      'SET LOCAL SESSION AUTHORIZATION postgres',
      'RESET SESSION AUTHORIZATION',
    ],
    DATABASE_SKIPPED: [
      "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8'",
      'DROP DATABASE IF EXISTS shop',
      "ALTER DATABASE shop SET search_path TO 'public'",
      "COMMENT ON DATABASE shop IS 'the shop'",
      "SECURITY LABEL FOR selinux ON DATABASE shop IS 'x'",
      'GRANT CONNECT ON DATABASE shop TO reader',
      'REVOKE ALL ON DATABASE shop FROM PUBLIC',
    ],
    SERVER_OBJECT_SKIPPED: [
      'CREATE ROLE reader',
      "ALTER ROLE reader WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:x'",
      'DROP ROLE IF EXISTS reader',
      'CREATE USER reader',
      'CREATE GROUP readers',
      "COMMENT ON ROLE reader IS 'reads'",
      "CREATE TABLESPACE fast LOCATION '/mnt/fast'",
      "ALTER SYSTEM SET fsync TO 'off'",
    ],
    PUBLICATION_SKIPPED: [
      "CREATE PUBLICATION p WITH (publish = 'insert, update')",
      'ALTER PUBLICATION p ADD TABLE ONLY public.film',
      "COMMENT ON PUBLICATION p IS 'all'",
      "CREATE SUBSCRIPTION s CONNECTION 'host=prod password=x' PUBLICATION p WITH (connect = false)",
      'DROP SUBSCRIPTION s',
    ],
    FOREIGN_DATA_SKIPPED: [
      'CREATE FOREIGN DATA WRAPPER w',
      "CREATE SERVER prod FOREIGN DATA WRAPPER postgres_fdw OPTIONS (\n    host 'prod'\n)",
      "CREATE USER MAPPING FOR app SERVER prod OPTIONS (\n    password 'x'\n)",
      'DROP USER MAPPING IF EXISTS FOR app SERVER prod',
      'CREATE FOREIGN TABLE public.remote (\n    id integer\n)\nSERVER prod',
      "ALTER FOREIGN TABLE ONLY public.remote ALTER COLUMN id OPTIONS (\n    column_name 'i'\n)",
      "COMMENT ON FOREIGN TABLE public.remote IS 'far'",
      'GRANT USAGE ON FOREIGN SERVER prod TO app',
      'REVOKE ALL ON FOREIGN DATA WRAPPER w FROM PUBLIC',
    ],
    EVENT_TRIGGER_SKIPPED: [
      'CREATE EVENT TRIGGER t ON ddl_command_end\n   EXECUTE FUNCTION public.f()',
      'ALTER EVENT TRIGGER t DISABLE',
      "COMMENT ON EVENT TRIGGER t IS 'x'",
    ],
    OPERATOR_CLASS_SKIPPED: [
      'CREATE OPERATOR FAMILY public.f USING btree',
      'CREATE OPERATOR CLASS public.c\n    FOR TYPE integer USING btree AS\n    OPERATOR 1 <(integer,integer)',
      'ALTER OPERATOR FAMILY public.f USING btree ADD\n    OPERATOR 1 <(integer,bigint)',
      'CREATE ACCESS METHOD a TYPE INDEX HANDLER public.h',
    ],
    TEXT_SEARCH_SKIPPED: [
      'CREATE TEXT SEARCH PARSER public.p (\n    START = prsd_start )',
      'CREATE TEXT SEARCH TEMPLATE public.t (\n    LEXIZE = dsimple_lexize )',
      "COMMENT ON TEXT SEARCH PARSER public.p IS 'x'",
    ],
    EXTENSION_DETAIL_SKIPPED: [
      "COMMENT ON EXTENSION hstore IS 'data type for storing sets of (key, value) pairs'",
      "ALTER EXTENSION hstore UPDATE TO '1.8'",
    ],
  };

  test.each(codesOf(CASES))('%s: %s', (code, statement) => {
    const kind = kindOf(statement);
    expect(kind.skip?.code).toBe(code);
    expect(kind.skip?.message).toMatch(/\S/);
    // Not run, it cannot lie in wait for anything.
    expect(kind.harmless).toBe(true);
  });
});

describe('what is run, and forgiven when PostgreSQL refuses it', () => {
  const CASES: Record<string, string[]> = {
    EXTENSION_SKIPPED: ['CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public', 'CREATE EXTENSION postgis'],
    SETTING_SKIPPED: [
      'SET statement_timeout = 0',
      'SET transaction_timeout = 0',
      'SET default_with_oids = false',
      "SET default_tablespace = ''",
      'RESET client_min_messages',
      "SELECT pg_catalog.set_config('search_path', '', false)",
    ],
    GRANT_SKIPPED: [
      'GRANT SELECT ON TABLE public.film TO reader',
      'GRANT SELECT ON TABLE public.database TO reader',
      'GRANT ALL(title) ON TABLE public.film TO reader',
      'GRANT reader TO app GRANTED BY postgres',
      'REVOKE ALL ON FUNCTION public.f() FROM PUBLIC',
      'REVOKE USAGE ON SCHEMA public FROM PUBLIC',
      'ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT SELECT ON TABLES TO reader',
      'ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE ALL ON FUNCTIONS FROM PUBLIC',
    ],
    COMMENT_SKIPPED: [
      "COMMENT ON TABLE public.film IS 'it''s OWNER TO x'",
      "COMMENT ON COLUMN public.film.database IS 'which'",
      "COMMENT ON SCHEMA public IS 'standard public schema'",
      "COMMENT ON FUNCTION public.f(integer) IS 'f'",
      "SECURITY LABEL FOR anon ON COLUMN public.a.b IS 'MASKED'",
    ],
    DROP_SKIPPED: [
      'DROP TABLE IF EXISTS employees',
      'DROP TABLE public.film',
      'DROP TRIGGER last_updated ON public.actor',
      'DROP SCHEMA public',
      'DROP EXTENSION hstore',
      'ALTER TABLE IF EXISTS ONLY public.a DROP CONSTRAINT IF EXISTS a_pkey',
      'ALTER TABLE public.a ALTER COLUMN id DROP DEFAULT',
      'ALTER DOMAIN public.email DROP CONSTRAINT later',
      "SELECT pg_catalog.lo_unlink('4711')",
      'CREATE OR REPLACE VIEW public.v AS\nSELECT\n    NULL::date AS at,\n    NULL::shop.mood AS "m; x"',
    ],
    STATISTICS_SKIPPED: ["SELECT * FROM pg_catalog.pg_restore_relation_stats(\n\t'version', '180000'::integer\n)"],
    LANGUAGE_SKIPPED: ['CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql', 'CREATE TRUSTED LANGUAGE plpgsql'],
    TRIGGER_SWITCH_SKIPPED: [
      'ALTER TABLE public.film DISABLE TRIGGER ALL',
      'ALTER TABLE public."my film" ENABLE TRIGGER ALL',
    ],
    CAST_SKIPPED: [
      'CREATE CAST (text AS integer) WITH INOUT AS IMPLICIT',
      'CREATE TRANSFORM FOR integer LANGUAGE plpgsql (FROM SQL WITH FUNCTION pg_catalog.prsd_lextype(internal))',
    ],
    SCHEMA_EXISTS: ['CREATE SCHEMA public', 'CREATE SCHEMA IF NOT EXISTS "public"'],
  };

  test.each(codesOf(CASES))('%s: %s', (code, statement) => {
    const kind = kindOf(statement);
    expect(kind.lenient?.code).toBe(code);
    expect(kind.skip).toBeUndefined();
  });

  test.each<[statement: string, sqlstates: string[], not: string]>([
    ['DROP TABLE film', ['42P01', '42704', '3F000'], '2BP01'],
    ['CREATE LANGUAGE plpgsql', ['42710'], '42601'],
    ['CREATE SCHEMA public', ['42P06'], '42501'],
    ['CREATE CAST (a AS b) WITH INOUT', ['42501'], '42704'],
  ])('%s only for %j, not for %s', (statement, sqlstates, not) => {
    const only = kindOf(statement).lenient?.only;
    expect(only).toEqual(expect.arrayContaining(sqlstates));
    expect(only).not.toContain(not);
  });

  test.each([
    'ALTER TABLE a ENABLE TRIGGER t',
    'CREATE SCHEMA reporting',
    'ALTER TABLE a DROP COLUMN b',
    'CREATE TEXT SEARCH CONFIGURATION c (PARSER = p)',
    'CREATE TABLE a ()',
    'CREATE OR REPLACE VIEW v AS SELECT NULL::text AS a FROM t',
  ])('not: %s', (statement) => {
    expect(kindOf(statement).lenient).toBeUndefined();
  });
});

test.each<[statement: string, kind: Partial<StatementKind>]>([
  ['ALTER TABLE public.film DISABLE TRIGGER ALL', { triggers: 'DISABLE', object: 'public.film' }],
  ['ALTER TABLE ONLY film ENABLE TRIGGER ALL', { triggers: 'ENABLE', object: 'film' }],
  ['ALTER TABLE film DISABLE TRIGGER USER', { triggers: undefined }],
  ['REVOKE ALL ON TABLE public.film FROM app', { last: true }],
  ['ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app', { last: undefined }],
])('what waits for the rows, or makes way for them: %s', (statement, kind) => {
  const { last, triggers, object } = kindOf(statement);
  expect({ last, triggers, object }).toMatchObject(kind);
});

test.each<[statement: string, name: string, schema: string | undefined]>([
  ['CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public', 'hstore', 'public'],
  ['CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA "My ""own"" schema"', 'uuid-ossp', 'My "own" schema'],
  ['CREATE EXTENSION HStore', 'hstore', undefined],
  ["create extension postgis schema GIS version '3.1' cascade", 'postgis', 'gis'],
])('%s names the extension %s in schema %s', (statement, name, schema) => {
  expect(kindOf(statement).extension).toEqual({ name, schema });
});

describe('before the administrator creates an extension', () => {
  test.each([
    'SET check_function_bodies = false',
    "SELECT pg_catalog.set_config('search_path', '', false)",
    'BEGIN',
    'COMMIT',
    'CREATE SCHEMA gis',
    'CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public',
    "COMMENT ON SCHEMA gis IS 'x'",
    'DROP TABLE IF EXISTS public.film',
    'ALTER TABLE IF EXISTS ONLY public.film DROP CONSTRAINT IF EXISTS film_pkey',
    'ALTER TABLE public."my film" ALTER COLUMN "film id" DROP DEFAULT',
  ])('there may be: %s', (statement) => {
    expect(kindOf(statement).harmless).toBe(true);
  });

  test.each([
    'CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS $$ $$',
    'CREATE OPERATOR public.= (FUNCTION = public.f)',
    'CREATE TABLE public.a (id integer)',
    'CREATE TYPE public.t AS (a integer)',
    'CREATE CAST (text AS integer) WITH FUNCTION public.f(text)',
    'ALTER TABLE public.a DROP CONSTRAINT c, ALTER COLUMN b SET DEFAULT public.f()',
    'DO $$ BEGIN END $$',
    'SELECT public.f()',
    'GRANT ALL ON SCHEMA public TO PUBLIC',
    'INSERT INTO a VALUES (1)',
  ])('there must not be: %s', (statement) => {
    expect(kindOf(statement).harmless).toBe(false);
  });
});

describe('the words of a statement', () => {
  test.each<[string, string]>([
    ['alter  Table\n"My Table"\tx', 'ALTER TABLE "MY_TABLE" X'],
    ['SELECT -- to the end\n 1 /* and\n this */ , 2', 'SELECT 1 , 2'],
    ['\'it\'\'s\' "q""q" a$1', `'s' "Q""Q" A$1`],
    ['public.film', 'PUBLIC . FILM'],
    ['größe', 'GRÖSSE'],
    ["'never closed", "' NEVER CLOSED"],
  ])('%j are %s', (text, shapes) => {
    expect(
      wordsOf(text)
        .map((word) => word.shape)
        .join(' '),
    ).toBe(shapes);
  });

  test('are judged by their beginning: a statement of 10 MB takes no longer than a short one', async () => {
    const rows = Buffer.from(`INSERT INTO public.film VALUES ${"('x', 1), ".repeat(1_000_000)}('y', 2)`);
    const ms = await least(100, () => {
      const start = performance.now();
      expect(classify(rows)).toMatchObject({ step: 'DATA', object: 'public.film' });
      return performance.now() - start;
    });
    expect(ms).toBeLessThan(100);
  });
});

test('every statement of the example dump is what it is', () => {
  const lexer = new Lexer();
  const tokens = [...lexer.push(readFileSync(new URL('../../examples/library.sql', import.meta.url))), ...lexer.end()];
  const kinds = tokens.flatMap((token) => (token.kind === 'statement' ? [classify(token.bytes)] : []));
  const count = (is: (kind: StatementKind) => boolean) => kinds.filter(is).length;
  expect({
    tables: count((kind) => kind.counts === 'table'),
    indexes: count((kind) => kind.counts === 'index'),
    data: count((kind) => kind.step === 'DATA'),
    constraints: count((kind) => kind.step === 'CONSTRAINTS'),
    skipped: count((kind) => kind.skip !== undefined),
  }).toEqual({
    tables: 17,
    // 22 keys and 26 indexes.
    indexes: 48,
    // 16 tables with rows of their own, 10 sequences.
    data: 26,
    // 15 index partitions, a trigger, 13 foreign keys, a materialised view.
    constraints: 30,
    skipped: 0,
  });
  // The steps follow each other in a dump.
  const order = ['SCHEMA', 'DATA', 'INDEXES', 'CONSTRAINTS'];
  const steps = kinds
    .filter((kind) => !kind.lenient && kind.object !== 'public.copy_where')
    .map((kind) => order.indexOf(kind.step));
  expect(steps).toEqual([...steps].sort());
});

function codesOf(cases: Record<string, string[]>): [code: string, statement: string][] {
  return Object.entries(cases).flatMap(([code, statements]) =>
    statements.map((statement): [string, string] => [code, statement]),
  );
}

describe('a statement that does several things', () => {
  test.each([
    'ALTER TABLE t ADD COLUMN b int, OWNER TO bob',
    'ALTER TABLE t DROP CONSTRAINT nope, ADD COLUMN c int',
    'ALTER TABLE t ADD COLUMN d int, DISABLE TRIGGER ALL',
  ])('is neither skipped nor forgiven as a whole: %s', (sql) => {
    expect(classify(Buffer.from(sql))).toMatchObject({ skip: undefined, lenient: undefined, harmless: false });
  });

  test('is told from one with commas inside of parentheses', () => {
    expect(classify(Buffer.from('ALTER FUNCTION f(a int, b text) OWNER TO bob')).skip?.code).toBe('OWNERSHIP_SKIPPED');
  });
});

describe('before extensions, harmless', () => {
  test.each([
    ['CREATE SCHEMA s', true],
    ['CREATE SCHEMA IF NOT EXISTS "s" AUTHORIZATION bob', true],
    ["CREATE COLLATION public.c (provider = icu, locale = 'de')", true],
    ['CREATE SCHEMA s CREATE VIEW v AS SELECT 1', false],
    ['CREATE /* /* */ SCHEMA x */ FUNCTION public.evil() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', false],
    ['CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', false],
  ])('is %s: %s', (sql, harmless) => {
    expect(classify(Buffer.from(sql)).harmless).toBe(harmless);
  });

  test.each([
    ['CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION f(internal))', true],
    ['/* /* */ CREATE TRANSFORM FOR */ DO $$ BEGIN COMMIT; END $$', false],
    ['CALL p()', false],
  ])('where it is refused: %s: %s', (sql, harmless) => {
    expect(classify(Buffer.from(sql)).harmlessWhenRefused).toBe(harmless);
  });
});
