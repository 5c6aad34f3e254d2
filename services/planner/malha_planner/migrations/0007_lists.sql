-- Lists with a filter that few runs pass: without these, each would read all runs of the tenant.
CREATE INDEX runs_open ON runs (tenant, accepted_sequence DESC) WHERE status IN ('QUEUED', 'RUNNING', 'WAITING');
CREATE INDEX runs_unhappy ON runs (tenant, accepted_sequence DESC) WHERE status IN ('FAILED', 'CANCELLED', 'DEAD');
CREATE INDEX runs_of_agent ON runs (tenant, agent, accepted_sequence DESC);
CREATE INDEX runs_of_session ON runs (tenant, session_id, accepted_sequence DESC) WHERE session_id <> '';
CREATE INDEX runs_of_key ON runs (tenant, key_id, accepted_sequence DESC);
