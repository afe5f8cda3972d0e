"""What PostgreSQL's errors mean to those who called, by SQLSTATE."""

from __future__ import annotations

import re

import asyncpg

from plugins.api import (
    CommitUnknownError,
    ConnectorError,
    NothingDoneError,
    ParameterError,
    RowRejectedError,
    StatementError,
)
from plugins.sql.server_errors import network_hint, one_line, sqlstate

# What asyncpg lets out: the server's errors, its own, and the network's.
ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError, ValueError)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_HINTS = {
    "28P01": "the password is wrong: check user and password",
    "28000": "the server does not let this user in: check user, database and ssl, and the server's pg_hba.conf",
    "3D000": "there is no such database: create it, or check the name",
    "42501": "the user lacks the right: GRANT it",
    "42P01": "the table is missing: create it, or let the task do so (create: true)",
    "42703": "the column is missing: add it, or change the task's columns",
    "42P10": "the table has no unique index on the task's key: CREATE UNIQUE INDEX on its columns",
    "53100": "the server's disk is full: free some space",
    "53300": "the server has no connection left: raise max_connections there, or lower pool_size here",
    "57P03": "the server is starting or stopping: retry",
    "25006": "the server or the session is read-only: connect to the primary",
}
# Errors of a query that its parameters brought about: text that is no number, a number too large, no such moment.
_PARAMETER_STATES = frozenset(
    {"22P02", "22P03", "22003", "22007", "22008", "22018", "22021", "22023", "22P05", "22000"}
)
# From the first quote to the last: a value may have quotes of its own.
_QUOTED = re.compile(r'".*"')


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that nobody knows what became of the last command."""
    state = sqlstate(error)
    if state:
        return state.startswith("08") or state in {"57P01", "57P02", "57P03"}
    return isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError))


def is_row_fault(error: BaseException) -> bool:
    """Whether the rows themselves were refused: classes 22 (data exception) and 23 (integrity constraint violation)."""
    return sqlstate(error)[:2] in {"22", "23"}


def system_error(error: BaseException, where: str, doing: str) -> ConnectorError:
    """The server, or the way to it, failed: holding and retrying is right."""
    return ConnectorError(f"{doing} PostgreSQL {where} failed: {_described(error)}")


def connect_error(error: BaseException, where: str) -> NothingDoneError:
    """No connection could be made, so that nothing was asked of the server."""
    return NothingDoneError(f"connect to PostgreSQL {where} failed: {_described(error)}")


def query_error(error: BaseException, where: str) -> ConnectorError:
    """What a query met, as its caller should see it."""
    state = sqlstate(error)
    text = one_line(error)
    match state[:2]:
        case "22" if state in _PARAMETER_STATES:
            return ParameterError(text)
        case "23":
            return RowRejectedError(text)
        case _ if state == "42P18":
            return StatementError(f"{text}; say it with a cast: :name::integer")
        case "22" | "42" | "0A" | "25" | "2F" | "P0" if state != "42501":
            return StatementError(text)
        case _:
            return system_error(error, where, "query on")


def write_error(error: BaseException, where: str, table: str) -> ConnectorError:
    """What a batched write met: the rows' fault (classes 22 and 23), or the sink's."""
    if is_row_fault(error):
        return RowRejectedError(f"table {table}: {_without_values(error)}{_culprit(error)}")
    return system_error(error, where, f"write to table {table} of")


def commit_error(error: BaseException, where: str) -> Exception:
    """What COMMIT met: the answer was lost, or it was refused for the reason that the server gives."""
    if is_lost(error):
        return CommitUnknownError(f"PostgreSQL {where} was lost during COMMIT ({_described(error)})")
    return error if isinstance(error, Exception) else ConnectorError(str(error))


def _without_values(error: BaseException) -> str:
    """Data exceptions (class 22) quote the value, which may be hidden from those who read why a row was rejected."""
    text = one_line(error)
    return _QUOTED.sub('"***"', text) if sqlstate(error).startswith("22") else text


def _culprit(error: BaseException) -> str:
    """Column and constraint, where the server names them and its message does not."""
    message = str(error)
    named = [
        f"{what} {name}"
        for what in ("column", "constraint")
        if (name := getattr(error, f"{what}_name", None)) and str(name) not in message
    ]
    return f" ({', '.join(named)})" if named else ""


def _described(error: BaseException) -> str:
    state = sqlstate(error)
    hint = _HINTS.get(state)
    if hint is None and not state:
        hint = network_hint(error)
    return f"{one_line(error)}{f' [{state}]' if state else ''}{f'; {hint}' if hint else ''}"
