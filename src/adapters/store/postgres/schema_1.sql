-- Text that people choose is kept as its UTF-8 bytes: it may hold a zero, which PostgreSQL's text cannot, and it is
-- compared and ordered byte for byte whatever the database's collation. Times and durations are microseconds.
-- Numbers for classes and kinds of alias: row.rs.

CREATE TABLE strongroom.meta (
    key   text PRIMARY KEY,
    value bytea NOT NULL
);

-- The same key may be wrapped by several roots: either opens the store.
CREATE TABLE strongroom.data_keys (
    epoch   int8 NOT NULL,
    root    text NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (epoch, root)
);

-- What the store says of itself as a whole. One row, signed, and the lock of every write. It is there before the first
-- key signs it, so that two first starts wait for each other as well. Half empty pages keep its updates in place.
CREATE TABLE strongroom.ledger (
    one    bool PRIMARY KEY DEFAULT true CHECK (one),
    number int8,
    hash   bytea,
    count  int8,
    sum    bytea,
    epoch  int8,
    fence  int8,
    mac    bytea,
    CHECK (num_nulls(number, hash, count, sum, epoch, fence, mac) IN (0, 7))
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

INSERT INTO strongroom.ledger DEFAULT VALUES;

-- What was written, by whom: each hash covers all notes before it. The batch says which transaction of which process
-- wrote it: by that a process finds out whether a commit was done whose answer it has not seen.
CREATE TABLE strongroom.audit (
    number int8 PRIMARY KEY,
    hash   bytea NOT NULL,
    note   text NOT NULL,
    batch  uuid NOT NULL
);

-- A name may go from one record to another within one statement, so its uniqueness is judged behind it.
CREATE TABLE strongroom.records (
    id          uuid PRIMARY KEY,
    class       int2 NOT NULL,
    tenant      bytea NOT NULL,
    name        bytea NOT NULL,
    name_key    bytea NOT NULL,
    origin      text NOT NULL,
    retain_for  int8 NOT NULL,
    released_at int8,
    purge_at    int8,
    revision    int8 NOT NULL,
    epoch       int8 NOT NULL,
    mac         bytea NOT NULL,
    UNIQUE (class, name_key) DEFERRABLE INITIALLY IMMEDIATE,
    CHECK ((released_at IS NULL) = (purge_at IS NULL))
);

CREATE INDEX records_by_purge ON strongroom.records (purge_at) WHERE purge_at IS NOT NULL;

CREATE TABLE strongroom.revisions (
    record     uuid NOT NULL REFERENCES strongroom.records (id) ON DELETE CASCADE,
    number     int8 NOT NULL,
    version_id uuid NOT NULL,
    at         int8 NOT NULL,
    actor      bytea NOT NULL,
    epoch      int8 NOT NULL,
    sealed     bytea NOT NULL,
    PRIMARY KEY (record, number)
);

-- What is sealed does not compress.
ALTER TABLE strongroom.revisions ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE strongroom.aliases (
    class  int2 NOT NULL,
    kind   int2 NOT NULL,
    value  bytea NOT NULL,
    record uuid NOT NULL REFERENCES strongroom.records (id) ON DELETE CASCADE,
    PRIMARY KEY (class, kind, value)
);

CREATE INDEX aliases_by_record ON strongroom.aliases (record);

-- The linked record may be gone already: the link says what the linking one contains, not what exists.
CREATE TABLE strongroom.links (
    from_id uuid NOT NULL REFERENCES strongroom.records (id) ON DELETE CASCADE,
    to_id   uuid NOT NULL,
    PRIMARY KEY (from_id, to_id)
);

CREATE INDEX links_by_target ON strongroom.links (to_id, from_id);

-- One for each process that answers callers. State 0: it is written; 1: its process is gone; 2: it is closed.
CREATE TABLE strongroom.journals (
    id    int8 PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name  text NOT NULL UNIQUE,
    seen  timestamptz NOT NULL,
    state int2 NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Reads and denials. Committed without waiting for the disk, which follows within a second.
CREATE TABLE strongroom.notes (
    journal int8 NOT NULL REFERENCES strongroom.journals (id),
    number  int8 NOT NULL,
    hash    bytea NOT NULL,
    note    text NOT NULL,
    PRIMARY KEY (journal, number)
);
