-- The API key a run was accepted with, so that its runs can be found when it is revoked. Rows written by a
-- version that does not know the column have none.
ALTER TABLE runs ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
