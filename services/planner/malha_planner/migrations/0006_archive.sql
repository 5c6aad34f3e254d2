-- Whether the run's journal was moved to the archive and is gone from the stream.
ALTER TABLE runs ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
-- A dead run may be replayed, so its journal stays where it is.
CREATE INDEX runs_to_archive ON runs (updated_us) WHERE archived = 0 AND status IN ('SUCCEEDED', 'FAILED', 'CANCELLED');

-- Erased runs, under a hash of their ids: a follower that was held up may not write their rows again.
CREATE TABLE erased (
    name TEXT PRIMARY KEY,
    through INTEGER NOT NULL
) WITHOUT ROWID;
