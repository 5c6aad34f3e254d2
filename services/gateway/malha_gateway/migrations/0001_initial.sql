-- API keys. The secret is never stored: digest is the SHA-256 of the whole key.
CREATE TABLE api_key (
  key_id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  digest BLOB NOT NULL,
  principal BLOB NOT NULL,      -- malha.api.common.v1.Principal
  expire_time REAL NOT NULL,    -- seconds since 1970, UTC
  revoke_time REAL              -- NULL while the key may be used
) STRICT;
CREATE INDEX api_key_tenant ON api_key (tenant);
