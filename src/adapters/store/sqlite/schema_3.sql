-- Which trigrams are in the names of credentials, by the number of a record's row (trigrams.rs). It is written behind the
-- writes, and what it answers is held against the records. Merged in small steps by who writes it, not by itself.
CREATE VIRTUAL TABLE trigrams USING fts5 (
    name, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);
INSERT INTO trigrams (trigrams, rank) VALUES ('automerge', 0);

-- All rows up to this one are in it as they are, but for those in outdated. No row: nobody has searched yet. It counts
-- while the schema is of this version: VACUUM, which may give rows other numbers, makes another of it.
CREATE TABLE indexed (
    one    INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    upto   INTEGER NOT NULL,
    schema INTEGER NOT NULL
) STRICT;

CREATE TABLE outdated (
    number INTEGER PRIMARY KEY NOT NULL
) STRICT;

-- A row that goes may leave its number to the next one that comes.
CREATE TRIGGER records_added AFTER INSERT ON records WHEN new.rowid <= (SELECT upto FROM indexed)
BEGIN
    INSERT INTO outdated SELECT new.rowid WHERE NOT EXISTS (SELECT 1 FROM outdated WHERE number = new.rowid);
END;

CREATE TRIGGER records_renamed AFTER UPDATE OF name_key ON records
WHEN new.name_key <> old.name_key AND new.rowid <= (SELECT upto FROM indexed)
BEGIN
    INSERT INTO outdated SELECT new.rowid WHERE NOT EXISTS (SELECT 1 FROM outdated WHERE number = new.rowid);
END;

CREATE TRIGGER records_removed AFTER DELETE ON records WHEN old.rowid <= (SELECT upto FROM indexed)
BEGIN
    INSERT INTO outdated SELECT old.rowid WHERE NOT EXISTS (SELECT 1 FROM outdated WHERE number = old.rowid);
END;
