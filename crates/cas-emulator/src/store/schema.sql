-- Facts about vaults, archives, uploads and jobs. Times are milliseconds since 1970; hashes are 32 bytes.
-- A row names a blob only after the blob's file is safely in place.

CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE vault (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id             INTEGER NOT NULL,
    name               TEXT NOT NULL,
    created            INTEGER NOT NULL,
    policy             TEXT,
    notification       TEXT,
    inventory_date     INTEGER,
    inventory_archives INTEGER,
    inventory_bytes    INTEGER,
    UNIQUE (app_id, name)
) STRICT;

CREATE INDEX vault_by_inventory ON vault (coalesce(inventory_date, created));

-- One file of bytes. The leaves are absent when there is only one: it is the tree hash.
CREATE TABLE blob (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL UNIQUE,
    size      INTEGER NOT NULL CHECK (size > 0),
    sha256    BLOB NOT NULL,
    tree_hash BLOB NOT NULL,
    leaves    BLOB
) STRICT;

-- A deleted archive stays as a row, so that jobs can tell it from one that never was.
CREATE TABLE archive (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    vault       INTEGER NOT NULL REFERENCES vault ON DELETE CASCADE,
    archive_id  TEXT NOT NULL UNIQUE,
    size        INTEGER NOT NULL,
    tree_hash   BLOB NOT NULL,
    description TEXT NOT NULL,
    created     INTEGER NOT NULL,
    deleted     INTEGER
) STRICT;
CREATE INDEX archive_in_vault ON archive (vault, archive_id) WHERE deleted IS NULL;
CREATE INDEX archive_deleted ON archive (deleted) WHERE deleted IS NOT NULL;

-- An archive is its segments one after the other: one for a single upload, one for each part of a multipart upload.
CREATE TABLE segment (
    archive INTEGER NOT NULL REFERENCES archive ON DELETE CASCADE,
    start   INTEGER NOT NULL,
    blob    INTEGER NOT NULL REFERENCES blob,
    PRIMARY KEY (archive, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX segment_of_blob ON segment (blob);

CREATE TABLE upload (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    vault       INTEGER NOT NULL REFERENCES vault ON DELETE CASCADE,
    upload_id   TEXT NOT NULL UNIQUE,
    part_size   INTEGER NOT NULL,
    description TEXT NOT NULL,
    created     INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_in_vault ON upload (vault, id);
CREATE INDEX upload_by_age ON upload (created);

CREATE TABLE part (
    upload INTEGER NOT NULL REFERENCES upload ON DELETE CASCADE,
    start  INTEGER NOT NULL,
    blob   INTEGER NOT NULL REFERENCES blob,
    PRIMARY KEY (upload, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_of_blob ON part (blob);

-- What was asked for is kept as it came; what became of it stands in the columns.
CREATE TABLE job (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    vault       INTEGER NOT NULL REFERENCES vault ON DELETE CASCADE,
    job_id      TEXT NOT NULL UNIQUE,
    parameters  TEXT NOT NULL,
    created     INTEGER NOT NULL,
    ready       INTEGER NOT NULL,
    completed   INTEGER,
    status      TEXT NOT NULL,
    message     TEXT,
    archive     INTEGER REFERENCES archive,
    range_start INTEGER,
    range_end   INTEGER,
    tree_hash   BLOB,
    output      INTEGER REFERENCES blob,
    marker      TEXT
) STRICT;
CREATE INDEX job_in_vault ON job (vault, job_id);
CREATE INDEX job_in_progress ON job (ready) WHERE completed IS NULL;
CREATE INDEX job_by_completion ON job (completed) WHERE completed IS NOT NULL;
CREATE INDEX job_of_archive ON job (archive) WHERE archive IS NOT NULL;
CREATE INDEX job_of_output ON job (output) WHERE output IS NOT NULL;

-- Files that nothing names any more and that are still to be removed.
CREATE TABLE doomed (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- A blob goes with the last row that names it, also when that row goes because its vault or upload does.
CREATE TRIGGER segment_gone AFTER DELETE ON segment BEGIN
    DELETE FROM blob WHERE id = OLD.blob
        AND NOT EXISTS (SELECT 1 FROM segment WHERE blob = OLD.blob)
        AND NOT EXISTS (SELECT 1 FROM part WHERE blob = OLD.blob);
END;
CREATE TRIGGER part_gone AFTER DELETE ON part BEGIN
    DELETE FROM blob WHERE id = OLD.blob
        AND NOT EXISTS (SELECT 1 FROM segment WHERE blob = OLD.blob)
        AND NOT EXISTS (SELECT 1 FROM part WHERE blob = OLD.blob);
END;
CREATE TRIGGER job_gone AFTER DELETE ON job WHEN OLD.output IS NOT NULL BEGIN
    DELETE FROM blob WHERE id = OLD.output;
END;
CREATE TRIGGER blob_gone AFTER DELETE ON blob BEGIN
    INSERT OR IGNORE INTO doomed (name) VALUES (OLD.name);
END;

PRAGMA user_version = 1;
