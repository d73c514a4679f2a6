-- Right in the order of its lines alone: what is to come is not there yet, and what was there has left its mark. Comes
-- as it is, not through pg_dump.

CREATE SEQUENCE shared;
CREATE TABLE one (n bigint DEFAULT nextval('shared'), a int);
CREATE FUNCTION rows_of_one() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM one';
CREATE TABLE two (n bigint DEFAULT nextval('shared'), a int, ones bigint DEFAULT rows_of_one());
CREATE TABLE log (n bigint DEFAULT nextval('shared'), what text);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log (what) SELECT TG_TABLE_NAME || NEW.a || (SELECT count(*) FROM two); RETURN NEW; END $$;
CREATE TRIGGER log AFTER INSERT ON one FOR EACH ROW EXECUTE FUNCTION log();
CREATE TRIGGER log AFTER INSERT ON two FOR EACH ROW EXECUTE FUNCTION log();
CREATE RULE log AS ON UPDATE TO two DO ALSO INSERT INTO log (what) VALUES ('rule' || OLD.a);
CREATE RULE never AS ON INSERT TO one WHERE NEW.a = 13 DO INSTEAD INSERT INTO log (what) VALUES ('never');
COPY one (a) FROM stdin;
1
2
13
\.
COPY two (a) FROM stdin;
1
2
\.
INSERT INTO one (a) VALUES (3), (13);
COPY two (a) FROM stdin;
3
\.
INSERT INTO two (a) SELECT a + 10 FROM one WHERE a <= (SELECT count(*) FROM two);
UPDATE two SET a = a + (SELECT max(a) FROM one);
CREATE TABLE three AS SELECT * FROM two;
CREATE UNIQUE INDEX one_at_a_time ON three (a);
COPY three (n, a) FROM stdin;
1	1000
\.
DELETE FROM one WHERE a = 1;
COPY one (a) FROM stdin;
4
\.
TRUNCATE three;
INSERT INTO three SELECT n, a FROM one;
DROP TABLE one CASCADE;
CREATE TABLE one (a int);
COPY one FROM stdin;
42
\.
SELECT setval('shared', (SELECT max(n) + 100 FROM log));
