"""The last runs of functions in the metadata database, as far as they are remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec

from actors.functions.runs import LogLine, Run, RunChanges
from config.resources.identity import Identity

_COLUMNS = ", ".join(("function", *Run._fields))
_PLACES = ", ".join(f"?{number}" for number in range(1, len(Run._fields) + 2))
_LINES = msgspec.json.Decoder(tuple[LogLine, ...])


def load_function_runs(connection: sqlite3.Connection) -> dict[str, Sequence[Run]]:
    """The runs of each function, in the order of their numbers."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM function_runs ORDER BY function, number")  # noqa: S608 - names
    return {name: [_run(row[1:]) for row in some] for name, some in groupby(rows, key=lambda row: row[0])}


def save_function_runs(connection: sqlite3.Connection, changes: Mapping[str, RunChanges]) -> None:
    """Store new runs, those of functions that are gone skipped, and delete those that are not remembered any more."""
    connection.executemany(
        f"INSERT OR REPLACE INTO function_runs ({_COLUMNS}) SELECT {_PLACES} "  # noqa: S608 - the names of columns
        "WHERE EXISTS (SELECT 1 FROM resources WHERE kind = 'function' AND name = ?1)",
        [(name, *_row(run)) for name, one in changes.items() for run in one.new],
    )
    connection.executemany(
        "DELETE FROM function_runs WHERE function = ? AND number = ?",
        [(name, number) for name, one in changes.items() for number in one.gone],
    )


def forget_function_runs(connection: sqlite3.Connection, removals: Sequence[Identity]) -> None:
    """Forget the runs of functions that are gone."""
    names = [(one.name,) for one in removals if one.kind == "function"]
    connection.executemany("DELETE FROM function_runs WHERE function = ?", names)


def _row(run: Run) -> tuple[object, ...]:
    lines = [(line.after, _writable(line.text)) for line in run.lines]
    written = {"reason": _writable(run.reason), "lines": msgspec.json.encode(lines).decode()}
    return tuple((run._asdict() | written).values())


def _run(row: Sequence[object]) -> Run:
    run = Run(*row)  # type: ignore[arg-type]  # STRICT tables hold what their columns say
    return run._replace(lines=_lines(run.lines))  # type: ignore[arg-type]  # as it was written


def _lines(text: str) -> tuple[LogLine, ...]:
    try:
        return _LINES.decode(text)
    except msgspec.DecodeError:
        return ()  # only for people to look at: no reason not to start


def _writable(text: str) -> str:
    """Halves of characters, which JavaScript and JSON can bring, written out."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
