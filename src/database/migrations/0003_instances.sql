-- Up Migration

-- The servers on this database that live: each says so every second, by this database's clock.
CREATE TABLE replichat.instance (
  id text PRIMARY KEY,
  seen_at timestamptz NOT NULL
);

-- Which of them is busy with a chat.
CREATE TABLE replichat.claim (
  chat_id text PRIMARY KEY REFERENCES replichat.chat ON DELETE CASCADE,
  instance text NOT NULL
);

CREATE INDEX claim_instance ON replichat.claim (instance);

-- The replica's PostgreSQL, and which server answers for it; null when there is none.
ALTER TABLE replichat.replica ADD server_id text, ADD instance text;

-- What somebody has to answer for.
CREATE INDEX replica_live ON replichat.replica (chat_id)
  WHERE server_id IS NOT NULL OR status ->> 'state' IN ('QUEUED', 'STARTING', 'RESTORING');
