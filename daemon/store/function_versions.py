"""Deployed versions of functions in the metadata database; times are milliseconds since the epoch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from actors.errors import StorageError
from config.resources import Function
from config.resources.identity import Identity

MOST_FUNCTION_VERSIONS = 20
"""Versions that are kept of a function: the newest, and the one that runs."""


class FunctionVersion(NamedTuple):
    """A function as it was deployed: under which number, when, and what was said about it."""

    function: Function
    version: int
    at: int
    remark: str = ""


class FunctionEntry(NamedTuple):
    """One line of a function's history."""

    version: int
    at: int
    remark: str
    running: bool


def load_running(connection: sqlite3.Connection) -> dict[str, FunctionVersion]:
    """The version that runs of each function."""
    rows = connection.execute(
        "SELECT function, version, deployed, remark, spec FROM running_functions NATURAL JOIN function_versions"
    )
    return {row[0]: _version(*row) for row in rows}


def load_last(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of the last version of each function."""
    return dict(connection.execute("SELECT function, max(version) FROM function_versions GROUP BY function").fetchall())


def save_functions(
    connection: sqlite3.Connection, versions: Sequence[FunctionVersion], running: Sequence[FunctionVersion]
) -> None:
    """Keep versions, and which ones run from now on; old versions go once there are too many."""
    connection.executemany(
        "INSERT INTO function_versions (function, version, deployed, remark, spec) VALUES (?, ?, ?, ?, ?)",
        [
            (function.name, version, at, remark, msgspec.json.encode(function).decode())
            for function, version, at, remark in versions
        ],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO running_functions VALUES (?, ?)", [(one.function.name, one.version) for one in running]
    )
    for one in versions:
        connection.execute(
            "DELETE FROM function_versions WHERE function = ?1 AND version NOT IN "
            "(SELECT version FROM function_versions WHERE function = ?1 ORDER BY version DESC LIMIT ?2) "
            "AND version NOT IN (SELECT version FROM running_functions WHERE function = ?1)",
            (one.function.name, MOST_FUNCTION_VERSIONS),
        )


def forget_functions(connection: sqlite3.Connection, removals: Sequence[Identity]) -> None:
    """Forget the versions of functions that are gone."""
    names = [(one.name,) for one in removals if one.kind == "function"]
    connection.executemany("DELETE FROM running_functions WHERE function = ?", names)
    connection.executemany("DELETE FROM function_versions WHERE function = ?", names)


def load_function_versions(connection: sqlite3.Connection, name: str) -> list[FunctionEntry]:
    """The history of a function, the newest version first."""
    rows = connection.execute(
        "SELECT v.version, v.deployed, v.remark, r.version IS NOT NULL FROM function_versions v "
        "LEFT JOIN running_functions r USING (function, version) WHERE v.function = ? ORDER BY v.version DESC",
        (name,),
    )
    return [FunctionEntry(version, at, remark, running=bool(running)) for version, at, remark, running in rows]


def load_function_version(connection: sqlite3.Connection, name: str, version: int) -> FunctionVersion | None:
    """One version of a function, or None where it is not kept."""
    row = connection.execute(
        "SELECT function, version, deployed, remark, spec FROM function_versions WHERE function = ? AND version = ?",
        (name, version),
    ).fetchone()
    return None if row is None else _version(*row)


def _version(name: str, version: int, at: int, remark: str, spec: str) -> FunctionVersion:
    try:
        return FunctionVersion(msgspec.json.decode(spec, type=Function), version, at, remark)
    except msgspec.DecodeError as error:
        raise StorageError(f"version {version} of function {name} cannot be read: {error}") from error
