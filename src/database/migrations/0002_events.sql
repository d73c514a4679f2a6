-- Up Migration

-- Events that are too large for a notification, for a minute.
CREATE UNLOGGED TABLE replichat.event (
  id text PRIMARY KEY,
  event text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX event_at ON replichat.event (at);
