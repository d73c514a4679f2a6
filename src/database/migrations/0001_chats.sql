-- Up Migration

CREATE TABLE replichat.owner (
  id text PRIMARY KEY,
  chat_count bigint NOT NULL,
  last_position bigint NOT NULL
);

CREATE TABLE replichat.chat (
  id text PRIMARY KEY,
  owner text NOT NULL REFERENCES replichat.owner,
  -- Rises with each chat of the owner; a deleted one leaves a gap.
  position bigint NOT NULL,
  client_id text,
  name text NOT NULL,
  host text NOT NULL,
  port integer NOT NULL,
  "user" text NOT NULL,
  database text NOT NULL,
  dbms text NOT NULL,
  environment text NOT NULL,
  created_at timestamptz NOT NULL,
  message_count bigint NOT NULL DEFAULT 0,
  -- Of the replications whose record is deleted.
  last_sequence bigint NOT NULL DEFAULT 0,
  UNIQUE (owner, position),
  UNIQUE (owner, client_id)
) WITH (fillfactor = 80);

-- Messages are only ever added: those of a chat are at the positions 1 to message_count.
CREATE TABLE replichat.message (
  chat_id text NOT NULL REFERENCES replichat.chat ON DELETE CASCADE,
  position bigint NOT NULL,
  id text NOT NULL,
  client_id text,
  role text NOT NULL,
  -- Not jsonb, which has no \u0000 and an order of its own.
  content json NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (chat_id, position)
);

CREATE UNIQUE INDEX message_client_id ON replichat.message (chat_id, client_id) WHERE client_id IS NOT NULL;

CREATE TABLE replichat.replica (
  chat_id text PRIMARY KEY REFERENCES replichat.chat ON DELETE CASCADE,
  status json NOT NULL,
  engine text NOT NULL,
  server_version text,
  size_bytes bigint,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at timestamptz
) WITH (fillfactor = 50);

-- Passwords, encrypted (src/stores/keyring.ts).
CREATE TABLE replichat.secret (
  chat_id text NOT NULL REFERENCES replichat.chat ON DELETE CASCADE,
  field text NOT NULL,
  envelope text NOT NULL,
  PRIMARY KEY (chat_id, field)
);

-- A known word encrypted with each key that was ever in use, to tell a wrong one.
CREATE TABLE replichat.key (
  id text PRIMARY KEY,
  envelope text NOT NULL
);
