-- When an open run wants a hint if nothing happens to it until then; NULL: never. A version that does not
-- know the column writes none: such a row is due at once, and a hint too many is harmless.
ALTER TABLE runs ADD COLUMN due_us INTEGER DEFAULT 0;
-- Hints it got since its last record.
ALTER TABLE runs ADD COLUMN reminders INTEGER NOT NULL DEFAULT 0;

DROP INDEX runs_runnable;
CREATE INDEX runs_due ON runs (due_us) WHERE status IN ('QUEUED', 'RUNNING', 'WAITING') AND due_us IS NOT NULL;
