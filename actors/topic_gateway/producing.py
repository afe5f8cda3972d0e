"""From records to places in the log: partitions, the gate, duplicates, and an answer for each record."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import trio

from actors.errors import ActorGone, PenstockError, RecordTooLargeError
from actors.http_calls.errors import CallRefusedError
from actors.records import Header, Record
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
        deadline = trio.current_time() + self._max_wait
        topic = await self._routed(name, deadline)
        indexes, outcomes = _sift(records, topic.max_message_bytes)
        if outcomes and (whole or not indexes):
            raise outcomes[0].reason
        if topic.name != name:
            origin: Header = (ORIGIN_HEADER, name.encode())
            records = [record._replace(headers=(*record.headers, origin)) for record in records]
            self._count_diverted(name, len(indexes))
        if numbering is None:
            return [*outcomes, *await self._append(topic, records, indexes, deadline, None)]
        return [*outcomes, *await self._append_new(topic, records, indexes, numbering, deadline)]

    async def _routed(self, name: str, deadline: float) -> TopicReference:
        """The topic that takes the records now; a throttled one is waited for."""
        named = self._topics.get(name)
        if named is None:
            raise unknown(f"there is no topic {name}")
        if named.gate.state is GateState.THROTTLED:
            with trio.move_on_at(deadline) as patience:
                await named.gate.wait_open()
            if patience.cancelled_caught:
                raise throttled(named.gate.retry_after)
        return self._topics.route(name) or named

    def _count_diverted(self, name: str, count: int) -> None:
        named = self._topics.get(name)
        if named is not None:
            named.gate.diverted += count

    # --- numbered records ---------------------------------------------------------------------------------------------

    async def _append_new(
        self,
        topic: TopicReference,
        records: Sequence[Record],
        indexes: Sequence[int],
        numbering: Numbering,
        deadline: float,
    ) -> list[Outcome]:
        """Append the records that are not stored yet; those that another call is storing are waited for."""
        producer, first = numbering.producer, numbering.first
        outcomes: list[Outcome] = []
        pending: Sequence[int] = [first + index for index in indexes]
        while pending:
            kept = await self._open(topic)
            known = kept.window.admit(producer, pending)
            outcomes += _duplicates(known.stored, first)
            if known.new:
                marked = {at - first: _marked(records[at - first], producer, at) for at in known.new}
                outcomes += await self._append(topic, marked, tuple(marked), deadline, (kept, numbering))
            pending = known.under_way
            if pending and not await _settled(kept, producer, pending, deadline):
                busy = CallRefusedError(UNAVAILABLE, "another call is storing these records", retry_after_header(1))
                outcomes.append(NotStored([sequence - first for sequence in pending], busy))
                break
        return outcomes

    async def _open(self, topic: TopicReference) -> TopicWindow:
        try:
            return await self._windows.open(topic)
        except PenstockError as error:
            raise of_append(error) from error

    # --- appends ------------------------------------------------------------------------------------------------------

    async def _append(
        self,
        topic: TopicReference,
        records: Mapping[int, Record] | Sequence[Record],
        indexes: Sequence[int],
        deadline: float,
        claim: tuple[TopicWindow, Numbering] | None,
    ) -> list[Outcome]:
        """Append to each partition what belongs there, all at once, and wait for all answers."""
        parts = [
            _Part(partition, there, [records[index] for index in there], claim)
            for partition, there in _by_partition(topic, records, indexes)
        ]
        for part in parts:
            part.submit(topic)
        with trio.move_on_at(deadline) as patience:
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

    __slots__ = ("_claim", "_indexes", "_records", "partition", "reply")

    def __init__(
        self,
        partition: int,
        indexes: Sequence[int],
        records: Sequence[Record],
        claim: tuple[TopicWindow, Numbering] | None,
    ) -> None:
        self.partition = partition
        self._indexes = indexes
        self._records = records
        self._claim = claim
        # Not left to the call's own task: that may have been cancelled when the answer comes.
        self.reply: Reply[int] = Reply(self._tell_window if claim is not None else None)

    def submit(self, topic: TopicReference) -> None:
        size = sum([size_of(record) for record in self._records])
        try:
            topic.partitions[self.partition].submit(Append(self._records, size, self.reply))
        except PenstockError as error:
            self.reply.fail(error)

    async def wait(self) -> None:
        """Return once there is an answer, whatever it is."""
        with suppress(PenstockError):
            await self.reply.wait()

    def outcome(self, topic: TopicReference) -> Outcome:
        error = self.reply.error
        if error is None:
            return Stored(self._indexes, self.partition, self.reply.value())
        return NotStored(self._indexes, _refusal(error, topic))

    def _tell_window(self) -> None:
        assert self._claim is not None  # noqa: S101 - else nobody is told
        kept, numbering = self._claim
        sequences = [numbering.first + index for index in self._indexes]
        error = self.reply.error
        if error is None:
            kept.window.stored(numbering.producer, sequences, self.partition, self.reply.value())
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
        Stored([sequence - first], place.partition, place.offset, duplicate=True) for sequence, place in stored.items()
    ]


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
