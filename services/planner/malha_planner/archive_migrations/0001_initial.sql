-- One journal a row, only ever added at the end and deleted; `journal` is a malha.api.run.v1.ArchivedJournal.
CREATE TABLE archived (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    last_sequence INTEGER NOT NULL,
    journal BLOB NOT NULL,
    UNIQUE (tenant, run_id)
) STRICT;

-- Erasures, under a hash of the run's id. `request` says what is still to be erased; NULL once all is.
-- The row stays: an archivist that was held up may not store the journal again.
CREATE TABLE erasures (
    name TEXT PRIMARY KEY,
    through INTEGER NOT NULL,
    request BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX erasures_asked ON erasures (name) WHERE request IS NOT NULL;
