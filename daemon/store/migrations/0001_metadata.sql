-- One row: the identity of this instance, kept for ever, and whether the instance key still fits.
CREATE TABLE instance (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    id        TEXT NOT NULL,
    created   INTEGER NOT NULL,
    key_check BLOB
) STRICT;

-- Resources without their secrets, as JSON; times are milliseconds since the epoch.
CREATE TABLE resources (
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    app     TEXT,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    spec    TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    field TEXT NOT NULL,
    form  TEXT NOT NULL CHECK (form IN ('digest', 'sealed', 'reference')),
    value BLOB NOT NULL,
    PRIMARY KEY (kind, name, field),
    FOREIGN KEY (kind, name) REFERENCES resources (kind, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- How far consumer groups have come: the next offset to read.
CREATE TABLE offsets (
    consumer_group TEXT NOT NULL,
    topic          TEXT NOT NULL,
    partition      INTEGER NOT NULL,
    next_offset    INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic, partition)
) STRICT, WITHOUT ROWID;

-- What was last seen of a device; `rejections` is a JSON list of [milliseconds, topic, reason], newest last.
CREATE TABLE device_status (
    product     TEXT NOT NULL,
    device      TEXT NOT NULL,
    online      INTEGER NOT NULL CHECK (online IN (0, 1)),
    since       INTEGER,
    reason      TEXT NOT NULL,
    last_report INTEGER,
    reports     INTEGER NOT NULL,
    rejected    INTEGER NOT NULL,
    rejections  TEXT NOT NULL,
    PRIMARY KEY (product, device)
) STRICT, WITHOUT ROWID;
