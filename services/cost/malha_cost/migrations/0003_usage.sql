-- What was used, for people and for bills: every entry that says so, numbered, and their sums by day. Both
-- are kept by a trigger: the version before knows nothing of them and adds entries, too.

-- Numbered within the tenant, in the order of commits (there is one writer at a time): whoever has read up
-- to a number has missed none below it.
CREATE TABLE metered (
  tenant TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  day TEXT NOT NULL,
  key TEXT NOT NULL,
  stage INTEGER NOT NULL,
  PRIMARY KEY (tenant, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
  tenant TEXT NOT NULL,
  day TEXT NOT NULL,
  key_id TEXT NOT NULL,
  agent TEXT NOT NULL,
  agent_version TEXT NOT NULL,
  component TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  calls INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  spent INTEGER NOT NULL,
  saved INTEGER NOT NULL,
  PRIMARY KEY (tenant, day, key_id, agent, agent_version, component, provider, model)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_by_day ON usage (day);

INSERT INTO metered
  SELECT tenant, row_number() OVER (PARTITION BY tenant ORDER BY at_us, key, stage), day, key, stage
  FROM entries WHERE kind IN ('settlement', 'provisional', 'correction', 'adjustment');

INSERT INTO usage
  SELECT tenant, day, key_id, agent, agent_version, component, provider, model, sum(stage = 1),
    sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(reasoning_tokens), sum(spent), sum(saved)
  FROM entries WHERE kind IN ('settlement', 'provisional', 'correction', 'adjustment')
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

CREATE TRIGGER entries_are_metered AFTER INSERT ON entries
WHEN new.stage > 0 AND new.kind <> 'release'  -- numbers first: every call of every run comes by here
BEGIN
  INSERT INTO metered VALUES (
    new.tenant, coalesce((SELECT max(sequence) FROM metered WHERE tenant = new.tenant), 0) + 1,
    new.day, new.key, new.stage
  );
  INSERT INTO usage VALUES (
    new.tenant, new.day, new.key_id, new.agent, new.agent_version, new.component, new.provider, new.model,
    new.stage = 1, new.input_tokens, new.cached_tokens, new.output_tokens, new.reasoning_tokens, new.spent,
    new.saved
  ) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
    input_tokens = input_tokens + excluded.input_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    spent = spent + excluded.spent, saved = saved + excluded.saved;
END;
