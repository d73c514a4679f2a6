-- Up Migration

-- Names this database to the Docker Engine: the containers of replicas are labelled with it.
CREATE TABLE replichat.store AS SELECT replace(gen_random_uuid()::text, '-', '') AS id;
