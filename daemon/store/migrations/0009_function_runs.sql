-- The last runs of each function, and the last that failed; at is milliseconds, waited and seconds are seconds. Lines are
-- JSON: the seconds after the start of the run, and the text, of each.
CREATE TABLE function_runs (
    function     TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    caller       TEXT    NOT NULL,
    called_by    TEXT    NOT NULL,
    items        INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    waited       REAL    NOT NULL,
    seconds      REAL    NOT NULL,
    outcome      TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    result_bytes INTEGER NOT NULL,
    lines        TEXT    NOT NULL,
    left_out     INTEGER NOT NULL,
    PRIMARY KEY (function, number)
) STRICT;
