-- The ledger. Only ever added to; a step key has at most one row a stage, so that settling
-- twice is impossible and not merely avoided. The rows of a run stand side by side.
CREATE TABLE entries (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  stage INTEGER NOT NULL CHECK (stage IN (0, 1, 2)),
  kind TEXT NOT NULL CHECK (kind IN ('reservation', 'settlement', 'provisional', 'release', 'correction')),
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
  PRIMARY KEY (tenant, key, stage)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

-- What the entries add up to, by account and day. scope: 1 run, 2 key, 3 tenant (cost.v1.Scope).
CREATE TABLE balances (
  tenant TEXT NOT NULL,
  scope INTEGER NOT NULL,
  scope_id TEXT NOT NULL,
  day TEXT NOT NULL,
  spent INTEGER NOT NULL CHECK (spent >= 0),
  reserved INTEGER NOT NULL CHECK (reserved >= 0),
  PRIMARY KEY (tenant, scope, scope_id, day)
) STRICT, WITHOUT ROWID;

-- window_kind: 1 day, 2 month, 3 total (cost.v1.Window).
CREATE TABLE budgets (
  tenant TEXT NOT NULL,
  scope INTEGER NOT NULL,
  scope_id TEXT NOT NULL,
  window_kind INTEGER NOT NULL,
  limit_microusd INTEGER NOT NULL CHECK (limit_microusd >= 0),
  PRIMARY KEY (tenant, scope, scope_id, window_kind)
) STRICT, WITHOUT ROWID;
