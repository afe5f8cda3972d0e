"""Consumer groups in the metadata database: which there are of HTTP consumers, and how far all have come."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from actors.errors import StorageError
from actors.records import Confirmed, TopicPartition

_PAIRS = msgspec.json.Decoder(tuple[tuple[int, int], ...])


def load_confirmed(connection: sqlite3.Connection, group: str) -> dict[TopicPartition, Confirmed]:
    """The positions of a group.

    Raises:
        StorageError: one is not what was written.
    """
    rows = connection.execute(
        "SELECT topic, partition, next_offset, confirmed, failed FROM offsets WHERE consumer_group = ?", (group,)
    )
    return {
        TopicPartition(topic, partition): Confirmed(offset, _pairs(group, ranges), _pairs(group, failed))
        for topic, partition, offset, ranges, failed in rows
    }


def save_confirmed(connection: sqlite3.Connection, group: str, positions: Mapping[TopicPartition, Confirmed]) -> None:
    """Put positions in the place of those that were."""
    rows = [
        (group, *place, position.offset, _text(position.ranges), _text(position.failed))
        for place, position in positions.items()
    ]
    connection.executemany(
        "INSERT OR REPLACE INTO offsets (consumer_group, topic, partition, next_offset, confirmed, failed) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        rows,
    )


def load_http_groups(connection: sqlite3.Connection) -> dict[str, str]:
    """The groups of HTTP consumers, and their topics."""
    return dict(connection.execute("SELECT name, topic FROM http_groups ORDER BY name").fetchall())


def add_http_group(connection: sqlite3.Connection, group: str, topic: str) -> None:
    """Remember a group."""
    connection.execute("INSERT OR IGNORE INTO http_groups (name, topic) VALUES (?, ?)", (group, topic))


def delete_group(connection: sqlite3.Connection, group: str) -> None:
    """Forget a group and its positions."""
    connection.execute("DELETE FROM offsets WHERE consumer_group = ?", (group,))
    connection.execute("DELETE FROM http_groups WHERE name = ?", (group,))


def _text(pairs: Sequence[tuple[int, int]]) -> str:
    return msgspec.json.encode(pairs).decode()


def _pairs(group: str, text: str) -> tuple[tuple[int, int], ...]:
    try:
        return _PAIRS.decode(text)
    except msgspec.DecodeError as error:
        raise StorageError(f"the stored positions of group {group} cannot be read: {error}") from error
