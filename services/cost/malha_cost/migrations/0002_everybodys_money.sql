-- Entries say whose money it was beyond tenant, key and run, and may be adjusted. The table is made anew,
-- since SQLite changes no CHECK; to the version before it looks as before.
CREATE TABLE entries_anew (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  stage INTEGER NOT NULL CHECK (stage >= 0),
  kind TEXT NOT NULL
    CHECK (kind IN ('reservation', 'settlement', 'provisional', 'release', 'correction', 'adjustment')),
  at_us INTEGER NOT NULL,
  day TEXT NOT NULL,
  key_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  agent TEXT NOT NULL,
  component TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  price_row TEXT NOT NULL,
  input_rate INTEGER NOT NULL,
  cached_rate INTEGER NOT NULL,
  output_rate INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  reserved INTEGER NOT NULL,
  spent INTEGER NOT NULL,
  reference INTEGER NOT NULL,
  reference_model TEXT NOT NULL,
  organisation TEXT NOT NULL DEFAULT '',
  user_id TEXT NOT NULL DEFAULT '',
  session TEXT NOT NULL DEFAULT '',
  agent_version TEXT NOT NULL DEFAULT '',
  opened_us INTEGER NOT NULL DEFAULT 0,
  grains INTEGER NOT NULL DEFAULT 0,
  held_tokens INTEGER NOT NULL DEFAULT 0,
  tokens INTEGER NOT NULL DEFAULT 0,
  saved INTEGER NOT NULL DEFAULT 0,
  adjustment TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (tenant, key, stage)
) STRICT, WITHOUT ROWID;

INSERT INTO entries_anew (
  tenant, key, stage, kind, at_us, day, key_id, run_id, agent, component, provider, model, price_row,
  input_rate, cached_rate, output_rate, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
  reserved, spent, reference, reference_model
) SELECT
  tenant, key, stage, kind, at_us, day, key_id, run_id, agent, component, provider, model, price_row,
  input_rate, cached_rate, output_rate, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
  reserved, spent, reference, reference_model
FROM entries;

DROP TABLE entries;
ALTER TABLE entries_anew RENAME TO entries;

CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

-- An entry's postings add up to zero: what leaves one account of its payer comes to another.
CREATE VIEW postings AS
  SELECT tenant, key, stage, 'free' AS account, -(reserved + spent) AS amount FROM entries
  UNION ALL SELECT tenant, key, stage, 'reserved', reserved FROM entries
  UNION ALL SELECT tenant, key, stage, 'spent', spent FROM entries;

-- scope, as in cost.v1.Scope: 1 run, 2 key, 3 tenant, 5 session, 6 user, 7 organisation (tenant is empty).
-- day is a period: a day, or h, m, s and a number for an hour, a minute or five seconds since 1970.
ALTER TABLE balances ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0 CHECK (tokens >= 0);
ALTER TABLE balances ADD COLUMN held_tokens INTEGER NOT NULL DEFAULT 0 CHECK (held_tokens >= 0);

-- What an account's days add up to, so that a limit in total asks one row however old the ledger is. Runs
-- have few days. Kept by triggers: the version before knows nothing of it and moves balances, too.
CREATE TABLE totals (
  tenant TEXT NOT NULL,
  scope INTEGER NOT NULL,
  scope_id TEXT NOT NULL,
  spent INTEGER NOT NULL,
  reserved INTEGER NOT NULL,
  PRIMARY KEY (tenant, scope, scope_id)
) STRICT, WITHOUT ROWID;

INSERT INTO totals
  SELECT tenant, scope, scope_id, sum(spent), sum(reserved) FROM balances WHERE scope <> 1 GROUP BY 1, 2, 3;

CREATE TRIGGER totals_begin AFTER INSERT ON balances WHEN new.scope <> 1 AND new.day < 'a'
BEGIN
  INSERT INTO totals VALUES (new.tenant, new.scope, new.scope_id, new.spent, new.reserved)
  ON CONFLICT DO UPDATE SET spent = spent + excluded.spent, reserved = reserved + excluded.reserved;
END;

CREATE TRIGGER totals_follow AFTER UPDATE OF spent, reserved ON balances WHEN new.scope <> 1 AND new.day < 'a'
BEGIN
  UPDATE totals SET spent = spent + new.spent - old.spent, reserved = reserved + new.reserved - old.reserved
  WHERE tenant = new.tenant AND scope = new.scope AND scope_id = new.scope_id;
END;

-- Who holds something. No "scope = 1" here: SQLite would prepare every "scope = ?" anew to see whether it fits.
CREATE INDEX balances_held ON balances (scope, day) WHERE reserved + held_tokens > 0;

-- How a tenant's budgets are kept. budgets.window_kind is 16 higher for rolling windows.
CREATE TABLE policies (
  tenant TEXT NOT NULL PRIMARY KEY,
  time_zone TEXT NOT NULL,
  organisation TEXT NOT NULL,
  warn_percent INTEGER NOT NULL,
  brake_percent INTEGER NOT NULL,
  stop_started_runs INTEGER NOT NULL,
  monthly_tokens INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
