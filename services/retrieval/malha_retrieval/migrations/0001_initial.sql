CREATE TABLE documents (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  metadata TEXT NOT NULL, -- JSON object of strings
  chunks INTEGER NOT NULL,
  stored_at TEXT NOT NULL, -- UTC, ISO 8601
  PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

-- `scope` is the tenant as one word of the index, so that a search walks its tenant's rows alone;
-- `tenant` is what the query's filter compares.
CREATE TABLE passages (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  document TEXT NOT NULL,
  scope TEXT NOT NULL,
  section TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX passages_by_document ON passages (tenant, document);

-- Porter's stemmer over folded words: it serves English, and its first step folds the plural in -s
-- that Portuguese shares.
CREATE VIRTUAL TABLE passages_text USING fts5 (
  scope, document, section, text,
  content = 'passages', content_rowid = 'id',
  tokenize = 'porter unicode61 remove_diacritics 2'
);

CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN
  INSERT INTO passages_text (rowid, scope, document, section, text)
  VALUES (new.id, new.scope, new.document, new.section, new.text);
END;
CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN
  INSERT INTO passages_text (passages_text, rowid, scope, document, section, text)
  VALUES ('delete', old.id, old.scope, old.document, old.section, old.text);
END;
