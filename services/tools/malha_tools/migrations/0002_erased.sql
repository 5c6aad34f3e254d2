-- Keys of erased runs, as SHA-256 of tenant and key: whoever was held up may still come with one of them.
CREATE TABLE erased (
    hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
