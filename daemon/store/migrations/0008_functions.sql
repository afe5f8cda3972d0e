-- Functions as they were deployed: versions count from 1 by function, and never change.
CREATE TABLE function_versions (
    function TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    deployed INTEGER NOT NULL,
    remark   TEXT    NOT NULL,
    spec     TEXT    NOT NULL,
    PRIMARY KEY (function, version)
) STRICT, WITHOUT ROWID;

-- Which version of a function runs.
CREATE TABLE running_functions (
    function TEXT    NOT NULL PRIMARY KEY,
    version  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
