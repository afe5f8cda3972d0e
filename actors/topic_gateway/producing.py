"""From records to places in the log: partitions, the gate, duplicates, and an answer for each record."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import trio

from actors.errors import ActorGone, PenstockError, RecordTooLargeError
from actors.http_calls.errors import CallRefusedError
from actors.records import Header, Record, TopicPartition
from actors.runtime.reply import Reply
from actors.topic_gateway.dedup import Numbered, Place
from actors.topic_gateway.errors import (
    NOT_TAKEN,
    TOO_LARGE,
    UNAVAILABLE,
    of_append,
    retry_after_header,
    throttled,
    unknown,
)
from actors.topic_gateway.windows import ProducerWindows, TopicWindow
from actors.topic_partition.gate import ORIGIN_HEADER, GateState
from actors.topic_partition.messages import Append
from actors.topic_partition.topic import TopicReference, Topics

_SUFFIX_BYTES = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """Records of one request, by their indexes in it, that lie next to one another from `offset` on."""

    indexes: Sequence[int]
    partition: int
    offset: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class NotStored:
    """Records of one request, by their indexes in it, of which nothing was kept."""

    indexes: Sequence[int]
    reason: CallRefusedError


Outcome = Stored | NotStored


@dataclass(frozen=True, slots=True)
class Numbering:
    """The numbers of a request's records: `first`, and so on; `producer` is `<app>/<id>`."""

    producer: str
    first: int


@dataclass(frozen=True, slots=True)
class _Course:
    """Where the records of one call go: the topic that they are meant for, the one that takes them, and until when."""

    home: TopicReference
    topic: TopicReference
    deadline: float

    @property
    def diverted(self) -> bool:
        return self.topic is not self.home

    @property
    def max_message_bytes(self) -> int:
        """What is diverted is to come home again, so both must take it."""
        return min(self.home.max_message_bytes, self.topic.max_message_bytes)


class _WithdrawnError(PenstockError):
    """The sender waited as long as it may."""


class Producing:
    """Stores the records of calls; `max_wait` is how long a call may be held, in seconds."""

    def __init__(self, topics: Topics, windows: ProducerWindows, max_wait: float) -> None:
        self._topics = topics
        self._windows = windows
        self._max_wait = max_wait

    async def store(
        self, name: str, records: Sequence[Record], numbering: Numbering | None = None, *, whole: bool = False
    ) -> list[Outcome]:
        """Store records of a topic; records without a key go to one partition together.

        With `whole` nothing is stored where one of them is too large; else only that one is not.

        Raises:
            CallRefusedError: none of them was stored, for one reason.
        """
        course = await self._course(name, trio.current_time() + self._max_wait)
        indexes, outcomes = _sift(records, course.max_message_bytes)
        if outcomes and (whole or not indexes):
            raise outcomes[0].reason
        if course.diverted:
            origin: Header = (ORIGIN_HEADER, name.encode())
            records = [record._replace(headers=(*record.headers, origin)) for record in records]
        if numbering is None:
            found = await self._append(course, records, indexes, None)
        else:
            found = await self._append_new(course, records, indexes, numbering)
        if course.diverted:
            course.home.gate.diverted += _count_new(found)
        return [*outcomes, *found]

    async def _course(self, name: str, deadline: float) -> _Course:
        """The topic that takes the records now; a throttled one is waited for."""
        home = self._topics.get(name)
        if home is None:
            raise unknown(f"there is no topic {name}")
        if home.gate.state is GateState.THROTTLED:
            with trio.move_on_at(deadline) as patience:
                await home.gate.wait_open()
            if patience.cancelled_caught:
                raise throttled(home.gate.retry_after)
        return _Course(home, self._topics.route(name) or home, deadline)

    # --- numbered records ---------------------------------------------------------------------------------------------

    async def _append_new(
        self, course: _Course, records: Sequence[Record], indexes: Sequence[int], numbering: Numbering
    ) -> list[Outcome]:
        """Append the records that are not stored yet; those that another call is storing are waited for."""
        producer, first = numbering.producer, numbering.first
        outcomes: list[Outcome] = []
        pending: Sequence[int] = [first + index for index in indexes]
        while pending:
            kept = await self._open(course)
            known = kept.window.admit(producer, pending)
            outcomes += _duplicates(known.stored, first)
            if known.new:
                marked = {at - first: _marked(records[at - first], producer, at) for at in known.new}
                outcomes += await self._append(course, marked, tuple(marked), (kept, numbering))
            pending = known.under_way
            if pending and not await _settled(kept, producer, pending, course.deadline):
                busy = CallRefusedError(UNAVAILABLE, "another call is storing these records", retry_after_header(1))
                outcomes.append(NotStored([sequence - first for sequence in pending], busy))
                break
        return outcomes

    async def _open(self, course: _Course) -> TopicWindow:
        """The window over every topic that the records may have been stored in before."""
        home = course.home
        elsewhere = dict.fromkeys((home.divert_to, course.topic.name))
        others = [self._topics.get(name) for name in elsewhere if name is not None and name != home.name]
        try:
            return await self._windows.open([home, *(other for other in others if other is not None)])
        except PenstockError as error:
            raise of_append(error) from error

    # --- appends ------------------------------------------------------------------------------------------------------

    async def _append(
        self,
        course: _Course,
        records: Mapping[int, Record] | Sequence[Record],
        indexes: Sequence[int],
        claim: tuple[TopicWindow, Numbering] | None,
    ) -> list[Outcome]:
        """Append to each partition what belongs there, all at once, and wait for all answers."""
        topic = course.topic
        parts = [
            _Part(TopicPartition(topic.name, partition), there, [records[index] for index in there], claim)
            for partition, there in _by_partition(topic, records, indexes)
        ]
        for part in parts:
            part.submit(topic)
        with trio.move_on_at(course.deadline) as patience:
            for part in parts:
                await part.wait()
        if patience.cancelled_caught:
            for part in parts:
                part.reply.withdraw(_WithdrawnError("the call waited as long as it may"))
            for part in parts:
                await part.wait()
        return [part.outcome(topic) for part in parts]


class _Part:
    """The records of one request for one partition, and their append."""

    __slots__ = ("_at", "_claim", "_indexes", "_records", "reply")

    def __init__(
        self,
        at: TopicPartition,
        indexes: Sequence[int],
        records: Sequence[Record],
        claim: tuple[TopicWindow, Numbering] | None,
    ) -> None:
        self._at = at
        self._indexes = indexes
        self._records = records
        self._claim = claim
        # Not left to the call's own task: that may have been cancelled when the answer comes.
        self.reply: Reply[int] = Reply(self._tell_window if claim is not None else None)

    def submit(self, topic: TopicReference) -> None:
        size = sum([size_of(record) for record in self._records])
        try:
            topic.partitions[self._at.partition].submit(Append(self._records, size, self.reply, "http"))
        except PenstockError as error:
            self.reply.fail(error)

    async def wait(self) -> None:
        """Return once there is an answer, whatever it is."""
        with suppress(PenstockError):
            await self.reply.wait()

    def outcome(self, topic: TopicReference) -> Outcome:
        error = self.reply.error
        if error is None:
            return Stored(self._indexes, self._at.partition, self.reply.value())
        return NotStored(self._indexes, _refusal(error, topic))

    def _tell_window(self) -> None:
        assert self._claim is not None  # noqa: S101 - else nobody is told
        kept, numbering = self._claim
        sequences = [numbering.first + index for index in self._indexes]
        error = self.reply.error
        if error is None:
            kept.window.stored(numbering.producer, sequences, self._at, self.reply.value())
        else:
            kept.window.failed(numbering.producer, sequences)
        # A partition that ended may have stored it just before.
        kept.settled(sure=not isinstance(error, ActorGone))


async def _settled(kept: TopicWindow, producer: str, sequences: Sequence[int], deadline: float) -> bool:
    """Wait until one of them is no longer under way; False past the deadline."""
    with trio.move_on_at(deadline):
        while kept.window.under_way(producer).issuperset(sequences):
            await kept.wait_settled()
        return True
    return False


def _by_partition(
    topic: TopicReference, records: Mapping[int, Record] | Sequence[Record], indexes: Sequence[int]
) -> Iterable[tuple[int, Sequence[int]]]:
    """Partitions, and the indexes of the records that belong there; those without a key stay together."""
    if len(topic.partitions) == 1:
        return [(0, indexes)]
    found: dict[int, list[int]] = {}
    anywhere = -1
    partition_for = topic.partition_for
    for index in indexes:
        key = records[index][0]
        if key is None:
            anywhere = partition = anywhere if anywhere >= 0 else partition_for(None)
        else:
            partition = partition_for(key)
        found.setdefault(partition, []).append(index)
    return found.items()


def _sift(records: Sequence[Record], limit: int) -> tuple[Sequence[int], list[NotStored]]:
    """The indexes of the records that a topic takes, and what to say of those that are too large."""
    sizes = [size_of(record) for record in records]
    if max(sizes, default=0) <= limit:
        return range(len(records)), []
    large = [
        NotStored(
            [index],
            CallRefusedError(TOO_LARGE, f"record {index + 1} has {size} bytes, and the topic takes at most {limit}"),
        )
        for index, size in enumerate(sizes)
        if size > limit
    ]
    return [index for index, size in enumerate(sizes) if size <= limit], large


def size_of(record: Record) -> int:
    """The bytes of a record's key and value."""
    return len(record[0] or b"") + len(record[1] or b"")


def _duplicates(stored: dict[int, Place], first: int) -> list[Outcome]:
    return [
        Stored([sequence - first], place.partition.partition, place.offset, duplicate=True)
        for sequence, place in stored.items()
    ]


def _count_new(outcomes: Iterable[Outcome]) -> int:
    return sum(len(one.indexes) for one in outcomes if isinstance(one, Stored) and not one.duplicate)


def _marked(record: Record, producer: str, sequence: int) -> Record:
    return record._replace(headers=(*record.headers, Numbered(producer, sequence).header()))


def _refusal(error: BaseException, topic: TopicReference) -> CallRefusedError:
    if isinstance(error, _WithdrawnError):
        if topic.gate.state is GateState.THROTTLED:
            return throttled(topic.gate.retry_after)
        return CallRefusedError(NOT_TAKEN, "its storage is slow", retry_after_header(1))
    if isinstance(error, RecordTooLargeError):
        return CallRefusedError(TOO_LARGE, str(error))
    return of_append(error) if isinstance(error, PenstockError) else CallRefusedError(UNAVAILABLE)


def with_random_suffix(key: bytes) -> bytes:
    """A key that leads to any partition; records of one key lose their order by it."""
    return key + b"-" + secrets.token_hex(_SUFFIX_BYTES).encode()
