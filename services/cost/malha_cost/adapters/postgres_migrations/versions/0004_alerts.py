"""Alerts, and what the watch keeps of spending."""

from alembic import op

revision = "0004"
down_revision = "0003"

# A blank line ends a statement: the driver takes one at a time.
SCHEMA = """
-- What people must hear of, stored with what caused it; body is an event.v1.Alert. An organisation's have
-- no tenant, and are announced to none.
CREATE TABLE cost.alerts (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  at_us BIGINT NOT NULL,
  organisation TEXT COLLATE "C" NOT NULL,
  body BYTEA NOT NULL,
  told_us BIGINT,  -- NULL until it was announced
  PRIMARY KEY (tenant, id)
);

CREATE INDEX alerts_untold ON cost.alerts (at_us) WHERE told_us IS NULL AND tenant <> '';

CREATE INDEX alerts_latest ON cost.alerts (tenant, organisation, at_us);

CREATE INDEX entries_spent ON cost.entries (at_us) WHERE spent <> 0;

CREATE TABLE cost.watched (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  at_us BIGINT NOT NULL
);

CREATE TABLE cost.hourly_spending (
  tenant TEXT COLLATE "C" NOT NULL,
  agent TEXT COLLATE "C" NOT NULL,  -- '': all of the tenant's together
  hour BIGINT NOT NULL,  -- since 1970
  spent BIGINT NOT NULL,
  PRIMARY KEY (tenant, agent, hour)
);

CREATE TABLE cost.run_spending (
  tenant TEXT COLLATE "C" NOT NULL,
  agent TEXT COLLATE "C" NOT NULL,
  run_id TEXT COLLATE "C" NOT NULL,
  spent BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  last_us BIGINT NOT NULL,
  PRIMARY KEY (tenant, agent, run_id)
);

CREATE INDEX run_spending_latest ON cost.run_spending (tenant, agent, last_us);

GRANT SELECT, INSERT, UPDATE ON cost.alerts, cost.watched TO malha_cost;

GRANT SELECT, INSERT, UPDATE, DELETE ON cost.hourly_spending, cost.run_spending TO malha_cost;

GRANT SELECT ON cost.alerts TO malha_cost_reader;

ALTER TABLE cost.alerts ENABLE ROW LEVEL SECURITY;

CREATE POLICY served ON cost.alerts TO malha_cost USING (true) WITH CHECK (true);

CREATE POLICY own ON cost.alerts FOR SELECT TO malha_cost_reader
  USING (tenant = (SELECT cost.own_tenant()));
"""


def upgrade() -> None:
    """Make it."""
    for statement in SCHEMA.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    """A ledger is not unmade."""
    raise NotImplementedError("a ledger is only ever added to")
