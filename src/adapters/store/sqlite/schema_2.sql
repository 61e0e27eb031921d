-- A revision is found by its own id alone.
CREATE INDEX revisions_by_version ON revisions (version_id);
