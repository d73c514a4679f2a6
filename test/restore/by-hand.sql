-- Relies on what a superuser may, on every line. Comes as it is, not through pg_dump.

BEGIN;
CREATE TABLE parent (id int PRIMARY KEY, touched int);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, touched int);
CREATE TABLE other (parent int REFERENCES parent, touched int);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := 1; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION touch();
COMMIT;
ALTER TABLE child DISABLE TRIGGER ALL;
ALTER TABLE parent DISABLE TRIGGER ALL;
INSERT INTO child VALUES (1, 1);
INSERT INTO parent VALUES (1);
INSERT INTO other VALUES (1);
ALTER TABLE parent ENABLE TRIGGER ALL;
INSERT INTO child VALUES (2, 2);
INSERT INTO parent VALUES (2);
ALTER TABLE child ENABLE TRIGGER ALL;
INSERT INTO child VALUES (3, 1);
SET session_replication_role = replica;
INSERT INTO child VALUES (4, 4);
COPY parent FROM stdin;
4	\N
\.
SET session_replication_role = origin;
INSERT INTO child VALUES (5, 4);
CREATE TABLE secret AS SELECT * FROM child;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
INSERT INTO secret VALUES (9);
CREATE TABLE secrets AS SELECT * FROM secret;
CREATE EXTENSION not_there;
COMMENT ON EXTENSION not_there IS 'x';
SECURITY LABEL FOR nobody ON TABLE parent IS 'x';
GRANT SELECT ON parent TO nobody_here;
