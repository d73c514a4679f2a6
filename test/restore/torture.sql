-- One of nearly everything that pg_dump prints and that a role which is no superuser can hold; at the end, what it
-- cannot. Run by psql as a superuser that is called like the chat's role, in an empty database.

CREATE ROLE reader;
CREATE ROLE "role ""with"" quotes; -- and more ü";
CREATE ROLE other_owner;

COMMENT ON SCHEMA public IS 'It''s the standard;
-- Name: not; Type: TABLE; Schema: an; Owner: entry
\connect nowhere';

-- Schemas and names

CREATE SCHEMA shop;
CREATE SCHEMA "Schema with ""quotes""; and more
lines \ 🐘";
CREATE SCHEMA owned_by_other AUTHORIZATION other_owner;
COMMENT ON SCHEMA shop IS E'tab\there, backslash \\, quote '' and "double", $$dollars$$ and $1, 100 %, ; -- /* 🐘';

-- Extensions that everybody may create

CREATE EXTENSION btree_gist WITH SCHEMA shop;
CREATE EXTENSION hstore WITH SCHEMA public;
CREATE EXTENSION citext WITH SCHEMA public;
COMMENT ON EXTENSION hstore IS 'not mine to comment';

-- Types

CREATE TYPE shop.mood AS ENUM ('sad', 'it''s ok', 'very; happy', E'new\nline', '');
CREATE TYPE shop.empty_enum AS ENUM ();
CREATE TYPE shop.nothing AS ();
CREATE TYPE shop.address AS (street text COLLATE "C", "post code" varchar(10), at timestamptz);
COMMENT ON COLUMN shop.address."post code" IS 'a composite''s column';
CREATE TYPE shop.floatrange AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = shop.floatranges);
CREATE DOMAIN shop.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT "is > 0" CHECK (VALUE > 0);
CREATE DOMAIN shop.positives AS shop.positive[] CHECK (array_length(VALUE, 1) < 10);
CREATE DOMAIN shop.email AS public.citext CHECK (VALUE ~ '^[^@;''\\]+@.+$');
ALTER DOMAIN shop.email ADD CONSTRAINT later CHECK (length(VALUE) < 1000) NOT VALID;
COMMENT ON DOMAIN shop.positive IS 'domain';
COMMENT ON CONSTRAINT "is > 0" ON DOMAIN shop.positive IS 'check of a domain';
COMMENT ON TYPE shop.mood IS 'enum';
CREATE COLLATION shop.german (provider = icu, locale = 'de-u-co-phonebk', deterministic = false);
CREATE COLLATION shop.posix FROM "C";
COMMENT ON COLLATION shop.german IS 'collation';
CREATE CONVERSION shop.conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE DEFAULT CONVERSION shop."default; conversion" FOR 'WIN1252' TO 'UTF8' FROM win_to_utf8;
COMMENT ON CONVERSION shop.conversion IS 'conversion';

-- Functions, in all forms

CREATE FUNCTION shop.old_sql(a integer, b integer DEFAULT 2) RETURNS integer
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 7 AS $$ SELECT a + b; -- ; '
$$;
CREATE FUNCTION shop.atomic(a integer) RETURNS integer LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
  SELECT 1;
  SELECT CASE WHEN a > 0 THEN CASE a WHEN 1 THEN 2 ELSE 3 END ELSE 4 END;
END;
CREATE FUNCTION shop.returning(a text) RETURNS text LANGUAGE sql IMMUTABLE RETURN upper(a) || ';';
CREATE FUNCTION shop.quoted(a text) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE b text := $x$ ; $x$;
BEGIN
  -- $$ $_$ 'unbalanced
  RETURN E'\\' || quote_literal(a) || b || $q$'$q$;
END $body$;
CREATE FUNCTION shop."name; with $$ ""quotes"""("arg; 1" integer, OUT "out 1" integer, INOUT c text DEFAULT 'it''s', VARIADIC rest integer[] DEFAULT '{}')
  RETURNS record LANGUAGE plpgsql AS 'BEGIN "out 1" := "arg; 1"; END';
CREATE FUNCTION shop.returns_set(n integer) RETURNS SETOF integer LANGUAGE plpgsql ROWS 5 AS
  $$ BEGIN RETURN QUERY SELECT generate_series(1, n); END $$;
CREATE FUNCTION shop.returns_table(n integer) RETURNS TABLE(a integer, "b c" text)
  LANGUAGE sql SECURITY DEFINER SET search_path TO 'shop', 'pg_temp', '' SET work_mem TO '8MB' AS
  $$ SELECT g, 'x' FROM generate_series(1, n) g $$;
CREATE FUNCTION shop.polymorphic(anyelement, anyarray) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION shop.nothing_at_all() RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE shop.old_procedure(INOUT a integer) LANGUAGE plpgsql AS $$ BEGIN a := a + 1; COMMIT; END $$;
COMMENT ON PROCEDURE shop.old_procedure(integer) IS 'procedure';
COMMENT ON FUNCTION shop.old_sql(integer, integer) IS 'function; '' " \ $$ ';
CREATE AGGREGATE shop.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', COMBINEFUNC = int4pl, PARALLEL = safe);
CREATE AGGREGATE shop.middle(ORDER BY integer) (SFUNC = array_append, STYPE = integer[], FINALFUNC = cardinality);
ALTER AGGREGATE shop.middle(ORDER BY integer) OWNER TO current_user;
CREATE AGGREGATE shop.moving(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MINITCOND = '0', SORTOP = >);
COMMENT ON AGGREGATE shop.total(integer) IS 'aggregate';
CREATE FUNCTION shop.nth_final(integer[], integer) RETURNS integer LANGUAGE sql AS 'SELECT $1[$2]';
CREATE AGGREGATE shop.nth(integer ORDER BY integer) (SFUNC = array_append, STYPE = integer[], FINALFUNC = shop.nth_final, HYPOTHETICAL);
CREATE AGGREGATE shop.of_many(VARIADIC integer[]) (SFUNC = array_cat, STYPE = integer[], SSPACE = 100, FINALFUNC = cardinality, FINALFUNC_MODIFY = READ_WRITE);
CREATE FUNCTION shop.windowed() RETURNS integer LANGUAGE sql STABLE WINDOW AS 'SELECT 1';
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.touched := coalesce(NEW.touched, 0) + 1;
  RETURN NEW;
END $$;
CREATE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;

-- Operators and casts

CREATE FUNCTION shop.near(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT abs($1 - $2) < 2';
CREATE OPERATOR shop.=~= (FUNCTION = shop.near, LEFTARG = integer, RIGHTARG = integer, COMMUTATOR = OPERATOR(shop.=~=), RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE FUNCTION shop.bang(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT -$1';
CREATE OPERATOR shop.!!! (FUNCTION = shop.bang, RIGHTARG = integer);
COMMENT ON OPERATOR shop.!!! (NONE, integer) IS 'operator';
CREATE FUNCTION shop.to_mood(integer) RETURNS shop.mood LANGUAGE sql IMMUTABLE AS $$ SELECT 'sad'::shop.mood $$;
CREATE CAST (integer AS shop.mood) WITH FUNCTION shop.to_mood(integer) AS ASSIGNMENT;
CREATE CAST (shop.address AS text) WITH INOUT;
CREATE CAST (shop.floatrange AS shop.address) WITH INOUT AS IMPLICIT;
COMMENT ON CAST (integer AS shop.mood) IS 'cast';

-- Text search

CREATE TEXT SEARCH DICTIONARY shop.dictionary (TEMPLATE = pg_catalog.simple, accept = 'false', stopwords = 'english');
CREATE TEXT SEARCH CONFIGURATION shop.search (PARSER = pg_catalog."default");
ALTER TEXT SEARCH CONFIGURATION shop.search ADD MAPPING FOR asciiword, word WITH shop.dictionary, english_stem;
COMMENT ON TEXT SEARCH CONFIGURATION shop.search IS 'configuration';
COMMENT ON TEXT SEARCH DICTIONARY shop.dictionary IS 'dictionary';

-- Sequences

CREATE SEQUENCE shop.loose AS smallint INCREMENT BY -3 MINVALUE -100 MAXVALUE 50 START WITH 20 CACHE 2 CYCLE;
SELECT nextval('shop.loose'), nextval('shop.loose');
CREATE SEQUENCE shop."never; called";
CREATE UNLOGGED SEQUENCE shop.unlogged_sequence;
COMMENT ON SEQUENCE shop.loose IS 'sequence';

-- Tables

CREATE TABLE shop.everything (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5) PRIMARY KEY,
  by_default integer GENERATED BY DEFAULT AS IDENTITY,
  ser serial,
  t text,
  v varchar(20) COLLATE shop.german DEFAULT 'it''s; \ "x"' NOT NULL,
  c char(5),
  b bytea,
  n numeric(20, 5),
  nn numeric DEFAULT 'Infinity',
  f4 real,
  f8 double precision,
  bo boolean,
  d date,
  ts timestamp(3) without time zone,
  tz timestamptz DEFAULT '2024-02-29 12:00:00+00',
  iv interval,
  u uuid,
  j json,
  jb jsonb,
  x xml,
  bits bit varying(12),
  ip inet,
  mac macaddr,
  p point,
  ia integer[],
  ta text[][],
  m shop.mood,
  ma shop.mood[],
  a shop.address,
  aa shop.address[],
  pos shop.positive,
  em shop.email,
  r int4range,
  mr datemultirange,
  fr shop.floatrange,
  h public.hstore,
  ts_v tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(t, ''))) STORED,
  money money,
  o oid,
  "column; with ""quotes"" \ 🐘
and a line" text DEFAULT E'a\nb',
  dropped integer,
  touched integer,
  CONSTRAINT "check; it's" CHECK (n IS NULL OR n <> 5 OR t <> 'a;''b'),
  CONSTRAINT "kept to itself" CHECK (f4 IS NULL OR f4 <> 7) NO INHERIT
);
ALTER TABLE shop.everything DROP COLUMN dropped;
ALTER TABLE shop.everything ALTER COLUMN t SET STORAGE EXTERNAL, ALTER COLUMN t SET STATISTICS 300, ALTER COLUMN n SET (n_distinct = 5);
ALTER TABLE shop.everything SET (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false);
COMMENT ON TABLE shop.everything IS E'a table''s comment;\n-- Name: x; Type: TABLE; Schema: y; Owner: z\n\\.\n\\! rm';
COMMENT ON COLUMN shop.everything."column; with ""quotes"" \ 🐘
and a line" IS '';
COMMENT ON COLUMN shop.everything.t IS 'column';
COMMENT ON CONSTRAINT "check; it's" ON shop.everything IS 'check';

INSERT INTO shop.everything (t) VALUES
  (NULL), (''), ('\.'), (E'\\.\n\\.'), (E'a\tb'), (E'a\nb'), (E'a\rb'), (E'a\r\nb\r\n'), ('\'), ('\\'), ('\N'), ('N'), ('NULL'),
  (E'\b\f\v\x01\x1f\x7f'), ('''; DROP TABLE shop.everything; --'), ('$$ $_$ /* "'), ('ünïcödé 🐘 漢字 ' || chr(8232) || chr(65279)),
  (E'\n'), (' '), (E'COPY x FROM stdin;\n1\n\\.\n'), ('\connect x'), (repeat('long; '' \ ', 100000));
UPDATE shop.everything SET v = 'x' || id;
INSERT INTO shop.everything (c, b, n, f4, f8, bo, d, ts, tz, iv, u, j, jb, x, bits, ip, mac, p, ia, ta, m, ma, a, aa, pos, em, r, mr, fr, h, money, o) VALUES
  ('a', '\x', 'NaN', 'NaN', 'NaN', true, 'infinity', 'infinity', 'infinity', '1 year -2 mons 3 days -04:05:06.789',
   '00000000-0000-0000-0000-000000000000', '{"a": "\u00e9\n", "a": 1e400, "b": [null, "\\."]}', '{"a": "\\.\n\t''", "n": 1e-7}', '<a b="1">;''&amp;</a>',
   B'101', '::1/64', '08:00:2b:01:02:03', '(1,-Infinity)', '{}', '{{"a","b;"},{NULL,"NULL"}}', '', '{sad,"very; happy",""}',
   ROW('\ " , ( ''', NULL, '-infinity'), ARRAY[ROW(E'a\nb\t', 'x', NULL)::shop.address, NULL], 5, 'A@b.c', 'empty', '{[2024-01-01,2024-02-01),[2025-01-01,)}',
   '[-Infinity,1.5)', '"a b"=>"it''s", n=>NULL, "\\"=>"\""', '-1234.56', 4294967295),
  ('', decode('00015c2e0a5c4e09ff', 'hex'), 1.10000, '-Infinity', 'Infinity', false, '4713-01-01 BC', '0001-01-01 00:00:00.001 BC', '-infinity', '-178000000 years',
   'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null', 'null', '', B'', '10.0.0.1', 'ff:ff:ff:ff:ff:ff', '(0.1,-0)', '[-2:0]={1,NULL,3}', '{}', NULL, '{}',
   ROW(NULL, NULL, NULL), '{}', DEFAULT, 'x@y', '(,)', '{}', NULL, '', '0', 0),
  (NULL, decode(repeat('00ff', 50000), 'hex'), 123456789012345.12345, 3.4028235e38, 5e-324, NULL, '5874897-12-31', '2024-06-30 23:59:59.999', '2024-06-30 23:59:60+05:30', 'P1Y2M3DT4H5M6.000001S',
   NULL, '[]', '[]', NULL, NULL, NULL, NULL, NULL, ARRAY[2147483647, -2147483648], ARRAY[[E'\\', ''''], ['"', ' ']], 'it''s ok', NULL, NULL, NULL, 1, NULL, '[1,1]', NULL, NULL, NULL, NULL, NULL);

CREATE TABLE shop.zero_columns ();
INSERT INTO shop.zero_columns DEFAULT VALUES;
INSERT INTO shop.zero_columns DEFAULT VALUES;
CREATE TABLE shop.dropped_columns (a integer, b integer, c integer, d text);
INSERT INTO shop.dropped_columns VALUES (1, 2, 3, 'four');
ALTER TABLE shop.dropped_columns DROP COLUMN a, DROP COLUMN c, ADD COLUMN e integer DEFAULT 5;
CREATE TABLE shop.only_generated (a integer GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO shop.only_generated DEFAULT VALUES;
CREATE TABLE shop.all_dropped (a integer);
INSERT INTO shop.all_dropped VALUES (1), (2);
ALTER TABLE shop.all_dropped DROP COLUMN a;
CREATE TABLE shop.no_rows (a integer, "select" integer, "\." text);
CREATE TABLE shop.dotted ("\." text);
INSERT INTO shop.dotted VALUES ('\.'), ('.'), (NULL);
CREATE UNLOGGED TABLE shop.unlogged (a integer PRIMARY KEY, b text);
INSERT INTO shop.unlogged VALUES (1, 'kept');
CREATE TABLE shop.typed OF shop.address (street WITH OPTIONS DEFAULT 'Main', PRIMARY KEY (street));
INSERT INTO shop.typed VALUES ('a', 'b', NULL);
CREATE TABLE "Schema with ""quotes""; and more
lines \ 🐘"."table; "" \ 🐘
x" ("a; b" integer, CONSTRAINT "key; ""
🐘" PRIMARY KEY ("a; b"));
INSERT INTO "Schema with ""quotes""; and more
lines \ 🐘"."table; "" \ 🐘
x" VALUES (1), (2);
CREATE TABLE public.many_rows AS SELECT g AS a, repeat(chr(65 + g % 26), g % 50) AS b FROM generate_series(1, 300) g;
CREATE TABLE public."group" ("order" integer, "user" text);
INSERT INTO public."group" VALUES (1, 'table');
SET default_toast_compression = 'pglz';
CREATE TABLE shop.compressed (a text COMPRESSION pglz);
CREATE TABLE shop.numbered (
  id smallint GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME shop."its; own" MINVALUE -5 MAXVALUE 1000 INCREMENT -2 CACHE 3 CYCLE),
  a text,
  loud text GENERATED ALWAYS AS (shop.returning(a)) STORED,
  UNIQUE NULLS NOT DISTINCT (a) INCLUDE (id) WITH (fillfactor = 80),
  CONSTRAINT "primary; key" PRIMARY KEY (id) INCLUDE (a)
);
INSERT INTO shop.numbered (a) VALUES ('x'), (NULL), ('');
ALTER TABLE shop.numbered ALTER a SET STORAGE MAIN, CLUSTER ON "primary; key", REPLICA IDENTITY NOTHING;
COMMENT ON CONSTRAINT "primary; key" ON shop.numbered IS 'primary key';
COMMENT ON INDEX shop."primary; key" IS 'index of a primary key';
COMMENT ON SEQUENCE shop."its; own" IS 'sequence of an identity column';
CREATE TABLE owned_by_other.theirs (a integer, b text);
ALTER TABLE owned_by_other.theirs OWNER TO other_owner;
INSERT INTO owned_by_other.theirs VALUES (1, 'mine');

-- Inheritance and partitions

CREATE TABLE shop.parent (a integer NOT NULL DEFAULT 1, b text, CHECK (a > 0));
CREATE TABLE shop.child (c integer) INHERITS (shop.parent);
CREATE TABLE shop.grandchild (a integer DEFAULT 2, b text NOT NULL) INHERITS (shop.child);
ALTER TABLE shop.child ALTER COLUMN a SET DEFAULT 3;
INSERT INTO shop.parent VALUES (1, 'p');
INSERT INTO shop.child VALUES (2, 'c', 1);
INSERT INTO shop.grandchild VALUES (3, 'g', 1);
CREATE TABLE shop.measures (at date NOT NULL, region text, amount numeric DEFAULT 1, id integer NOT NULL, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE shop.measures_2023 PARTITION OF shop.measures FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE shop.measures_2024 PARTITION OF shop.measures (amount DEFAULT 2) FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (id);
CREATE TABLE shop.measures_2024_a (id integer NOT NULL, amount numeric, gone integer, at date NOT NULL, region text);
ALTER TABLE shop.measures_2024_a DROP COLUMN gone;
ALTER TABLE shop.measures_2024 ATTACH PARTITION shop.measures_2024_a FOR VALUES IN (1, 2);
CREATE TABLE shop.measures_2024_rest PARTITION OF shop.measures_2024 DEFAULT;
CREATE TABLE shop.measures_rest PARTITION OF shop.measures DEFAULT;
CREATE INDEX measures_region ON shop.measures (region, (lower(region)));
CREATE UNIQUE INDEX measures_alone ON ONLY shop.measures (id, at);
INSERT INTO shop.measures SELECT '2023-06-01'::date + 5 * g, 'r' || g, g, g FROM generate_series(1, 180) g;
CREATE TABLE shop.hashed (a integer, b text) PARTITION BY HASH (a, lower(b));
CREATE TABLE shop.hashed_0 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.hashed_1 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO shop.hashed SELECT g, 'B' || g FROM generate_series(1, 20) g;
CREATE TABLE shop.defaulted (a integer, b text DEFAULT 'of the partition') PARTITION BY LIST (a);
CREATE TABLE shop.defaulted_nulls PARTITION OF shop.defaulted (CHECK (b <> 'z')) FOR VALUES IN (NULL, 1) WITH (fillfactor = 50);
CREATE TABLE shop.defaulted_rest PARTITION OF shop.defaulted DEFAULT;
ALTER TABLE shop.defaulted_rest ALTER b SET DEFAULT 'of the rest';
INSERT INTO shop.defaulted VALUES (NULL, 'n'), (1, 'o'), (2, NULL);
COMMENT ON INDEX shop.measures_region IS 'partitioned index';

-- Indexes

CREATE INDEX ON shop.everything (lower(t) text_pattern_ops, (f8 * 2) DESC NULLS LAST) INCLUDE (id) WHERE t <> 'a;''b' AND length(t) < 100;
CREATE INDEX "index; "" 🐘" ON shop.everything USING gin (jb jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX everything_ts ON shop.everything USING gin (ts_v);
CREATE INDEX everything_range ON shop.everything USING gist (r);
CREATE INDEX everything_brin ON shop.everything USING brin (id) WITH (pages_per_range = 4);
CREATE INDEX everything_hash ON shop.everything USING hash (u);
CREATE INDEX everything_spgist ON shop.everything USING spgist (ip);
CREATE INDEX everything_options ON shop.everything USING gist (h public.gist_hstore_ops (siglen = 32), ts_v tsvector_ops (siglen = 100)) WITH (buffering = off);
CREATE INDEX everything_collated ON shop.everything (v COLLATE "C" varchar_pattern_ops DESC, v);
CREATE INDEX everything_of_row ON shop.everything ((a IS NULL), ((a).street)) WHERE shop.old_sql(by_default, 1) > 0;
CREATE INDEX everything_expression ON shop.everything (shop.old_sql(by_default, 1));
ALTER INDEX shop.everything_expression ALTER COLUMN 1 SET STATISTICS 500;
CREATE UNIQUE INDEX everything_nulls ON shop.everything (u) NULLS NOT DISTINCT WHERE u IS NOT NULL;
CREATE INDEX many_rows_a ON public.many_rows (a);
ALTER TABLE public.many_rows CLUSTER ON many_rows_a;
ALTER TABLE public.many_rows REPLICA IDENTITY FULL;
CREATE UNIQUE INDEX dropped_e ON shop.dropped_columns (e);
ALTER TABLE shop.dropped_columns ALTER COLUMN e SET NOT NULL, REPLICA IDENTITY USING INDEX dropped_e;
COMMENT ON INDEX shop.everything_brin IS 'index';
CREATE STATISTICS shop."statistics; x" (ndistinct, dependencies, mcv) ON a, b FROM public.many_rows;
CREATE STATISTICS shop.of_expressions ON (a % 10), lower(b) FROM public.many_rows;
ALTER STATISTICS shop.of_expressions SET STATISTICS 50;
COMMENT ON STATISTICS shop.of_expressions IS 'statistics';

-- Constraints: keys, circular, deferrable, exclusive

CREATE TABLE shop.chicken (id integer PRIMARY KEY, egg integer NOT NULL, UNIQUE (egg) DEFERRABLE INITIALLY DEFERRED, touched integer);
CREATE TABLE shop.egg (id integer PRIMARY KEY, chicken integer REFERENCES shop.chicken DEFERRABLE INITIALLY DEFERRED, self integer REFERENCES shop.egg ON DELETE SET NULL (self), touched integer);
BEGIN;
INSERT INTO shop.egg VALUES (1, 1, 2), (2, 2, 1);
INSERT INTO shop.chicken VALUES (1, 2), (2, 1);
COMMIT;
ALTER TABLE shop.chicken ADD CONSTRAINT "lays; it" FOREIGN KEY (egg) REFERENCES shop.egg ON UPDATE CASCADE ON DELETE RESTRICT DEFERRABLE;
ALTER TABLE shop.egg ADD CONSTRAINT not_valid CHECK (id > 0) NOT VALID;
ALTER TABLE shop.egg ADD CONSTRAINT key_not_valid FOREIGN KEY (touched) REFERENCES shop.chicken NOT VALID;
COMMENT ON CONSTRAINT "lays; it" ON shop.chicken IS 'foreign key';
CREATE TABLE shop.points (at date, measure integer, FOREIGN KEY (at, measure) REFERENCES shop.measures (at, id) MATCH FULL);
INSERT INTO shop.points SELECT at, id FROM shop.measures LIMIT 5;
CREATE TABLE shop.bookings (room integer, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0) DEFERRABLE);
INSERT INTO shop.bookings VALUES (1, '[2024-01-01,2024-01-02)'), (1, '[2024-01-02,2024-01-03)');
CREATE TABLE shop.log_of_old (a integer, b integer);
-- A row that a key does not hold for.
INSERT INTO shop.log_of_old VALUES (1, 99);
ALTER TABLE shop.log_of_old ADD FOREIGN KEY (b) REFERENCES shop.chicken NOT VALID;

-- Views

CREATE VIEW shop.simple WITH (security_barrier = true, security_invoker = true) AS SELECT id, t AS "t; ""x""", 'it''s;' AS c FROM shop.everything WHERE t <> E'\\.\n' WITH CASCADED CHECK OPTION;
CREATE VIEW shop.many AS SELECT * FROM public.many_rows WHERE a < 10 WITH LOCAL CHECK OPTION;
ALTER VIEW shop.many ALTER COLUMN b SET DEFAULT 'default of a view';
CREATE RECURSIVE VIEW shop.counted (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counted WHERE n < 10;
-- Needs the primary key, so that pg_dump makes it in two steps.
CREATE VIEW shop.needs_key AS SELECT m.at, m.id, m.region, count(*) FROM shop.measures m GROUP BY m.at, m.id;
CREATE VIEW shop.on_needs_key AS SELECT region FROM shop.needs_key;
CREATE MATERIALIZED VIEW shop.mat_a AS SELECT a, b FROM public.many_rows WHERE a < 50;
CREATE MATERIALIZED VIEW shop.mat_z AS SELECT count(*) AS n FROM shop.mat_a;
CREATE MATERIALIZED VIEW shop."1; mat" AS SELECT n * 2 AS n2 FROM shop.mat_z;
CREATE MATERIALIZED VIEW shop.mat_empty AS SELECT * FROM shop.mat_a WITH NO DATA;
CREATE UNIQUE INDEX mat_a_a ON shop.mat_a (a);
ALTER MATERIALIZED VIEW shop.mat_a CLUSTER ON mat_a_a;
CREATE VIEW shop.on_mat AS SELECT * FROM shop."1; mat";
COMMENT ON VIEW shop.simple IS 'view';
COMMENT ON COLUMN shop.simple.id IS 'column of a view';
COMMENT ON MATERIALIZED VIEW shop.mat_a IS 'materialised view';
CREATE MATERIALIZED VIEW shop.mat_needs_key AS SELECT m.at, m.id, m.region, count(*) FROM shop.measures m GROUP BY m.at, m.id;
CREATE FUNCTION shop.needs_key_too() RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC SELECT touched::text FROM shop.egg GROUP BY id; END;
CREATE PROCEDURE shop.atomic_procedure(a integer, OUT b integer) BEGIN ATOMIC
  UPDATE public.many_rows SET b = CASE WHEN b = ';' THEN '' ELSE b END WHERE many_rows.a = atomic_procedure.a;
  SELECT 1;
END;

-- Circles, which pg_dump breaks: what is needed first is made in part, and the rest follows

CREATE TABLE shop.circle (a integer, b text);
CREATE FUNCTION shop.circle_check(shop.circle) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.a > 0';
CREATE FUNCTION shop.circle_default(shop.circle) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
ALTER TABLE shop.circle ADD CHECK (shop.circle_check(circle)), ALTER b SET DEFAULT shop.circle_default(NULL);
INSERT INTO shop.circle VALUES (1, DEFAULT), (2, 'y');
CREATE DOMAIN shop.circular AS integer;
CREATE FUNCTION shop.circular_check(shop.circular) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::integer > 0';
ALTER DOMAIN shop.circular ADD CHECK (shop.circular_check(VALUE));
CREATE TABLE shop.of_circular (a shop.circular);
CREATE VIEW shop.circle_view AS SELECT 1 AS a, 'b'::text AS b;
CREATE FUNCTION shop.of_circle_view(shop.circle_view) RETURNS integer LANGUAGE sql AS 'SELECT $1.a';
CREATE OR REPLACE VIEW shop.circle_view WITH (security_barrier) AS SELECT shop.of_circle_view(NULL) AS a, 'b'::text AS b;

-- Triggers and rules

CREATE TRIGGER touched BEFORE INSERT OR UPDATE OF touched ON shop.chicken FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION shop.touch();
CREATE TRIGGER touched BEFORE INSERT ON shop.egg FOR EACH ROW EXECUTE FUNCTION shop.touch('it''s', ';', '\');
CREATE TRIGGER always BEFORE INSERT ON shop.egg FOR EACH ROW EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.egg ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER "disabled; ""x""" BEFORE DELETE ON shop.egg FOR EACH STATEMENT EXECUTE FUNCTION shop.refuse();
ALTER TABLE shop.egg DISABLE TRIGGER "disabled; ""x""";
CREATE TRIGGER on_replica BEFORE DELETE ON shop.egg FOR EACH ROW EXECUTE FUNCTION shop.refuse();
ALTER TABLE shop.egg ENABLE REPLICA TRIGGER on_replica;
CREATE CONSTRAINT TRIGGER constrained AFTER DELETE ON shop.egg DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.refuse();
CREATE TRIGGER with_tables AFTER UPDATE ON shop.parent REFERENCING OLD TABLE AS "old; rows" NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION shop.refuse();
CREATE TRIGGER on_partitions BEFORE DELETE ON shop.measures FOR EACH ROW EXECUTE FUNCTION shop.refuse();
ALTER TABLE shop.measures_2023 DISABLE TRIGGER on_partitions;
CREATE TRIGGER instead INSTEAD OF INSERT ON shop.counted FOR EACH ROW EXECUTE FUNCTION shop.refuse();
CREATE CONSTRAINT TRIGGER of_two AFTER INSERT ON shop.log_of_old FROM shop.egg NOT DEFERRABLE FOR EACH ROW WHEN (NEW.a IS NULL) EXECUTE FUNCTION shop.refuse();
CREATE TRIGGER truncated BEFORE TRUNCATE ON shop.log_of_old EXECUTE FUNCTION shop.refuse();
COMMENT ON TRIGGER touched ON shop.egg IS 'trigger';
CREATE TABLE shop.log (a integer, b text);
CREATE RULE several AS ON UPDATE TO shop.parent WHERE OLD.a <> NEW.a DO ALSO (
  INSERT INTO shop.log VALUES (OLD.a, ';');
  INSERT INTO shop.log VALUES (NEW.a, 'it''s');
);
CREATE RULE notifies AS ON DELETE TO shop.parent DO NOTIFY "channel; x";
CREATE RULE instead AS ON INSERT TO shop.simple DO INSTEAD NOTHING;
CREATE RULE "disabled; x" AS ON DELETE TO shop.log DO INSTEAD NOTHING;
ALTER TABLE shop.log DISABLE RULE "disabled; x";
COMMENT ON RULE several ON shop.parent IS 'rule';

-- Row level security

CREATE TABLE shop.secured (a integer, owner text DEFAULT current_user);
INSERT INTO shop.secured VALUES (1, 'reader'), (2, 'nobody');
ALTER TABLE shop.secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.secured FORCE ROW LEVEL SECURITY;
CREATE POLICY "policy; x" ON shop.secured AS RESTRICTIVE FOR SELECT TO reader, "role ""with"" quotes; -- and more ü" USING (owner = CURRENT_USER OR a = ANY (ARRAY[1, 2]));
CREATE POLICY for_all ON shop.secured USING (true) WITH CHECK (a > 0 AND owner <> 'x;''y');
CREATE POLICY nothing ON shop.secured FOR INSERT TO PUBLIC WITH CHECK (false);
COMMENT ON POLICY for_all ON shop.secured IS 'policy';
-- Whoever fills it has to see all rows.
CREATE TABLE shop.hidden (a integer);
INSERT INTO shop.hidden VALUES (1), (2);
CREATE MATERIALIZED VIEW shop.mat_hidden AS SELECT a FROM shop.hidden;
ALTER TABLE shop.hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.hidden FORCE ROW LEVEL SECURITY;

-- Privileges

GRANT USAGE ON SCHEMA shop TO reader;
GRANT ALL ON SCHEMA shop TO "role ""with"" quotes; -- and more ü" WITH GRANT OPTION;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO reader;
GRANT SELECT, INSERT ON shop.everything TO reader;
GRANT SELECT (id, "column; with ""quotes"" \ 🐘
and a line"), UPDATE (t) ON shop.everything TO PUBLIC;
GRANT SELECT ON shop.parent TO reader WITH GRANT OPTION;
GRANT SELECT ON owned_by_other.theirs TO reader;
REVOKE ALL ON shop.no_rows FROM current_user;
GRANT SELECT ON shop.no_rows TO current_user;
GRANT USAGE ON SEQUENCE shop.loose TO reader;
REVOKE ALL ON FUNCTION shop.old_sql(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.old_sql(integer, integer) TO reader;
GRANT EXECUTE ON PROCEDURE shop.old_procedure(integer) TO reader;
REVOKE ALL ON TYPE shop.mood FROM PUBLIC;
GRANT USAGE ON TYPE shop.positive TO reader;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT ALL ON SEQUENCES TO "role ""with"" quotes; -- and more ü";
ALTER DEFAULT PRIVILEGES FOR ROLE other_owner REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO reader;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT EXECUTE ON ROUTINES TO reader WITH GRANT OPTION;

-- Large objects

SELECT lo_from_bytea(4711, '\x0001020a5c2e0a27');
SELECT lo_from_bytea(4712, decode(repeat('ff00', 30000), 'hex'));
SELECT lo_create(4713);
COMMENT ON LARGE OBJECT 4711 IS 'large; object';
GRANT SELECT ON LARGE OBJECT 4712 TO reader;
ALTER LARGE OBJECT 4713 OWNER TO other_owner;

-- What is a superuser's, and skipped with a warning

CREATE FUNCTION shop.on_event() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER "event; trigger" ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION shop.on_event();
COMMENT ON EVENT TRIGGER "event; trigger" IS 'event trigger';
CREATE PUBLICATION "publication; x" FOR TABLE shop.parent, public.many_rows WHERE (a > 5), TABLES IN SCHEMA owned_by_other WITH (publish = 'insert, update');
CREATE PUBLICATION of_all FOR ALL TABLES;
COMMENT ON PUBLICATION of_all IS 'publication';
CREATE SUBSCRIPTION "subscription; x" CONNECTION 'host=prod password=it''s;secret' PUBLICATION p WITH (connect = false);
COMMENT ON SUBSCRIPTION "subscription; x" IS 'subscription';
CREATE FOREIGN DATA WRAPPER wrapper OPTIONS (a 'it''s; x');
CREATE SERVER "server; x" TYPE 't' VERSION '1' FOREIGN DATA WRAPPER wrapper OPTIONS (host 'prod; ''x');
CREATE USER MAPPING FOR reader SERVER "server; x" OPTIONS (password 'it''s; secret');
CREATE FOREIGN TABLE shop.far_away (a integer OPTIONS (b 'c') NOT NULL, d text) SERVER "server; x" OPTIONS (e 'f;');
COMMENT ON COLUMN shop.far_away.a IS 'column of a foreign table';
GRANT SELECT ON shop.far_away TO reader;
GRANT USAGE ON FOREIGN SERVER "server; x" TO reader;
CREATE OPERATOR FAMILY shop.family USING btree;
CREATE OPERATOR CLASS shop.class FOR TYPE integer USING btree FAMILY shop.family AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(integer, integer);
COMMENT ON OPERATOR CLASS shop.class USING btree IS 'operator class';
CREATE ACCESS METHOD heap_again TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE shop.in_heap_again (a integer) USING heap_again;
INSERT INTO shop.in_heap_again VALUES (1);
CREATE CAST (money AS uuid) WITH INOUT AS ASSIGNMENT;
COMMENT ON CAST (money AS uuid) IS 'cast of types that are nobody''s';
CREATE TRANSFORM FOR integer LANGUAGE plpgsql (FROM SQL WITH FUNCTION pg_catalog.prsd_lextype(internal));
COMMENT ON TRANSFORM FOR integer LANGUAGE plpgsql IS 'transform';
CREATE TEXT SEARCH PARSER shop.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
COMMENT ON TEXT SEARCH PARSER shop.parser IS 'parser';
CREATE TEXT SEARCH TEMPLATE shop.template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
COMMENT ON TEXT SEARCH TEMPLATE shop.template IS 'template';
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE elsewhere LOCATION '';
CREATE TABLE shop.elsewhere (a integer, PRIMARY KEY (a) USING INDEX TABLESPACE elsewhere) TABLESPACE elsewhere;
INSERT INTO shop.elsewhere VALUES (1);
CREATE INDEX many_rows_elsewhere ON public.many_rows (b) TABLESPACE elsewhere;
CREATE MATERIALIZED VIEW shop.mat_elsewhere TABLESPACE elsewhere AS SELECT a FROM shop.elsewhere;
CREATE TABLE shop.parts_elsewhere (a integer) PARTITION BY HASH (a) TABLESPACE elsewhere;
GRANT USAGE ON LANGUAGE plpgsql TO reader;
SET SESSION AUTHORIZATION reader;
GRANT SELECT ON shop.parent TO other_owner;
RESET SESSION AUTHORIZATION;
ALTER DATABASE torture SET search_path TO 'shop', 'public';
ALTER ROLE reader IN DATABASE torture SET work_mem TO '8MB';
GRANT CREATE ON DATABASE torture TO reader;
COMMENT ON DATABASE torture IS 'database';
