"""The ledger, its readers and its one writer."""

from alembic import op

revision = "0001"
down_revision = None

# A blank line ends a statement: the driver takes one at a time.
SCHEMA = """
-- Roles belong to the whole server. Nobody logs in as these: logins are made members of one of them.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'malha_cost') THEN
    CREATE ROLE malha_cost NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'malha_cost_reader') THEN
    CREATE ROLE malha_cost_reader NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration was faster
END $$;

-- Only ever added to; a step key has at most one row a stage, so that settling twice is impossible
-- and not merely avoided. Texts compare byte by byte, as they do in SQLite and in Python.
CREATE TABLE cost.entries (
  tenant TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  stage INTEGER NOT NULL CHECK (stage >= 0),
  kind TEXT NOT NULL
    CHECK (kind IN ('reservation', 'settlement', 'provisional', 'release', 'correction', 'adjustment')),
  at_us BIGINT NOT NULL,
  day TEXT COLLATE "C" NOT NULL,
  key_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  agent TEXT NOT NULL,
  component TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  price_row TEXT NOT NULL,
  input_rate BIGINT NOT NULL,
  cached_rate BIGINT NOT NULL,
  output_rate BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  cached_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  reserved BIGINT NOT NULL,
  spent BIGINT NOT NULL,
  reference BIGINT NOT NULL,
  reference_model TEXT NOT NULL,
  organisation TEXT NOT NULL,
  user_id TEXT NOT NULL,
  session TEXT NOT NULL,
  agent_version TEXT NOT NULL,
  opened_us BIGINT NOT NULL,
  grains BIGINT NOT NULL,
  held_tokens BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  saved BIGINT NOT NULL,
  adjustment TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (tenant, key, stage)
);

CREATE FUNCTION cost.entries_stand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the ledger is only ever added to'; END $$;

CREATE TRIGGER entries_are_never_changed BEFORE UPDATE OR DELETE ON cost.entries
  FOR EACH ROW EXECUTE FUNCTION cost.entries_stand();

CREATE TRIGGER entries_are_never_emptied BEFORE TRUNCATE ON cost.entries
  FOR EACH STATEMENT EXECUTE FUNCTION cost.entries_stand();

-- An entry's postings add up to zero: what leaves one account of its payer comes to another.
CREATE VIEW cost.postings WITH (security_invoker = true) AS
  SELECT tenant, key, stage, 'free' AS account, -(reserved + spent) AS amount FROM cost.entries
  UNION ALL SELECT tenant, key, stage, 'reserved', reserved FROM cost.entries
  UNION ALL SELECT tenant, key, stage, 'spent', spent FROM cost.entries;

-- What the entries add up to. scope, as in cost.v1.Scope: 1 run, 2 key, 3 tenant, 5 session, 6 user,
-- 7 organisation (tenant is empty). day is a period: a day, or h, m, s and a number for an hour, a
-- minute or five seconds since 1970.
CREATE TABLE cost.balances (
  tenant TEXT COLLATE "C" NOT NULL,
  scope INTEGER NOT NULL,
  scope_id TEXT COLLATE "C" NOT NULL,
  day TEXT COLLATE "C" NOT NULL,
  spent BIGINT NOT NULL CHECK (spent >= 0),
  reserved BIGINT NOT NULL CHECK (reserved >= 0),
  tokens BIGINT NOT NULL CHECK (tokens >= 0),
  held_tokens BIGINT NOT NULL CHECK (held_tokens >= 0),
  PRIMARY KEY (tenant, scope, scope_id, day)
) WITH (fillfactor = 70);

-- What an account's days add up to, so that a limit in total asks one row however old the ledger is. Runs
-- have few days.
CREATE TABLE cost.totals (
  tenant TEXT COLLATE "C" NOT NULL,
  scope INTEGER NOT NULL,
  scope_id TEXT COLLATE "C" NOT NULL,
  spent BIGINT NOT NULL,
  reserved BIGINT NOT NULL,
  PRIMARY KEY (tenant, scope, scope_id)
) WITH (fillfactor = 70);

CREATE INDEX balances_held ON cost.balances (scope, day) WHERE reserved + held_tokens > 0;

CREATE TABLE cost.budgets (
  tenant TEXT COLLATE "C" NOT NULL,
  scope INTEGER NOT NULL,
  scope_id TEXT COLLATE "C" NOT NULL,
  window_kind INTEGER NOT NULL,  -- as in cost.v1.Window; 16 higher where it rolls
  limit_microusd BIGINT NOT NULL CHECK (limit_microusd >= 0),
  PRIMARY KEY (tenant, scope, scope_id, window_kind)
);

CREATE TABLE cost.policies (
  tenant TEXT COLLATE "C" PRIMARY KEY,
  time_zone TEXT NOT NULL,
  organisation TEXT NOT NULL,
  warn_percent INTEGER NOT NULL,
  brake_percent INTEGER NOT NULL,
  stop_started_runs BOOLEAN NOT NULL,
  monthly_tokens BIGINT NOT NULL
);

-- Whose rows a login may read. The login itself decides, which SET changes for nobody but a superuser:
-- SET ROLE changes current_user, and session_user stays.
CREATE TABLE cost.readers (
  role NAME PRIMARY KEY,
  tenant TEXT COLLATE "C" NOT NULL CHECK (tenant <> '')
);

CREATE FUNCTION cost.own_tenant() RETURNS TEXT LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT tenant FROM cost.readers WHERE role = session_user $$;

GRANT USAGE ON SCHEMA cost TO malha_cost, malha_cost_reader;

GRANT SELECT, INSERT ON cost.entries TO malha_cost;

GRANT SELECT, INSERT, UPDATE ON cost.balances, cost.totals, cost.budgets, cost.policies TO malha_cost;

GRANT SELECT ON cost.postings, cost.alembic_version TO malha_cost;

GRANT SELECT ON cost.entries, cost.postings, cost.balances, cost.totals,
  cost.budgets, cost.policies TO malha_cost_reader;
"""

ROWS = """
ALTER TABLE cost.{table} ENABLE ROW LEVEL SECURITY;

CREATE POLICY served ON cost.{table} TO malha_cost USING (true) WITH CHECK (true);

CREATE POLICY own ON cost.{table} FOR SELECT TO malha_cost_reader
  USING (tenant = (SELECT cost.own_tenant()));
"""


def upgrade() -> None:
    """Make it."""
    tables = ("entries", "balances", "totals", "budgets", "policies")
    for script in (SCHEMA, *(ROWS.format(table=table) for table in tables)):
        for statement in script.strip().split("\n\n"):
            op.execute(statement)


def downgrade() -> None:
    """A ledger is not unmade."""
    raise NotImplementedError("a ledger is only ever added to")
