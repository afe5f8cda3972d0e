-- What HTTP consumers confirmed above the next offset to read: a JSON list of half-open ranges [first, next].
ALTER TABLE offsets ADD COLUMN confirmed TEXT NOT NULL DEFAULT '[]';

-- Groups of HTTP consumers; those of tasks are known by their tasks.
CREATE TABLE http_groups (
    name  TEXT NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL
) STRICT, WITHOUT ROWID;
