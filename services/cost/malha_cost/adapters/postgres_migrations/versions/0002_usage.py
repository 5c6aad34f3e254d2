"""What was used, for people and for bills: numbered in the order of commits, and summed by day."""

from alembic import op

revision = "0002"
down_revision = "0001"

# A blank line ends a statement: the driver takes one at a time.
SCHEMA = """
-- Every entry that says what was used, numbered within its tenant. Whoever adds entries is alone with the
-- tenant until its commit (an advisory lock), so numbers are given in the order of commits: whoever has
-- read up to a number has missed none below it. A sequence of the database would not do: its numbers are
-- committed out of order.
CREATE TABLE cost.metered (
  tenant TEXT COLLATE "C" NOT NULL,
  sequence BIGINT NOT NULL,
  day TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  stage INTEGER NOT NULL,
  PRIMARY KEY (tenant, sequence)
);

CREATE TABLE cost.usage (
  tenant TEXT COLLATE "C" NOT NULL,
  day TEXT COLLATE "C" NOT NULL,
  key_id TEXT COLLATE "C" NOT NULL,
  agent TEXT COLLATE "C" NOT NULL,
  agent_version TEXT COLLATE "C" NOT NULL,
  component TEXT COLLATE "C" NOT NULL,
  provider TEXT COLLATE "C" NOT NULL,
  model TEXT COLLATE "C" NOT NULL,
  calls BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  cached_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  spent BIGINT NOT NULL,
  saved BIGINT NOT NULL,
  PRIMARY KEY (tenant, day, key_id, agent, agent_version, component, provider, model)
) WITH (fillfactor = 70);

CREATE INDEX usage_by_day ON cost.usage (day);

-- A trigger keeps both, since the version before adds entries, too, and knows nothing of them; as their
-- owner, so that the service itself can change neither.
CREATE FUNCTION cost.meter() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = cost, pg_temp
AS $$ BEGIN
  INSERT INTO metered
    SELECT tenant, coalesce((SELECT max(m.sequence) FROM metered m WHERE m.tenant = added.tenant), 0)
      + row_number() OVER (PARTITION BY tenant ORDER BY key, stage), day, key, stage
    FROM added WHERE kind IN ('settlement', 'provisional', 'correction', 'adjustment');
  INSERT INTO usage AS u
    SELECT tenant, day, key_id, agent, agent_version, component, provider, model,
      count(*) FILTER (WHERE stage = 1), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
      sum(reasoning_tokens), sum(spent), sum(saved)
    FROM added WHERE kind IN ('settlement', 'provisional', 'correction', 'adjustment')
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ON CONFLICT (tenant, day, key_id, agent, agent_version, component, provider, model)
  DO UPDATE SET calls = u.calls + excluded.calls,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    spent = u.spent + excluded.spent, saved = u.saved + excluded.saved;
  RETURN NULL;
END $$;

-- From here on nobody adds entries until all of this is committed.
CREATE TRIGGER entries_are_metered AFTER INSERT ON cost.entries
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cost.meter();

INSERT INTO cost.metered
  SELECT tenant, row_number() OVER (PARTITION BY tenant ORDER BY at_us, key, stage), day, key, stage
  FROM cost.entries WHERE kind IN ('settlement', 'provisional', 'correction', 'adjustment');

INSERT INTO cost.usage
  SELECT tenant, day, key_id, agent, agent_version, component, provider, model,
    count(*) FILTER (WHERE stage = 1), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(spent), sum(saved)
  FROM cost.entries WHERE kind IN ('settlement', 'provisional', 'correction', 'adjustment')
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

GRANT SELECT ON cost.metered, cost.usage TO malha_cost, malha_cost_reader;
"""

ROWS = """
ALTER TABLE cost.{table} ENABLE ROW LEVEL SECURITY;

CREATE POLICY served ON cost.{table} FOR SELECT TO malha_cost USING (true);

CREATE POLICY own ON cost.{table} FOR SELECT TO malha_cost_reader
  USING (tenant = (SELECT cost.own_tenant()));
"""


def upgrade() -> None:
    """Make it."""
    for script in (SCHEMA, *(ROWS.format(table=table) for table in ("metered", "usage"))):
        for statement in script.strip().split("\n\n"):
            op.execute(statement)


def downgrade() -> None:
    """A ledger is not unmade."""
    raise NotImplementedError("a ledger is only ever added to")
