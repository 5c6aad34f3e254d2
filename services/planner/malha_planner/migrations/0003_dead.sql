-- The dead, of all tenants, newest first.
CREATE INDEX runs_dead ON runs (accepted_sequence DESC) WHERE status = 'DEAD';
