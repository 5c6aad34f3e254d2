-- What was told of subscriptions, each thing once, and nothing of the person who pays.
-- standing: malha_gateway.subscriptions.Standing. prices: ids and lookup keys, a JSON list.
CREATE TABLE stripe_event (
  event_id TEXT NOT NULL PRIMARY KEY,
  customer TEXT NOT NULL,
  subscription TEXT NOT NULL,
  created INTEGER NOT NULL,
  standing INTEGER NOT NULL,
  prices TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX stripe_event_customer ON stripe_event (customer);

-- Who pays for whom, and what that comes to: the tier of all the tenant's keys (common.v1.Tier; 0 leaves
-- them their own) until lapse_time (seconds since 1970), if there is one, and TIER_FREE after it.
CREATE TABLE tenant (
  tenant TEXT NOT NULL PRIMARY KEY,
  stripe_customer TEXT NOT NULL UNIQUE,
  tier INTEGER NOT NULL,
  lapse_time REAL
) STRICT, WITHOUT ROWID;
