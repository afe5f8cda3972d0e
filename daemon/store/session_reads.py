"""What is read from `sessions.db`: pages of queues while the daemon serves, and everything at its start."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from actors.device_session.delivery.message import Message
from actors.device_session.journal import OpenIncoming, Queued, QueuePage, SavedQueue, SaveSession, SaveSubscription
from actors.device_session.registry.sessions import Account, ClientKey
from actors.records import TopicPartition
from actors.session_store.store import Saved
from daemon.store.session_rows import identifiers_of, properties_of, stored_of, will_of

_PAGE = """
SELECT sequence, q.qos, q.retain, subscription_ids, topic, payload, b.qos, b.retain, published_at, expires_at,
    properties
FROM queue AS q JOIN bodies AS b ON b.body = q.body
WHERE q.session = ? AND sequence > ? ORDER BY sequence
"""


def read_queue(connection: sqlite3.Connection, session: str, after: int, limit_bytes: int) -> QueuePage:
    """Entries above `after` that still have their body: at least one, until they weigh `limit_bytes`."""
    entries: list[Queued] = []
    size = 0
    rows = connection.execute(_PAGE, (session, after))
    try:
        for sequence, qos, retain, identifiers, *body in rows:
            if entries and size >= limit_bytes:
                return QueuePage(tuple(entries), complete=False)
            message = _message(body)
            entries.append(Queued(sequence, qos, bool(retain), identifiers_of(identifiers), message))
            size += message.size
    finally:
        # A statement that is not at its end would keep the moment that it reads, and the write-ahead log with it.
        rows.close()
    return QueuePage(tuple(entries), complete=True)


def load_sessions(connection: sqlite3.Connection, *, after: str, limit: int) -> Sequence[Saved]:
    """The sessions whose incarnations come after that one, at most so many, with all that is known of each."""
    with _one_moment(connection):
        rows = connection.execute(
            "SELECT session, kind, account, client_id, level, expiry, detached_at, sent, will, will_due FROM sessions "
            "WHERE session > ? ORDER BY session LIMIT ?",
            (after, limit),
        ).fetchall()
        found = {row[0]: Saved(_session(row)) for row in rows}
        if found:
            bounds = (rows[0][0], rows[-1][0])
            _add_subscriptions(connection, found, bounds)
            _add_queues(connection, found, bounds)
            _add_incoming(connection, found, bounds)
    return list(found.values())


def load_retained(connection: sqlite3.Connection, *, after: str, limit_bytes: int) -> Sequence[Message]:
    """Retained messages whose topics come after that one, about so many bytes of them."""
    messages: list[Message] = []
    size = 0
    rows = connection.execute(
        "SELECT topic, payload, qos, 1, published_at, expires_at, properties FROM retained "
        "WHERE topic > ? ORDER BY topic",
        (after,),
    )
    try:
        for row in rows:
            messages.append(_message(row))
            size += messages[-1].size
            if size >= limit_bytes:
                break
    finally:
        rows.close()
    return messages


def load_tails(connection: sqlite3.Connection) -> Mapping[TopicPartition, int]:
    """The offsets of the last checkpoint."""
    rows = connection.execute("SELECT topic, partition, next_offset FROM tails")
    return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}


def _message(row: Sequence[Any]) -> Message:
    """A message from its topic, payload, QoS, retain flag, times and properties."""
    topic, payload, qos, retain, published_at, expires_at, properties = row
    return Message(
        topic,
        payload,
        qos,
        published_at,
        retain=bool(retain),
        properties=properties_of(properties),
        expires_at=expires_at,
    )


def _session(row: Sequence[Any]) -> SaveSession:
    session, kind, account, client_id, level, expiry, detached_at, sent, will, will_due = row
    key = ClientKey(Account(kind, account), client_id)
    return SaveSession(session, key, level, expiry, detached_at, sent, will_of(will, will_due))


def _add_subscriptions(connection: sqlite3.Connection, found: Mapping[str, Saved], bounds: tuple[str, str]) -> None:
    rows = connection.execute(
        "SELECT session, filter, qos, no_local, retain_as_published, identifier, retained_due FROM subscriptions "
        "WHERE session BETWEEN ? AND ?",
        bounds,
    )
    for session, topic_filter, qos, no_local, as_published, identifier, due in rows:
        options = (qos, bool(no_local), bool(as_published), identifier)
        found[session].subscriptions.append(SaveSubscription(session, topic_filter, *options, retained_due=bool(due)))


def _add_queues(connection: sqlite3.Connection, found: Mapping[str, Saved], bounds: tuple[str, str]) -> None:
    rows = connection.execute(
        "SELECT session, sequence, size, body FROM queue WHERE session BETWEEN ? AND ? ORDER BY session, sequence",
        bounds,
    )
    queues: dict[str, tuple[list[tuple[int, int]], list[int]]] = {}
    for session, sequence, size, body in rows:
        waiting, received = queues.setdefault(session, ([], []))
        if body is None:
            received.append(sequence)
        else:
            waiting.append((sequence, size))
    for session, (waiting, received) in queues.items():
        last = max([*received[-1:], *(sequence for sequence, _ in waiting[-1:])])
        found[session].queue = SavedQueue(waiting, received, last)


def _add_incoming(connection: sqlite3.Connection, found: Mapping[str, Saved], bounds: tuple[str, str]) -> None:
    rows = connection.execute(
        "SELECT session, packet_id, number, stored, delivered, accepted FROM incoming WHERE session BETWEEN ? AND ?",
        bounds,
    )
    for session, packet_id, number, stored, delivered, accepted in rows:
        change = OpenIncoming(session, packet_id, number, stored_of(stored), bool(delivered), bool(accepted))
        found[session].incoming.append(change)
    for session, number in connection.execute(
        "SELECT session, number FROM released WHERE session BETWEEN ? AND ?", bounds
    ):
        found[session].released.add(number)


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements within see the same moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
