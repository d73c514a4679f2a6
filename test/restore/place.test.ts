import { expect, test } from '@jest/globals';
import type { Place } from '../../src/restore/place.js';
import { classify } from '../../src/restore/statement.js';

const T = '["public","t"]';

test.each<[statement: string, place: Place]>([
  ['COPY public.t (a, b) FROM stdin', { of: 'load', table: T }],
  ['COPY "Public"."T "" x" (a) FROM stdin', { of: 'load', table: '["Public","T \\" x"]' }],
  ["INSERT INTO public.t VALUES (1, 'COPY')", { of: 'load', table: T }],
  [`INSERT INTO PUBLIC.T VALUES ('${'x'.repeat(10_000)}')`, { of: 'load', table: T }],
  [
    "INSERT INTO public.t (a, b) OVERRIDING SYSTEM VALUE VALUES (-1.5, 'a'), (NULL, E'b') ON CONFLICT DO NOTHING",
    { of: 'load', table: T },
  ],
  ['INSERT INTO public.t DEFAULT VALUES', { of: 'load', table: T }],
  ['CREATE INDEX i ON public.t USING btree (a)', { of: 'index', table: T, only: false, gin: false }],
  ['CREATE UNIQUE INDEX i ON ONLY public.t USING btree (a)', { of: 'index', table: T, only: true, gin: false }],
  ['CREATE INDEX i ON public.t USING gin (a public.gin_trgm_ops)', { of: 'index', table: T, only: false, gin: true }],
  [
    'CREATE INDEX i ON public.t USING btree (lower(a)) WHERE (b > 0.5)',
    { of: 'index', table: T, only: false, gin: false },
  ],
  ['ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (a)', { of: 'key', table: T, only: true }],
  ['ALTER TABLE public.t ADD CONSTRAINT k UNIQUE NULLS NOT DISTINCT (a)', { of: 'key', table: T, only: false }],
  ['ALTER TABLE ONLY public.t ADD CONSTRAINT e EXCLUDE USING gist (a WITH &&)', { of: 'key', table: T, only: true }],
  [
    'ALTER TABLE ONLY public.t ADD CONSTRAINT f FOREIGN KEY (a, b) REFERENCES other.r(c, d) ON DELETE CASCADE',
    { of: 'foreignKey', table: T, references: '["other","r"]' },
  ],
  ['ALTER TABLE public.t CLUSTER ON t_pkey', { of: 'table', table: T }],
  ['ALTER TABLE ONLY public.t REPLICA IDENTITY USING INDEX i', { of: 'table', table: T }],
  [
    'CREATE TRIGGER g AFTER INSERT OR UPDATE OF a ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()',
    { of: 'table', table: T },
  ],
  ['CREATE STATISTICS public.s (mcv) ON a, b FROM public.t', { of: 'table', table: T }],
  ["SELECT pg_catalog.setval('public.t_a_seq', 1234, true)", { of: 'sequence' }],
  ['REFRESH MATERIALIZED VIEW public.t', { of: 'refresh', view: T }],
])('may leave the order: %s', (statement, place) => {
  expect(classify(Buffer.from(statement)).place).toEqual(place);
});

test.each([
  // Without a schema, the search path says which table it is.
  'COPY t (a) FROM stdin',
  'INSERT INTO t VALUES (1)',
  'CREATE INDEX i ON t (a)',
  // Not what pg_dump writes: a row need not be a line.
  'COPY public.t (a) FROM stdin WITH (FORMAT csv)',
  'COPY public.t (a) FROM stdin CSV',
  'COPY public.t (a) FROM stdin WHERE a > 1',
  // What may run functions of the script, which may read other tables.
  'CREATE INDEX i ON public.t USING btree (public.f(a))',
  'CREATE INDEX i ON public.t USING btree (a) WHERE public.f(a)',
  'CREATE INDEX i ON public.t USING btree (((a)::public.checked))',
  'CREATE INDEX i ON public.t USING btree ((a OPERATOR(public.+) b))',
  'CREATE INDEX i ON public.t USING btree (a) WHERE "public" . "f" (a)',
  'ALTER TABLE ONLY public.t ADD CONSTRAINT e EXCLUDE USING gist (public.f(a) WITH &&)',
  'INSERT INTO public.t SELECT count(*) FROM public.u',
  'INSERT INTO public.t VALUES (public.f())',
  "INSERT INTO public.t VALUES (nextval('public.s'))",
  'ALTER TABLE public.t ADD CONSTRAINT a UNIQUE (a), ADD CONSTRAINT b FOREIGN KEY (b) REFERENCES public.r(b)',
  // Several tables, or none that can be told.
  'CREATE CONSTRAINT TRIGGER g AFTER INSERT ON public.t FROM public.r FOR EACH ROW EXECUTE FUNCTION public.f()',
  'CREATE TRIGGER g INSTEAD OF INSERT ON public.v FOR EACH ROW EXECUTE FUNCTION public.f()',
  'ALTER INDEX public.i ATTACH PARTITION public.j',
  'CREATE RULE r AS ON INSERT TO public.t DO INSTEAD NOTHING',
  'CREATE STATISTICS public.s ON (f(a)), b FROM public.t',
  'REFRESH MATERIALIZED VIEW public.t WITH NO DATA',
  'REFRESH MATERIALIZED VIEW t',
  'ALTER TABLE public.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID',
  "SELECT pg_catalog.setval('public.s', public.f(), true)",
  "SELECT setval('public.s', 1)",
  'UPDATE public.t SET a = 1',
  // Treated, each in its order.
  'ALTER TABLE public.t OWNER TO somebody',
  'GRANT SELECT ON TABLE public.t TO somebody',
])('keeps its order: %s', (statement) => {
  expect(classify(Buffer.from(statement)).place).toBeUndefined();
});

test.each([
  ['SET statement_timeout = 0', 'setting'],
  ["SELECT pg_catalog.set_config('search_path', '', false)", 'setting'],
  ["SELECT pg_catalog.set_config('search_path', '', true)", 'other'],
  ['SET LOCAL statement_timeout = 0', 'other'],
  ['SET ROLE somebody', 'other'],
  ['RESET ALL', 'other'],
  ['BEGIN', 'begin'],
  ['START TRANSACTION READ ONLY', 'begin'],
  ['COMMIT', 'end'],
  ['ROLLBACK', 'end'],
  ['ROLLBACK TO SAVEPOINT a', 'other'],
  ['COMMIT AND CHAIN', 'other'],
  ['CREATE TABLE public.t (a integer)', 'none'],
  ['CREATE TEMPORARY TABLE t (a integer)', 'other'],
  ["SELECT pg_catalog.setval('s', 1, true)", 'none'],
  ["SELECT pg_catalog.lowrite(0, '\\x00')", 'none'],
  ['SELECT public.f()', 'other'],
  ['DO $$ BEGIN END $$', 'other'],
  ['PREPARE p AS SELECT 1', 'other'],
])('what it does to the session: %s', (statement, effect) => {
  expect(classify(Buffer.from(statement)).session).toBe(effect);
});
