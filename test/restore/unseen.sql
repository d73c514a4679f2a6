-- What comes out right only when a dump of it runs in the order of its file, or as if it had: what pg_dump knows nothing
-- of hangs together by what functions read. pg_dump sorts by name, and so do these. Run by psql like torture.sql.

CREATE EXTENSION cube;
-- Only a superuser may create it.
CREATE EXTENSION earthdistance;
-- pg_dump writes it before extensions.
CREATE TRANSFORM FOR integer LANGUAGE plpgsql (FROM SQL WITH FUNCTION pg_catalog.prsd_lextype(internal));
CREATE SCHEMA unseen;

-- Rows that others look for while they are loaded

CREATE TABLE unseen.a_known (k integer, name text);
INSERT INTO unseen.a_known SELECT g, 'name ' || g FROM generate_series(1, 20000) g;
CREATE FUNCTION unseen.is_known(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RETURN EXISTS (SELECT FROM unseen.a_known WHERE k = $1); END $$;
CREATE FUNCTION unseen.known() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RETURN (SELECT count(*) FROM unseen.a_known); END $$;
CREATE TABLE unseen.b_checked (k integer, CONSTRAINT "is known" CHECK (unseen.is_known(k)));
INSERT INTO unseen.b_checked VALUES (1), (20000);
CREATE DOMAIN unseen.known_number AS integer CONSTRAINT known CHECK (unseen.is_known(VALUE));
CREATE TABLE unseen.c_domain (k unseen.known_number, ks unseen.known_number[]);
INSERT INTO unseen.c_domain VALUES (1, '{2,20000}');
CREATE TABLE unseen.d_generated (k integer, known bigint GENERATED ALWAYS AS (unseen.known() + k) STORED);
INSERT INTO unseen.d_generated VALUES (1), (2);
-- No row of it is ever right again.
CREATE TABLE unseen.e_not_valid (k integer);
INSERT INTO unseen.e_not_valid VALUES (-1);
ALTER TABLE unseen.e_not_valid ADD CONSTRAINT "not valid" CHECK (k > 0) NOT VALID;

-- Indexes that look for rows of tables which come later

CREATE TABLE unseen.z_late (k integer PRIMARY KEY, name text);
INSERT INTO unseen.z_late SELECT k, name FROM unseen.a_known;
CREATE FUNCTION unseen.late_name(integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RETURN (SELECT name FROM unseen.z_late WHERE k = $1); END $$;
CREATE TABLE unseen.f_indexed (k integer, during int4range);
INSERT INTO unseen.f_indexed SELECT g, int4range(g, g + 1) FROM generate_series(1, 1000) g;
CREATE INDEX f_expression ON unseen.f_indexed (unseen.late_name(k));
CREATE UNIQUE INDEX f_partial ON unseen.f_indexed (k) WHERE unseen.late_name(k) IS NOT NULL;
ALTER TABLE unseen.f_indexed ADD CONSTRAINT f_exclusive EXCLUDE USING gist (during WITH &&) WHERE (unseen.late_name(k) <> '');
CREATE STATISTICS unseen.f_statistics ON (unseen.late_name(k)), k FROM unseen.f_indexed;
-- It needs the key of another table, and so do the index and the view that call it.
CREATE FUNCTION unseen.late_too(integer) RETURNS text LANGUAGE sql IMMUTABLE BEGIN ATOMIC
  SELECT name FROM unseen.z_late WHERE k = $1 GROUP BY z_late.k;
END;
CREATE INDEX f_atomic ON unseen.f_indexed (unseen.late_too(k)) WHERE unseen.late_too(k) > '';
CREATE VIEW unseen.a_view AS SELECT k, name, count(*) FROM unseen.z_late GROUP BY z_late.k;
CREATE INDEX f_of_index ON unseen.f_indexed (k);
ALTER TABLE unseen.f_indexed CLUSTER ON f_of_index;
COMMENT ON INDEX unseen.f_of_index IS 'right after it';
CREATE UNIQUE INDEX z_identity ON unseen.z_late (name);
ALTER TABLE unseen.z_late ALTER name SET NOT NULL, REPLICA IDENTITY USING INDEX z_identity;
COMMENT ON CONSTRAINT f_exclusive ON unseen.f_indexed IS 'right after it';

-- Materialised views of which one reads another unseen

CREATE MATERIALIZED VIEW unseen.mat_a AS SELECT count(*) AS n FROM unseen.z_late;
CREATE FUNCTION unseen.of_mat_a() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT n FROM unseen.mat_a); END $$;
CREATE MATERIALIZED VIEW unseen.mat_b AS SELECT unseen.of_mat_a() AS n;
CREATE UNIQUE INDEX mat_b_n ON unseen.mat_b (n);
CREATE MATERIALIZED VIEW unseen.mat_c AS SELECT n FROM unseen.mat_b;

-- Keys in circles, both ways at once, to itself, and to an index that is no constraint

CREATE TABLE unseen.ping (id integer PRIMARY KEY, pong integer NOT NULL, ping integer, CONSTRAINT pings UNIQUE (pong));
CREATE TABLE unseen.pong (id integer PRIMARY KEY, ping integer NOT NULL, code text NOT NULL, other integer);
CREATE UNIQUE INDEX pong_code ON unseen.pong (code, id) INCLUDE (ping);
INSERT INTO unseen.ping SELECT g, 20001 - g, nullif(g / 2, 0) FROM generate_series(1, 20000) g;
INSERT INTO unseen.pong SELECT g, 20001 - g, 'code ' || g, g FROM generate_series(1, 20000) g;
ALTER TABLE unseen.ping ADD CONSTRAINT to_pong FOREIGN KEY (pong) REFERENCES unseen.pong DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE unseen.ping ADD CONSTRAINT to_itself FOREIGN KEY (ping) REFERENCES unseen.ping ON DELETE CASCADE;
ALTER TABLE unseen.pong ADD CONSTRAINT to_ping FOREIGN KEY (ping) REFERENCES unseen.ping;
ALTER TABLE unseen.pong ADD CONSTRAINT to_unique FOREIGN KEY (other) REFERENCES unseen.ping (pong);
CREATE TABLE unseen.of_code (code text, id integer, CONSTRAINT to_index FOREIGN KEY (code, id) REFERENCES unseen.pong (code, id) MATCH FULL);
INSERT INTO unseen.of_code SELECT code, id FROM unseen.pong;
COMMENT ON CONSTRAINT to_index ON unseen.of_code IS 'right after it';

-- Partitions with keys, attached indexes, and references from and to them

CREATE TABLE unseen.sale (id integer, region text, ping integer REFERENCES unseen.ping, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE unseen.sale_north PARTITION OF unseen.sale FOR VALUES IN ('north') PARTITION BY HASH (id);
CREATE TABLE unseen.sale_north_0 PARTITION OF unseen.sale_north FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE unseen.sale_north_1 PARTITION OF unseen.sale_north FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE unseen.sale_other PARTITION OF unseen.sale DEFAULT;
CREATE INDEX sale_name ON unseen.sale (unseen.late_name(id));
CREATE UNIQUE INDEX sale_unique ON unseen.sale (region, id) WHERE id > 0;
CREATE INDEX own_of_a_partition ON unseen.sale_north_0 (ping);
ALTER TABLE unseen.sale_north_0 CLUSTER ON own_of_a_partition;
INSERT INTO unseen.sale SELECT g, CASE WHEN g % 3 = 0 THEN 'south' ELSE 'north' END, g FROM generate_series(1, 6000) g;
CREATE TABLE unseen.sold (id integer, region text, at integer, FOREIGN KEY (id, region) REFERENCES unseen.sale) PARTITION BY RANGE (at);
CREATE TABLE unseen.sold_1 PARTITION OF unseen.sold FOR VALUES FROM (MINVALUE) TO (3000);
CREATE TABLE unseen.sold_2 PARTITION OF unseen.sold FOR VALUES FROM (3000) TO (MAXVALUE);
ALTER TABLE unseen.sold ADD UNIQUE (at);
INSERT INTO unseen.sold SELECT id, region, id FROM unseen.sale;
ALTER TABLE unseen.sale ADD sold integer REFERENCES unseen.sold (at);
UPDATE unseen.sale SET sold = id;

-- What fires or is checked when everything is there

CREATE FUNCTION unseen.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON unseen.a_known FOR EACH ROW EXECUTE FUNCTION unseen.refuse();
CREATE TRIGGER refuse BEFORE INSERT ON unseen.sale FOR EACH ROW EXECUTE FUNCTION unseen.refuse();
CREATE RULE nothing AS ON INSERT TO unseen.ping DO INSTEAD NOTHING;
ALTER TABLE unseen.pong ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY nobody ON unseen.pong USING (false);
