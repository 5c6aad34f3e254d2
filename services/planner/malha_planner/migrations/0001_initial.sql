-- One row a run, written by the follower; `row` is a malha.api.planner.v1.RunRow.
CREATE TABLE runs (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    last_sequence INTEGER NOT NULL,
    accepted_sequence INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    work_class TEXT NOT NULL,
    status TEXT NOT NULL,
    agent TEXT NOT NULL,
    session_id TEXT NOT NULL,
    row BLOB NOT NULL,
    PRIMARY KEY (tenant, run_id)
) WITHOUT ROWID;

CREATE INDEX runs_newest ON runs (tenant, accepted_sequence DESC);
CREATE INDEX runs_runnable ON runs (updated_us) WHERE status IN ('QUEUED', 'RUNNING');

-- How far all was announced when the table was last written.
CREATE TABLE followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL
);
