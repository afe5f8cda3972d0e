"""What the errors of MySQL and MariaDB mean to those who called, by number and SQLSTATE."""

from __future__ import annotations

import re
from ssl import SSLCertVerificationError

from asyncmy.errors import MySQLError

from plugins.api import (
    CommitUnknownError,
    ConnectorError,
    NothingDoneError,
    ParameterError,
    RowRejectedError,
    StatementError,
)
from plugins.sql.server_errors import network_hint, one_line, sqlstate

# What asyncmy lets out: the server's errors and its own, the network's, and what it makes of an answer out of place.
ERRORS = (MySQLError, OSError, EOFError, ValueError, RuntimeError, AssertionError)

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-codes/
_GONE, _LOST = 2006, 2013
_DEADLOCK, _LOCK_WAIT = 1213, 1205
_NO_SUCH_VARIABLE = 1193
_NEEDS_PREPARING = frozenset({1243, 1615})
_INTERRUPTED = frozenset({1317, 1969, 3024})
_KILLED = frozenset({1053, 1927})
_HINTS = {
    1045: "the password is wrong, or the server does not let this user in from here: check user and password",
    1698: "the server does not let this user in by a password: check user and password",
    1130: "the server does not let this machine in: check the user's host, and the server's grants",
    1129: "the server has shut this machine out: FLUSH HOSTS there",
    1049: "there is no such database: create it, or check the name",
    1040: "the server has no connection left: raise max_connections there, or lower pool_size here",
    **dict.fromkeys(
        (1203, 1226), "the user has no connection left: raise max_user_connections there, or lower pool_size here"
    ),
    1146: "the table is missing: create it, or let the task do so (create: true)",
    1054: "the column is missing: add it, or change the task's columns",
    1364: "a column that the task does not write has no default: give it one, or add it to the task's columns",
    1114: "the table or the disk is full: free some space",
    1021: "the server's disk is full: free some space",
    1290: "the server runs with an option that forbids it (read-only?): connect to the primary",
    1792: "the server or the session is read-only: connect to the primary",
    1836: "the server is read-only: connect to the primary",
    1298: "the server does not know this time_zone: load its time zone tables, or write an offset like +00:00",
    1213: "others write the same rows in another order",
    1205: "others hold the rows for too long",
    1461: "the server holds as many prepared statements as it may: raise max_prepared_stmt_count there",
    2059: "create the user with mysql_native_password, caching_sha2_password or sha256_password, or use TLS",
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), "the user lacks the right: GRANT it"),
    **dict.fromkeys((1317, 1969, 3024), "it took too long, or somebody has stopped it"),
}
# Of a query, these are its text's fault; the others with a hint are the server's, whatever their state.
_SYSTEMS = frozenset(_HINTS) - {1146, 1054, 1364}
# Rows that were refused under a state other than 22 and 23: text that is no number (MySQL), no such word of an ENUM, a
# CHECK that failed (MySQL).
_ROW_FAULTS = frozenset({1265, 1366, 1411, 3819})
# Errors of a query that its parameters brought about: text that is no number, a number too large, no such moment.
_PARAMETER_FAULTS = frozenset({1264, 1265, 1292, 1366, 1406, 1411, 1525, 1690, 3140, 3141, 4037, 4038})
# The messages of these quote no value, but names.
_NAMES_ONLY = frozenset({1048, 1216, 1217, 1264, 1265, 1406, 1451, 1452, 3819, 4025})
# From the first quote to the last one before the key or column, which a value cannot put off: it comes first.
_VALUE = re.compile(r"'.*'(?= for (?:column|key|function) )|'.*'|\".*\"", re.DOTALL)
_ROW_NUMBER = re.compile(r" at row \d+$")


def number(error: BaseException) -> int:
    """The server's or asyncmy's number of the error; 0 where there is none."""
    first = error.args[0] if isinstance(error, MySQLError) and error.args else 0
    return first if isinstance(first, int) else 0


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that nobody knows what became of the last command."""
    return not sqlstate(error) or number(error) in _KILLED or sqlstate(error).startswith("08")


def was_not_sent(error: BaseException) -> bool:
    """Whether the connection was found to be gone before the command was sent."""
    return number(error) == _GONE


def is_deadlock(error: BaseException) -> bool:
    """Whether the transaction was rolled back for the sake of another one: to do it again at once is right."""
    return number(error) == _DEADLOCK


def needs_preparing(error: BaseException) -> bool:
    """Whether the server has forgotten the statement, or its tables have changed too often since it was prepared."""
    return number(error) in _NEEDS_PREPARING


def is_no_such_variable(error: BaseException) -> bool:
    """Whether the server does not know what it was to set."""
    return number(error) == _NO_SUCH_VARIABLE


def is_row_fault(error: BaseException) -> bool:
    """Whether the rows themselves were refused: classes 22 and 23, and some without a class of their own."""
    return sqlstate(error)[:2] in {"22", "23"} or number(error) in _ROW_FAULTS


def system_error(error: BaseException, where: str, doing: str) -> ConnectorError:
    """The server, or the way to it, failed: holding and retrying is right."""
    return ConnectorError(f"{doing} MySQL {where} failed: {_described(error)}")


def connect_error(error: BaseException, where: str) -> NothingDoneError:
    """No connection could be made, so that nothing was asked of the server."""
    return NothingDoneError(f"connect to MySQL {where} failed: {_described(error)}")


def query_error(error: BaseException, where: str, *, whole: bool) -> ConnectorError:
    """What a query met, as its caller should see it; `whole`: it is done whole or not at all."""
    code, state = number(error), sqlstate(error)
    text = _one_line(error)
    if was_not_sent(error) or (whole and code in {_DEADLOCK, _LOCK_WAIT}):
        return NothingDoneError(str(system_error(error, where, "query on")))
    if code in _PARAMETER_FAULTS:
        return ParameterError(text)
    if code in _SYSTEMS:
        return system_error(error, where, "query on")
    match state[:2]:
        case "23":
            return RowRejectedError(text)
        case "22" | "42" | "0A" | "25" | "2F" | "45" | "21" | "HY":
            return StatementError(text)
        case _:
            return system_error(error, where, "query on")


def write_error(error: BaseException, where: str, table: str) -> ConnectorError:
    """What a batched write met: the rows' fault, or the sink's."""
    if is_row_fault(error):
        return RowRejectedError(f"table {table}: {_without_values(error)}")
    return system_error(error, where, f"write to table {table} of")


def commit_error(error: BaseException, where: str) -> Exception:
    """What COMMIT met: the answer was lost, or it was refused for the reason that the server gives."""
    if is_lost(error) or number(error) in _INTERRUPTED:
        return CommitUnknownError(f"MySQL {where} was lost during COMMIT ({_described(error)})")
    return error if isinstance(error, Exception) else ConnectorError(str(error))


def _without_values(error: BaseException) -> str:
    """Messages quote the value, which may be hidden from those who read why a row was rejected."""
    text = _ROW_NUMBER.sub("", _one_line(error))
    return text if number(error) in _NAMES_ONLY else _VALUE.sub("'***'", text, count=1)


def _described(error: BaseException) -> str:
    code, state = number(error), sqlstate(error)
    hint = _HINTS.get(code) or _network_hint(error)
    numbers = f" [{code}{f', {state}' if state else ''}]" if code else ""
    return f"{_one_line(error)}{numbers}{f'; {hint}' if hint else ''}"


def _network_hint(error: BaseException) -> str | None:
    # asyncmy hides what the network said behind an error of its own.
    cause = error.__cause__ if number(error) and error.__cause__ is not None else error
    if isinstance(cause, SSLCertVerificationError):
        return "the server's certificate is not believed: check ssl_ca, and with verify-full the host's name"
    return network_hint(cause)


def _one_line(error: BaseException) -> str:
    return one_line(error, str(error.args[1]) if isinstance(error, MySQLError) and len(error.args) > 1 else None)
