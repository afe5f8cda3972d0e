"""What the session store decides: many changes become one commit that writes each thing once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, assert_never

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
from actors.records import TopicPartition
from actors.session_store.messages import Checkpoint, SessionStoreMessage, Write

# One commit takes at most about so many bytes; what waits beyond it goes into the next one.
COMMIT_BYTES: Final = 16 * 1024 * 1024


class SessionChanges:
    """What one commit has to write for one session.

    `dropped` comes first: what the store has of the session goes, before anything else here counts. Then `done` and
    `ranges` (first, last) leave the queue, `enqueued` come in, and `received` keep their place without their body
    (`received` has the Enqueue where the store never had it). `closed` are the open messages that were released, as
    packet ids by number; of these the `released` ones are to be remembered, because the tails may still show them.
    """

    __slots__ = (
        "closed",
        "done",
        "dropped",
        "enqueued",
        "opened",
        "ranges",
        "received",
        "released",
        "saved",
        "subscriptions",
    )

    def __init__(self, *, dropped: bool = False) -> None:
        self.dropped = dropped
        self.saved: SaveSession | None = None
        self.subscriptions: dict[str, SaveSubscription | None] = {}
        self.enqueued: dict[int, Enqueue] = {}
        self.received: dict[int, Enqueue | None] = {}
        self.done: set[int] = set()
        self.ranges: list[tuple[int, int]] = []
        self.opened: dict[int, OpenIncoming] = {}
        self.closed: dict[int, int] = {}
        self.released: set[int] = set()

    @property
    def is_gone(self) -> bool:
        """Whether the session ends with this commit: whatever else is said of it is about nobody."""
        return self.dropped and self.saved is None

    def receive(self, sequences: Sequence[int]) -> None:
        """The client has sent PUBREC for these."""
        for sequence in sequences:
            self.received[sequence] = self.enqueued.pop(sequence, None) or self.received.get(sequence)

    def finish(self, sequences: Sequence[int]) -> None:
        """These are finished; what the store never had, it need not have."""
        for sequence in sequences:
            if self.enqueued.pop(sequence, None) is None and self.received.pop(sequence, None) is None:
                self.done.add(sequence)

    def drop_queued(self, first: int, last: int) -> None:
        """Those that wait from `first` to `last` are dropped."""
        if last - first < len(self.enqueued):
            fresh = [sequence for sequence in range(first, last + 1) if sequence in self.enqueued]
        else:
            fresh = [sequence for sequence in self.enqueued if first <= sequence <= last]
        for sequence in fresh:
            del self.enqueued[sequence]
        if len(fresh) < last - first + 1:
            self._drop_range(first, last)

    def _drop_range(self, first: int, last: int) -> None:
        """On disk, too; not those that were received, which wait no more."""
        for sequence in sorted(sequence for sequence in self.received if first <= sequence <= last):
            if first < sequence:
                self._drop_range(first, sequence - 1)
            first = sequence + 1
        if first > last:
            return
        if self.ranges and self.ranges[-1][1] + 1 == first:
            first = self.ranges.pop()[0]
        self.ranges.append((first, last))

    def open(self, change: OpenIncoming) -> None:
        """A QoS 2 message of the client is open; of two with one packet id the later one counts."""
        present = self.opened.get(change.packet_id)
        if change.number not in self.closed and (present is None or present.number <= change.number):
            self.opened[change.packet_id] = change

    def release(self, packet_id: int, number: int) -> None:
        """The client has released it."""
        self.closed[number] = packet_id
        self.released.add(number)
        present = self.opened.get(packet_id)
        if present is not None and present.number <= number:
            del self.opened[packet_id]


class Folded:
    """What one commit has to write: of each thing its last state, whatever happened to it in between.

    `offsets` is None where no checkpoint is among it. Otherwise everything that the store knows as released is
    forgotten, except for what is in `released` here: that came later.
    """

    __slots__ = ("_sessions", "offsets", "retained")

    def __init__(self) -> None:
        self._sessions: dict[str, SessionChanges] = {}
        self.retained: dict[str, Message | None] = {}
        self.offsets: dict[TopicPartition, int] | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._sessions) or bool(self.retained) or self.offsets is not None

    @property
    def sessions(self) -> Mapping[str, SessionChanges]:
        """By session, what changes of it."""
        return self._sessions

    def checkpoint(self, offsets: Mapping[TopicPartition, int], opened: Iterable[OpenIncoming]) -> None:
        """Tails are to be read from here on."""
        self.offsets = (self.offsets or {}) | dict(offsets)
        for session in self._sessions.values():
            session.released.clear()
        self.add(opened)

    def add(self, changes: Iterable[Change]) -> None:
        """Fold in more changes, in their order."""
        sessions = self._sessions
        for change in changes:
            match change:
                case Retain(message):
                    self.retained[message.topic] = message
                case Unretain(topic):
                    self.retained[topic] = None
                case DropSession(name):
                    sessions[name] = SessionChanges(dropped=True)
                case _:
                    session = sessions.get(change.session)
                    if session is None:
                        session = sessions[change.session] = SessionChanges()
                    if not session.is_gone or isinstance(change, SaveSession):
                        _fold(session, change)


_OfSession = (
    SaveSession | SaveSubscription | DropSubscription | Enqueue | Received | Done | DropQueued | OpenIncoming | Released
)


def _fold(session: SessionChanges, change: _OfSession) -> None:
    match change:
        case Enqueue():
            session.enqueued[change.sequence] = change
        case Done():
            session.finish(change.sequences)
        case Received():
            session.receive(change.sequences)
        case DropQueued():
            session.drop_queued(change.first, change.last)
        case SaveSession():
            session.saved = change
        case SaveSubscription():
            session.subscriptions[change.filter] = change
        case DropSubscription():
            session.subscriptions[change.filter] = None
        case OpenIncoming():
            session.open(change)
        case Released():
            session.release(change.packet_id, change.number)
        case _:
            assert_never(change)


def grows(write: Write) -> bool:
    """Whether it brings what takes room for long: the small words that end something are taken also in the reserve."""
    return any(isinstance(change, Enqueue | Retain | SaveSubscription) for change in write.changes)


def commits(
    messages: Iterable[SessionStoreMessage], commit_bytes: int = COMMIT_BYTES
) -> Iterator[list[Write | Checkpoint]]:
    """What is to be written, in its order, cut into commits."""
    together: list[Write | Checkpoint] = []
    size = 0
    for message in messages:
        if not isinstance(message, Write | Checkpoint):
            continue
        weight = message.size if isinstance(message, Write) else 0
        if together and size + weight > commit_bytes:
            yield together
            together, size = [], 0
        together.append(message)
        size += weight
    if together:
        yield together


def fold(messages: Iterable[Write | Checkpoint]) -> Folded:
    """One commit of them all."""
    folded = Folded()
    for message in messages:
        match message:
            case Write(changes):
                folded.add(changes)
            case Checkpoint(offsets, opened):
                folded.checkpoint(offsets, opened)
            case _:
                assert_never(message)
    return folded
