-- Where backlog policies stand that act, so that a new start goes on from there.
CREATE TABLE backlog_phases (
    topic TEXT NOT NULL PRIMARY KEY,
    phase TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far diverted records have come home; `marks` is a JSON object of offsets by partition of `topic`, at or above
-- which lies what was brought from `next_offset` on.
CREATE TABLE homecomings (
    topic       TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    forced      INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    end_offset  INTEGER NOT NULL,
    marks       TEXT    NOT NULL,
    PRIMARY KEY (topic, source, partition)
) STRICT, WITHOUT ROWID;
