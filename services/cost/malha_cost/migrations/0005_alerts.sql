-- Alerts: what people must hear of, stored with what caused it; body is an event.v1.Alert. An organisation's
-- have no tenant, and are announced to none.
CREATE TABLE alerts (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  organisation TEXT NOT NULL,
  body BLOB NOT NULL,
  told_us INTEGER,               -- NULL until it was announced
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX alerts_untold ON alerts (at_us) WHERE told_us IS NULL AND tenant <> '';
CREATE INDEX alerts_latest ON alerts (tenant, organisation, at_us);

-- What the watch has seen of the entries, and the sums it keeps: estimates, beside the ledger.
CREATE INDEX entries_spent ON entries (at_us) WHERE spent <> 0;

CREATE TABLE watched (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE hourly_spending (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,           -- '': all of the tenant's together
  hour INTEGER NOT NULL,         -- since 1970
  spent INTEGER NOT NULL,
  PRIMARY KEY (tenant, agent, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_spending (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  run_id TEXT NOT NULL,
  spent INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, agent, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_spending_latest ON run_spending (tenant, agent, last_us);
