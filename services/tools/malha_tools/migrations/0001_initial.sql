-- One row a use of a tool. A row is never deleted while its run may still ask for it.
CREATE TABLE effects (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,                -- tenant/run/step/epoch/leg
    state TEXT NOT NULL CHECK (state IN ('begun', 'done', 'tombstoned')),
    tool TEXT,                        -- NULL under a tombstone: it never ran
    kind INTEGER,                     -- malha.api.run.v1.Effect
    arguments_hash BLOB,              -- SHA-256 of tool and arguments
    result BLOB,                      -- malha.api.tools.v1.ToolResult, once done
    begun_at INTEGER,                 -- UTC, milliseconds
    ended_at INTEGER,                 -- UTC, milliseconds: done or tombstoned
    PRIMARY KEY (tenant, key),
    CHECK ((state = 'done') = (result IS NOT NULL))
) STRICT;
