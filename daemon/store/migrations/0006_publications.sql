-- What routes were published as: versions count from 1 by route, each is of one environment and never changes.
CREATE TABLE route_versions (
    route       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    environment TEXT    NOT NULL,
    published   INTEGER NOT NULL,
    remark      TEXT    NOT NULL,
    snapshot    TEXT    NOT NULL,
    PRIMARY KEY (route, version)
) STRICT, WITHOUT ROWID;

-- Which version of a route an environment serves; it is offline where there is none.
CREATE TABLE served_versions (
    route       TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    PRIMARY KEY (route, environment)
) STRICT, WITHOUT ROWID;

-- Backends as they were deployed; `version` is that of the resource.
CREATE TABLE deployed_backends (
    backend  TEXT    NOT NULL PRIMARY KEY,
    version  INTEGER NOT NULL,
    deployed INTEGER NOT NULL,
    spec     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
