"""The rows of `sessions.db`: what a commit writes, many rows with each statement.

The sqlite3 module lets go of the interpreter lock at each step of a statement and then has to get it back, which takes
up to the interpreter's switch interval while the event loop is busy. So rows go in by the hundred, not one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import Final

import msgspec

from actors.device_session.delivery.message import Message
from actors.device_session.journal import Enqueue, KeptWill, OpenIncoming, SaveSession, SaveSubscription
from actors.records import TopicPartition
from actors.session_store.core import Folded, SessionChanges
from actors.wire.mqtt.packets import Will
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties

# Rows a statement: few different numbers, so that the statements stay prepared.
_ROWS: Final = (256, 32, 4, 1)

Row = tuple[object, ...]

_encode_properties = _encode_will = msgspec.msgpack.Encoder().encode
_decode_will = msgspec.msgpack.Decoder(Will).decode
_decode_properties = msgspec.msgpack.Decoder(Properties).decode
_encode_stored = msgspec.json.Encoder().encode
_decode_stored = msgspec.json.Decoder(tuple[TopicPartition, ...]).decode


def properties_blob(properties: Properties) -> bytes | None:
    """As they lie in the store, without what belongs to one connection; None for none."""
    if properties is NO_PROPERTIES:
        return None
    return _encode_properties(properties._replace(topic_alias=None, subscription_ids=()))


def properties_of(blob: bytes | None) -> Properties:
    """The properties that lie so in the store."""
    return NO_PROPERTIES if blob is None else _decode_properties(blob)


def will_of(blob: bytes | None, due: float | None) -> KeptWill | None:
    """The will that lies so in the store."""
    if blob is None:
        return None
    will = _decode_will(blob)
    return KeptWill(replace(will, properties=NO_PROPERTIES) if will.properties == NO_PROPERTIES else will, due)


def stored_of(text: str) -> tuple[TopicPartition, ...]:
    """The partitions that lie so in the store."""
    return _decode_stored(text)


def identifiers_of(text: str) -> tuple[int, ...]:
    """The subscription identifiers that lie so in the store."""
    return tuple(map(int, text.split(","))) if text else ()


class Bodies:
    """Gives message bodies their numbers; a message that stands in many queues of one commit gets one."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.next = first
        self._numbers: dict[int, int] = {}
        self.messages: list[tuple[int, Message]] = []

    def number(self, message: Message) -> int:
        """The number of a message's body."""
        found = self._numbers.get(id(message))
        if found is None:
            found = self._numbers[id(message)] = self.next
            self.next += 1
            # The message is held on to, so that no other one gets its id.
            self.messages.append((found, message))
        return found


def write(connection: sqlite3.Connection, folded: Folded, bodies: Bodies) -> None:
    """Write one commit, within a transaction. What is about a session that is not there is passed over."""
    sessions = folded.sessions
    changed = [(name, changes) for name, changes in sessions.items() if not changes.is_gone]
    _delete(connection, "sessions", ("session",), [(name,) for name, one in sessions.items() if one.dropped])
    _save_sessions(connection, [one.saved for _, one in changed if one.saved is not None])
    _write_subscriptions(connection, changed)
    _write_queue(connection, changed, bodies)
    _write_retained(connection, folded.retained)
    if folded.offsets is not None:
        connection.execute("DELETE FROM released")
        _save_tails(connection, folded.offsets)
    _write_incoming(connection, changed)


def _save_sessions(connection: sqlite3.Connection, saved: Sequence[SaveSession]) -> None:
    head = """INSERT INTO sessions
        (session, kind, account, client_id, level, expiry, detached_at, sent, will, will_due)"""
    tail = """ON CONFLICT (session) DO UPDATE
        SET level = excluded.level, expiry = excluded.expiry, detached_at = excluded.detached_at, sent = excluded.sent,
        will = excluded.will, will_due = excluded.will_due"""
    _insert(connection, head, [_session_row(one) for one in saved], tail, guarded=False)


def _session_row(one: SaveSession) -> Row:
    will, due = (None, None) if one.will is None else (_encode_will(one.will.will), one.will.due)
    (kind, account), client_id = one.key
    return (one.session, kind, account, client_id, one.level, one.expiry, one.detached_at, one.sent, will, due)


def _write_subscriptions(connection: sqlite3.Connection, changed: Iterable[tuple[str, SessionChanges]]) -> None:
    gone: list[Row] = []
    saved: list[SaveSubscription] = []
    for name, changes in changed:
        for topic_filter, subscription in changes.subscriptions.items():
            if subscription is None:
                gone.append((name, topic_filter))
            else:
                saved.append(subscription)
    _delete(connection, "subscriptions", ("session", "filter"), gone)
    head = """INSERT INTO subscriptions
        (session, filter, qos, no_local, retain_as_published, identifier, retained_due)"""
    tail = """ON CONFLICT (session, filter) DO UPDATE SET qos = excluded.qos, no_local = excluded.no_local,
        retain_as_published = excluded.retain_as_published, identifier = excluded.identifier,
        retained_due = excluded.retained_due"""
    _insert(connection, head, saved, tail)


def _write_queue(connection: sqlite3.Connection, changed: Sequence[tuple[str, SessionChanges]], bodies: Bodies) -> None:
    for name, changes in changed:
        for first, last in changes.ranges:
            connection.execute(
                "DELETE FROM queue WHERE session = ? AND sequence BETWEEN ? AND ? AND body IS NOT NULL",
                (name, first, last),
            )
    done = [(name, sequence) for name, changes in changed for sequence in changes.done]
    _delete(connection, "queue", ("session", "sequence"), done)
    rows = [_queue_row(one, bodies.number(one.message)) for _, some in changed for one in some.enqueued.values()]
    received: list[Row] = []
    for name, changes in changed:
        for sequence, fresh in changes.received.items():
            if fresh is None:
                received.append((name, sequence))
            else:
                rows.append(_queue_row(fresh, None))
    _write_bodies(connection, bodies.messages)
    head = "INSERT INTO queue (session, sequence, qos, retain, subscription_ids, size, body)"
    _insert(connection, head, rows, "ON CONFLICT (session, sequence) DO NOTHING")
    _each(
        connection,
        lambda values: f"UPDATE queue SET body = NULL WHERE (session, sequence) IN (VALUES {values})",  # noqa: S608
        received,
    )
    if bodies.messages:
        # Those whose sessions have all ended meanwhile stand in no queue.
        connection.execute(
            "DELETE FROM bodies WHERE body >= ? AND (SELECT count FROM holders WHERE body = bodies.body) = 0",
            (bodies.first,),
        )
        connection.execute("DELETE FROM holders WHERE body >= ? AND count = 0", (bodies.first,))


def _queue_row(one: Enqueue, body: int | None) -> Row:
    identifiers = ",".join(map(str, one.subscription_ids))
    return (one.session, one.sequence, one.qos, one.retain, identifiers, one.message.size, body)


def _write_bodies(connection: sqlite3.Connection, messages: Sequence[tuple[int, Message]]) -> None:
    head = "INSERT INTO bodies (body, topic, payload, qos, retain, published_at, expires_at, properties)"
    rows = [
        (
            number,
            one.topic,
            one.payload,
            one.qos,
            one.retain,
            one.published_at,
            one.expires_at,
            properties_blob(one.properties),
        )
        for number, one in messages
    ]
    _insert(connection, head, rows, "", guarded=False)
    holders = [(number, 0) for number, _ in messages]
    _insert(connection, "INSERT INTO holders (body, count)", holders, "", guarded=False)


def _write_retained(connection: sqlite3.Connection, retained: Mapping[str, Message | None]) -> None:
    _delete(connection, "retained", ("topic",), [(topic,) for topic, message in retained.items() if message is None])
    head = "INSERT INTO retained (topic, payload, qos, published_at, expires_at, properties)"
    tail = """ON CONFLICT (topic) DO UPDATE SET payload = excluded.payload, qos = excluded.qos,
        published_at = excluded.published_at, expires_at = excluded.expires_at, properties = excluded.properties"""
    rows = [
        (one.topic, one.payload, one.qos, one.published_at, one.expires_at, properties_blob(one.properties))
        for one in retained.values()
        if one is not None
    ]
    _insert(connection, head, rows, tail, guarded=False)


def _write_incoming(connection: sqlite3.Connection, changed: Iterable[tuple[str, SessionChanges]]) -> None:
    released: list[Row] = []
    closed: list[Row] = []
    opened: list[OpenIncoming] = []
    for name, changes in changed:
        released += [(name, number) for number in changes.released]
        closed += [(name, packet_id, number) for number, packet_id in changes.closed.items()]
        opened += changes.opened.values()
    _each(connection, _close_statement, closed)
    _insert(connection, "INSERT INTO released (session, number)", released, "ON CONFLICT DO NOTHING")
    head = "INSERT INTO incoming (session, packet_id, number, stored, delivered, accepted)"
    tail = """ON CONFLICT (session, packet_id) DO UPDATE SET number = excluded.number, stored = excluded.stored,
        delivered = excluded.delivered, accepted = excluded.accepted WHERE excluded.number >= incoming.number"""
    rows = [
        (one.session, one.packet_id, one.number, _encode_stored(one.stored).decode(), one.delivered, one.accepted)
        for one in opened
    ]
    _insert(connection, head, rows, tail)


def _close_statement(values: str) -> str:
    """Also an earlier message of that packet id, should it have been given up without a release."""
    found = f"SELECT i.session, i.packet_id FROM (VALUES {values}) CROSS JOIN incoming AS i"  # noqa: S608 - our own names
    joined = "ON i.session = column1 AND i.packet_id = column2 WHERE i.number <= column3"
    return f"DELETE FROM incoming WHERE (session, packet_id) IN ({found} {joined})"  # noqa: S608 - likewise


def _save_tails(connection: sqlite3.Connection, offsets: Mapping[TopicPartition, int]) -> None:
    head = "INSERT INTO tails (topic, partition, next_offset)"
    tail = "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset"
    _insert(connection, head, [(*partition, offset) for partition, offset in offsets.items()], tail, guarded=False)


def _delete(connection: sqlite3.Connection, table: str, key: tuple[str, ...], rows: Sequence[Row]) -> None:
    columns = ", ".join(key)
    _each(connection, lambda values: f"DELETE FROM {table} WHERE ({columns}) IN (VALUES {values})", rows)  # noqa: S608 - names of our own


def _insert(connection: sqlite3.Connection, head: str, rows: Sequence[Row], tail: str, *, guarded: bool = True) -> None:
    """Insert; with `guarded` only rows whose first field names a session that is there."""
    guard = "EXISTS (SELECT 1 FROM sessions WHERE sessions.session = column1)" if guarded else "true"
    _each(connection, lambda values: f"{head} SELECT * FROM (VALUES {values}) WHERE {guard} {tail}", rows)  # noqa: S608 - likewise


def _each(connection: sqlite3.Connection, statement: Callable[[str], str], rows: Sequence[Row]) -> None:
    done = 0
    for count in _ROWS:
        while len(rows) - done >= count:
            some = rows[done : done + count]
            connection.execute(statement(_values(count, len(some[0]))), list(chain.from_iterable(some)))
            done += count


@cache
def _values(rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)
