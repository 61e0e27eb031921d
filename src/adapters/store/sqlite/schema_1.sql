-- Rowid tables on purpose where rows may be large: those of a kilobyte and more spill out of WITHOUT ROWID trees, and
-- reads get three times slower. Small rows that are their own key have one tree instead of two.
-- Times and durations are microseconds. Numbers for classes and kinds of alias: column.rs.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT;

-- The same key may be wrapped by several roots: either opens the store.
CREATE TABLE data_keys (
    epoch   INTEGER NOT NULL,
    root    TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    UNIQUE (epoch, root)
) STRICT;

-- What the store says of itself as a whole. One row, signed.
CREATE TABLE ledger (
    one    INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL,
    count  INTEGER NOT NULL,
    sum    BLOB NOT NULL,
    epoch  INTEGER NOT NULL,
    fence  INTEGER NOT NULL,
    mac    BLOB NOT NULL
) STRICT;

-- What was written, by whom: each hash covers all notes before it.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY NOT NULL,
    hash   BLOB NOT NULL,
    note   TEXT NOT NULL
) STRICT;

CREATE TABLE records (
    id          BLOB PRIMARY KEY NOT NULL,
    class       INTEGER NOT NULL,
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL,
    origin      TEXT NOT NULL,
    retain_for  INTEGER NOT NULL,
    released_at INTEGER,
    purge_at    INTEGER,
    revision    INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    mac         BLOB NOT NULL,
    UNIQUE (class, name_key),
    CHECK ((released_at IS NULL) = (purge_at IS NULL))
) STRICT;

CREATE INDEX records_by_purge ON records (purge_at) WHERE purge_at IS NOT NULL;

CREATE TABLE revisions (
    record     BLOB NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    version_id BLOB NOT NULL,
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    UNIQUE (record, number)
) STRICT;

CREATE TABLE aliases (
    class  INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    value  TEXT NOT NULL,
    record BLOB NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    PRIMARY KEY (class, kind, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX aliases_by_record ON aliases (record);

-- The linked record may be gone already: the link says what the linking one contains, not what exists.
CREATE TABLE links (
    from_id BLOB NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    to_id   BLOB NOT NULL,
    PRIMARY KEY (from_id, to_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX links_by_target ON links (to_id, from_id);
