-- Where tenants' events are delivered by HTTP. The secret is sealed under the tenant's data key.
CREATE TABLE webhook (
  webhook_id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  url TEXT NOT NULL,
  event_types TEXT NOT NULL,          -- separated by spaces; empty: all
  secret BLOB NOT NULL,               -- malha.api.run.v1.Sealed
  create_us INTEGER NOT NULL,
  after_sequence INTEGER NOT NULL,    -- of EVENTS: what came up to there is not delivered
  disabled_reason TEXT NOT NULL DEFAULT '',
  last_outcome TEXT NOT NULL DEFAULT '',
  failures INTEGER NOT NULL DEFAULT 0,  -- in a row
  failing_since_us INTEGER,           -- the first of them
  retry_us INTEGER NOT NULL DEFAULT 0   -- not before
) STRICT;
CREATE INDEX webhook_tenant ON webhook (tenant);

-- What is still to be delivered: places of events, never a word of them.
CREATE TABLE delivery (
  webhook_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,          -- of EVENTS
  attempts INTEGER NOT NULL DEFAULT 0,
  first_us INTEGER NOT NULL,
  due_us INTEGER NOT NULL,
  PRIMARY KEY (webhook_id, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (webhook_id, due_us);

-- How far EVENTS was read, and which gateway reads and delivers: one at a time, for as long as it says so.
CREATE TABLE delivering (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  sequence INTEGER NOT NULL,
  holder TEXT NOT NULL,
  until_us INTEGER NOT NULL
) STRICT;
INSERT INTO delivering VALUES (1, 0, '', 0);
