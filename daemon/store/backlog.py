"""What backlog policies leave in the metadata database: phases, and how far diverted records have come home."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby

import msgspec

from actors.backlog.homecoming import Homecoming, Place
from actors.errors import StorageError

_MARKS = msgspec.json.Decoder(dict[int, int])


def load_phases(connection: sqlite3.Connection) -> dict[str, str]:
    """The phases by topic."""
    return dict(connection.execute("SELECT topic, phase FROM backlog_phases").fetchall())


def save_phase(connection: sqlite3.Connection, topic: str, phase: str) -> None:
    """Keep a phase; an empty one is forgotten."""
    if phase:
        connection.execute("INSERT OR REPLACE INTO backlog_phases (topic, phase) VALUES (?, ?)", (topic, phase))
    else:
        connection.execute("DELETE FROM backlog_phases WHERE topic = ?", (topic,))


def load_homecomings(connection: sqlite3.Connection) -> Sequence[Homecoming]:
    """All homecomings.

    Raises:
        StorageError: the marks of one are not what was written.
    """
    rows = connection.execute(
        "SELECT topic, source, forced, partition, next_offset, end_offset, marks FROM homecomings "
        "ORDER BY topic, source, partition"
    ).fetchall()
    found = []
    for (topic, source), some in groupby(rows, key=lambda row: (row[0], row[1])):
        places = list(some)
        forced = any(row[2] for row in places)
        found.append(Homecoming(topic, source, forced, {row[3]: _place(topic, *row[4:]) for row in places}))
    return found


def save_homecoming(connection: sqlite3.Connection, homecoming: Homecoming) -> None:
    """Put places in the place of those that were."""
    rows = [
        (
            homecoming.topic,
            homecoming.source,
            number,
            int(homecoming.forced),
            place.next,
            place.end,
            msgspec.json.encode(place.marks).decode(),
        )
        for number, place in homecoming.places.items()
    ]
    connection.executemany(
        "INSERT OR REPLACE INTO homecomings (topic, source, partition, forced, next_offset, end_offset, marks) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def delete_backlog(connection: sqlite3.Connection, topic: str) -> None:
    """Forget what the policies of a topic have left, and the homecomings from it."""
    connection.execute("DELETE FROM backlog_phases WHERE topic = ?", (topic,))
    connection.execute("DELETE FROM homecomings WHERE topic = ? OR source = ?", (topic, topic))


def _place(topic: str, next_offset: int, end_offset: int, marks: str) -> Place:
    try:
        return Place(next_offset, end_offset, _MARKS.decode(marks))
    except msgspec.DecodeError as error:
        raise StorageError(f"the stored homecoming of topic {topic} cannot be read: {error}") from error
