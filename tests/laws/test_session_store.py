"""Laws of the session store: what comes back is what was said, however it was folded, grouped and cut off."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.device_session.delivery.message import Message
from actors.device_session.journal import (
    Change,
    Done,
    DropQueued,
    DropSession,
    DropSubscription,
    Enqueue,
    OpenIncoming,
    Received,
    Released,
    Retain,
    SaveSession,
    SaveSubscription,
    Unretain,
)
from actors.device_session.registry.sessions import Account, ClientKey
from actors.records import TopicPartition
from actors.session_store.core import fold
from actors.session_store.messages import Checkpoint, ReadQueue, Write
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties
from daemon.store.sessions import SessionFile, StoreLimits

SESSIONS = ("s1", "s2", "s3")
LIMITS = StoreLimits(reserve_bytes=0, reserve_percent=0.0)


@dataclass
class ModelSession:
    """One session as plainly as it can be put."""

    saved: SaveSession
    subscriptions: dict[str, SaveSubscription] = field(default_factory=dict)
    waiting: dict[int, Enqueue] = field(default_factory=dict)
    received: set[int] = field(default_factory=set)
    incoming: dict[int, OpenIncoming] = field(default_factory=dict)
    released: set[int] = field(default_factory=set)


class Model:
    """The store as plainly as it can be put: each change is done at once."""

    def __init__(self) -> None:
        self.sessions: dict[str, ModelSession] = {}
        self.retained: dict[str, Message] = {}
        self.tails: dict[TopicPartition, int] = {}

    def do(self, change: Change | Checkpoint) -> None:
        match change:
            case Checkpoint(offsets, opened):
                self.tails.update(offsets)
                for session in self.sessions.values():
                    session.released.clear()
                for one in opened:
                    self.do(one)
            case Retain(message):
                self.retained[message.topic] = message
            case Unretain(topic):
                self.retained.pop(topic, None)
            case DropSession(name):
                self.sessions.pop(name, None)
            case SaveSession():
                present = self.sessions.get(change.session)
                if present is None:
                    self.sessions[change.session] = ModelSession(change)
                else:
                    present.saved = change
            case _:
                session = self.sessions.get(change.session)
                if session is not None:
                    self._do(session, change)

    def _do(self, session: ModelSession, change: Any) -> None:  # noqa: C901, PLR0912 - one for each change
        match change:
            case SaveSubscription():
                session.subscriptions[change.filter] = change
            case DropSubscription(_, topic_filter):
                session.subscriptions.pop(topic_filter, None)
            case Enqueue():
                session.waiting[change.sequence] = change
            case Received(_, sequences):
                for sequence in sequences:
                    if session.waiting.pop(sequence, None) is not None:
                        session.received.add(sequence)
            case Done(_, sequences):
                for sequence in sequences:
                    session.waiting.pop(sequence, None)
                    session.received.discard(sequence)
            case DropQueued(_, first, last):
                for sequence in [one for one in session.waiting if first <= one <= last]:
                    del session.waiting[sequence]
            case OpenIncoming():
                present = session.incoming.get(change.packet_id)
                if present is None or present.number <= change.number:
                    session.incoming[change.packet_id] = change
            case Released(_, packet_id, number):
                session.released.add(number)
                present = session.incoming.get(packet_id)
                if present is not None and present.number <= number:
                    del session.incoming[packet_id]


def messages() -> st.SearchStrategy[Message]:
    """Messages of a few topics, with and without properties."""
    properties = st.sampled_from(
        [
            NO_PROPERTIES,
            Properties(message_expiry=60, content_type="text", user=(("a", "1"), ("a", "2"))),
            Properties(response_topic="back", correlation_data=b"\x00\xff", topic_alias=7, subscription_ids=(3,)),
        ]
    )
    return st.builds(
        lambda topic, payload, qos, props: Message(topic, payload, qos, 1_000, properties=props),
        st.sampled_from(["t", "t/é", "$x"]),
        st.binary(max_size=5),
        st.integers(0, 2),
        properties,
    )


class History:
    """Draws changes as sessions make them: saved first, numbers rise; and some strays of sessions that ended."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.sequences = dict.fromkeys(SESSIONS, 0)
        self.numbers = dict.fromkeys(SESSIONS, 0)
        self.lives = dict.fromkeys(SESSIONS, 0)
        self.saved: set[str] = set()
        self.pool: list[Message] = []
        self.offset = 0

    def write(self) -> Write | Checkpoint:
        if self.draw(st.integers(0, 9)) == 0:
            self.offset += 10
            name = self.session()
            opened = [self.open(name)] if name in self.saved and self.draw(st.booleans()) else []
            return Checkpoint({TopicPartition("t", 0): self.offset}, opened)
        changes: list[Change] = []
        for _ in range(self.draw(st.integers(1, 4))):
            fresh = self.changes()
            names = dict.fromkeys(one.session for one in fresh if not isinstance(one, Retain | Unretain))
            unsaved = [name for name in names if name not in self.saved]
            self.saved.update(unsaved)
            changes += [self.save(name) for name in unsaved] + fresh
        return Write(changes, 1)

    def session(self) -> str:
        name = self.draw(st.sampled_from(SESSIONS))
        life = self.lives[name]
        # What is said of a session that has ended is about nobody.
        return f"{name}.{life - 1}" if life and self.draw(st.integers(0, 9)) == 0 else f"{name}.{life}"

    def changes(self) -> list[Change]:  # noqa: C901, PLR0911 - one for each change
        name = self.session()
        short = name.partition(".")[0]
        last = self.sequences[short]
        some = st.integers(max(1, last - 4), max(1, last))
        kind = self.draw(st.integers(0, 12))
        match kind if last else min(kind, 7):
            case 0 | 1:
                return [self.save(f"{short}.{self.lives[short]}")]
            case 2:
                self.lives[short] += name.endswith(f".{self.lives[short]}")
                self.saved.add(name)
                return [DropSession(name)]
            case 3:
                return [self.subscribe(name)]
            case 4:
                return [DropSubscription(name, self.draw(st.sampled_from(["a", "a/#"])))]
            case 11:
                return [Retain(self.message())] if self.draw(st.booleans()) else [Unretain("t")]
            case 5 | 6 | 7:
                return self.fan_out()
            case 8:
                return [Received(name, (self.draw(some),))]
            case 9:
                return [Done(name, tuple(self.draw(st.lists(some, min_size=1, max_size=3, unique=True))))]
            case 10:
                first = self.draw(some)
                return [DropQueued(name, first, self.draw(st.integers(first, last)))]
            case _:
                if self.numbers[short] and self.draw(st.booleans()):
                    number = self.draw(st.integers(1, self.numbers[short]))
                    return [Released(name, number % 3 + 1, number)]
                return [self.open(name)]

    def save(self, name: str) -> SaveSession:
        key = ClientKey(Account("device", "p/d"), name)
        return SaveSession(
            name, key, 4, self.draw(st.sampled_from([1, 0xFFFF_FFFF])), self.draw(st.sampled_from([None, 5.5]))
        )

    def subscribe(self, name: str) -> SaveSubscription:
        return SaveSubscription(
            name,
            self.draw(st.sampled_from(["a", "a/#"])),
            qos=self.draw(st.integers(0, 2)),
            no_local=self.draw(st.booleans()),
            retain_as_published=self.draw(st.booleans()),
            identifier=self.draw(st.sampled_from([None, 1, 268_435_455])),
            retained_due=self.draw(st.booleans()),
        )

    def message(self) -> Message:
        if self.pool and self.draw(st.booleans()):
            return self.draw(st.sampled_from(self.pool))
        self.pool.append(self.draw(messages()))
        return self.pool[-1]

    def fan_out(self) -> list[Change]:
        message = self.message()
        found: list[Change] = []
        for short in self.draw(st.lists(st.sampled_from(SESSIONS), min_size=1, unique=True)):
            self.sequences[short] += 1
            name, sequence = f"{short}.{self.lives[short]}", self.sequences[short]
            found.append(
                Enqueue(name, sequence, 1 + sequence % 2, retain=False, subscription_ids=(1, 2), message=message)
            )
        return found

    def open(self, name: str) -> OpenIncoming:
        short = name.partition(".")[0]
        self.numbers[short] += 1
        number = self.numbers[short]
        return OpenIncoming(name, number % 3 + 1, number, (TopicPartition("t", number % 2),), delivered=True)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Write | Checkpoint]]:
    """Writes in their order, in groups as they may wait for one commit."""
    history = History(draw)
    writes = [history.write() for _ in range(draw(st.integers(1, 25)))]
    groups: list[list[Write | Checkpoint]] = []
    while writes:
        size = draw(st.integers(1, 8))
        groups.append(writes[:size])
        writes = writes[size:]
    return groups


def plain(message: Message) -> tuple[object, ...]:
    properties = message.properties._replace(topic_alias=None, subscription_ids=())
    return (message.topic, message.payload, message.qos, message.published_at, message.expires_at, properties)


def check(file: SessionFile, model: Model, found: Sequence[Any], retained: Sequence[Message], pages: Any) -> None:
    by_name = {one.session.session: one for one in found}
    assert by_name.keys() == model.sessions.keys()
    for name, expected in model.sessions.items():
        saved = by_name[name]
        assert saved.session == expected.saved
        assert {one.filter: one for one in saved.subscriptions} == expected.subscriptions
        waiting = sorted(expected.waiting.values(), key=lambda one: one.sequence)
        assert list(saved.queue.waiting) == [(one.sequence, one.message.size) for one in waiting]
        assert list(saved.queue.received) == sorted(expected.received)
        assert {one.packet_id: one for one in saved.incoming} == expected.incoming
        assert saved.released == expected.released
        entries = [
            (one.sequence, one.qos, one.retain, one.subscription_ids, plain(one.message))
            for page in pages[name]
            for one in page.entries
        ]
        assert entries == [
            (one.sequence, one.qos, one.retain, one.subscription_ids, plain(one.message)) for one in waiting
        ]
    assert {one.topic: plain(one) for one in retained} == {
        topic: plain(message) for topic, message in model.retained.items()
    }
    bodies = file._writer.execute("SELECT body FROM bodies ORDER BY body").fetchall()
    held = file._writer.execute("SELECT DISTINCT body FROM queue WHERE body IS NOT NULL ORDER BY body").fetchall()
    assert bodies == held, "a body is kept for as long as a queue has it, and no longer"
    holders = file._writer.execute("SELECT body, count FROM holders ORDER BY body").fetchall()
    assert (
        holders
        == file._writer.execute(
            "SELECT body, count(*) FROM queue WHERE body IS NOT NULL GROUP BY body ORDER BY body"
        ).fetchall()
    )


async def load(file: SessionFile) -> tuple[list[Any], list[Message], dict[str, Any]]:
    found: list[Any] = []
    while page := await file.load_sessions(found[-1].session.session if found else "", 2):
        found += page
    retained: list[Message] = []
    while some := await file.load_retained(retained[-1].topic if retained else "", 1):
        retained += some
    pages: dict[str, list[Any]] = {}
    for one in found:
        name, after, complete = one.session.session, 0, False
        pages[name] = []
        while not complete:
            (page,) = await file.read_queues([ReadQueue(name, after, 100)])
            pages[name].append(page)
            complete = page.complete
            after = page.entries[-1].sequence if page.entries else after
    return found, retained, pages


@given(histories())
@settings(max_examples=100, deadline=None)
def test_any_changes_in_any_commits_reload_as_the_plain_model(groups: list[list[Write | Checkpoint]]) -> None:
    """Whatever is said in whatever order, folded into commits wherever they are cut, reloads as if done one by one."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            model = Model()
            file = await SessionFile.open(Path(folder), LIMITS)
            for group in groups:
                folded = fold(group)
                if folded:
                    await file.commit(folded)
                for write in group:
                    for change in write.changes if isinstance(write, Write) else [write]:
                        model.do(change)
            await file.close()
            file = await SessionFile.open(Path(folder), LIMITS)
            check(file, model, *await load(file))
            assert await file.load_tails() == model.tails
            await file.close()

    trio.run(run)
