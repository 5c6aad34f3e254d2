-- What waits for people is listed often, and is little among all that is over.
CREATE INDEX runs_waiting ON runs (tenant, accepted_sequence DESC) WHERE status = 'WAITING';
