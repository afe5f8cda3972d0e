-- What was done to resources, by whom and why; the oldest entries go once there are too many. Times are milliseconds.
CREATE TABLE audit (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    by      TEXT NOT NULL,
    subject TEXT NOT NULL,
    action  TEXT NOT NULL,
    before  TEXT NOT NULL,
    after   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
