-- What apps have used of their quotas in the period that began at start; times are seconds since 1970.
CREATE TABLE quota_uses (
    app    TEXT PRIMARY KEY,
    start  INTEGER NOT NULL,
    period INTEGER NOT NULL,
    used   INTEGER NOT NULL
) STRICT;
