-- What waits for people is listed often, and is little among all that is over.
-- It once shared its number with another script, so some files have it already.
CREATE INDEX IF NOT EXISTS runs_waiting ON runs (tenant, accepted_sequence DESC) WHERE status = 'WAITING';
