-- How an entry was priced beyond its three rates: prices.Rates.terms. Empty in entries of the version before,
-- also in those that it still writes while its successor starts.
ALTER TABLE entries ADD COLUMN terms TEXT NOT NULL DEFAULT '';
