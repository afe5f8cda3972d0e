"""What SQLite's errors mean to those who called: the statement's fault, the rows' fault, or the database's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from plugins.api import (
    CommitUnknownError,
    ConnectorError,
    ParameterError,
    ResultTooLargeError,
    RowRejectedError,
    StatementError,
)

# What sqlite3 raises for a value that it cannot bind: too large an integer, a lone surrogate, an embedded null.
VALUE_ERRORS = (OverflowError, UnicodeEncodeError, ValueError)
# Two statements in one string: Python 3.11 raises a Warning, which is no sqlite3.Error.
ERRORS = (sqlite3.Error, sqlite3.Warning, *VALUE_ERRORS)

# https://www.sqlite.org/rescode.html
_HINTS = {
    sqlite3.SQLITE_BUSY: "another process holds its lock: end that one's transaction, or raise busy_timeout_ms",
    sqlite3.SQLITE_LOCKED: "another connection holds a lock on the table: retry",
    sqlite3.SQLITE_READONLY: "the file or the connection is read-only: check the file's rights and read_only",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk failed: check it and the system's log",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database: check the path",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check that its folder exists and may be written",
    sqlite3.SQLITE_PERM: "the file's rights do not allow it",
    sqlite3.SQLITE_NOMEM: "no memory is left",
}
# The errors that a statement or its parameters brought upon themselves.
_QUERY_FAULTS: dict[int, type[ConnectorError]] = {
    sqlite3.SQLITE_ERROR: StatementError,
    sqlite3.SQLITE_AUTH: StatementError,
    sqlite3.SQLITE_RANGE: StatementError,
    sqlite3.SQLITE_MISMATCH: ParameterError,
    sqlite3.SQLITE_TOOBIG: ResultTooLargeError,
    sqlite3.SQLITE_CONSTRAINT: RowRejectedError,
}
_QUERY_ADVICE = {
    sqlite3.SQLITE_AUTH: (
        "a query may not attach databases, set pragmas, control transactions or make temporary tables: leave that out"
    ),
    sqlite3.SQLITE_MISMATCH: "a parameter or value is not of the type that its place asks for",
}
# A connection that met one of these is as good as before.
_HARMLESS = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_READONLY,
    }
)


def code(error: BaseException) -> int:
    """The primary result code, 0 where Python raised before SQLite was asked."""
    primary = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    # What it says when it refuses to touch a schema that it has not read yet.
    if primary == sqlite3.SQLITE_SCHEMA and str(error) == "not authorized":
        return sqlite3.SQLITE_AUTH
    return primary


def is_write_refused(error: BaseException) -> bool:
    """Whether a statement failed only because its connection does not write (PRAGMA query_only)."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_READONLY"


def spoils(error: BaseException) -> bool:
    """Whether the connection had better be opened anew."""
    primary = code(error)
    return primary != 0 and primary not in _HARMLESS


def system_error(error: BaseException, path: Path, doing: str) -> ConnectorError:
    """The database itself failed: holding and retrying is right."""
    hint = _HINTS.get(code(error))
    return ConnectorError(f"{doing} SQLite database {path} failed: {error}{'; ' + hint if hint else ''}")


def query_error(error: BaseException, path: Path) -> ConnectorError:
    """What a query met, as its caller should see it."""
    primary = code(error)
    if primary == 0:
        return _refused_by_python(error)
    kind = _QUERY_FAULTS.get(primary)
    if kind is None:
        return system_error(error, path, "query on")
    advice = "a text is written in single quotes" if "no such column" in str(error) else _QUERY_ADVICE.get(primary)
    return kind(f"{error}; {advice}" if advice else str(error))


def _refused_by_python(error: BaseException) -> ConnectorError:
    text = str(error)
    if "one statement at a time" in text:
        return StatementError("more than one statement; send one at a time")
    if "did not supply a value" in text:
        name = text.rstrip(".").rpartition(":")[2]
        return ParameterError(f"parameter {name} is missing")
    if isinstance(error, VALUE_ERRORS) or "Error binding parameter" in text or "not supported" in text:
        return ParameterError(f"a parameter cannot be bound: {text}; send text, a number, a boolean or null")
    return StatementError(text)


def write_error(error: BaseException, path: Path, table: str) -> ConnectorError:
    """What a batched write met: the rows' fault, or the sink's."""
    text = str(error)
    match code(error):
        case 0 | sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_MISMATCH | sqlite3.SQLITE_TOOBIG:
            return RowRejectedError(f"table {table}: {text}")
        case sqlite3.SQLITE_ERROR if "ON CONFLICT" in text:
            return ConnectorError(
                f"table {table} in {path} has no unique index on the task's key: CREATE UNIQUE INDEX on its columns, "
                f"or leave the key out ({text})"
            )
        case sqlite3.SQLITE_ERROR if "no such table" in text:
            return ConnectorError(f"{text} in {path}: create it, or let the task do so (create: true)")
        case _:
            return system_error(error, path, f"write to table {table} of")


def commit_error(error: BaseException, path: Path) -> ConnectorError:
    """COMMIT failed: only a lock that was not got says for certain that nothing happened."""
    if code(error) == sqlite3.SQLITE_IOERR:
        return CommitUnknownError(f"COMMIT to {path} failed: {error}; whether it happened, the position tells")
    return system_error(error, path, "COMMIT to")
