"""Bringing diverted records home: each once, in the order of their partition, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog
import trio

from actors.errors import ActorGone, DamagedLogError, OffsetOutOfRangeError
from actors.records import Record, StoredRecord, TopicPartition
from actors.topic_partition.gate import ORIGIN_HEADER, GateState
from actors.topic_partition.messages import Append
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import TopicReference, Topics

log = structlog.get_logger()

HOME_HEADER = "penstock-brought-home"
"""A record's header that says where it was diverted to, as `<topic>-<partition>:<offset>`."""

FETCH_BYTES = 1024 * 1024
_TURN_SECONDS = 1.0


class Place(NamedTuple):
    """How far one partition's diverted records have come: those from `next` up to `end` are still to be moved.

    `marks` are offsets by partition of the topic they come home to: what was brought from `next` on, before a crash
    kept that from being noted, lies at or above them.
    """

    next: int
    end: int
    marks: Mapping[int, int]


class Homecoming(NamedTuple):
    """A topic's records that were diverted to `source`, with the places of its partitions."""

    topic: str
    source: str
    forced: bool
    places: Mapping[int, Place]


class HomecomingStore(Protocol):
    """Where it is kept how far homecomings have come."""

    async def save_homecoming(self, homecoming: Homecoming) -> None:
        """Keep the places that are given; they are on disk when this returns."""


@dataclass(slots=True)
class HomecomingProgress:
    """What one homecoming has done since the daemon started; `left` are records that the topic does not take any more.

    `lost` are offsets that the other topic's retention deleted, or that are damaged, whosever they were. `waiting` says
    what it waits for, or nothing.
    """

    source: str
    remaining: int = 0
    moved: int = 0
    left: int = 0
    lost: int = 0
    waiting: str = ""
    done: bool = False


class HomecomingRunner:
    """Moves the records of one homecoming: fetch, keep the place, append to the topic, partition after partition.

    The place is on disk before each append, with the end of every partition that takes records; so after a crash what
    had been appended is found again by its header, and not brought twice.
    """

    def __init__(
        self, homecoming: Homecoming, topics: Topics, store: HomecomingStore, progress: HomecomingProgress
    ) -> None:
        self.name = f"bring-home {homecoming.topic}"
        self._homecoming = homecoming
        self._places = dict(homecoming.places)
        self._topics = topics
        self._store = store
        self._progress = progress
        self._stopping = False

    async def run(self, started: Callable[[], None]) -> None:
        """Move everything, or until stopped.

        Raises:
            PenstockError: the log or the store does not do its part; to be started anew later.
        """
        started()
        self._count_remaining()
        for number in sorted(self._places):
            await self._move(number)
        if not self._stopping:
            self._progress.done = True
            log.info("diverted records are home", **self._facts(), moved=self._progress.moved)

    def stop(self) -> None:
        """Return from `run` after the batch in flight."""
        self._stopping = True

    async def _move(self, number: int) -> None:
        brought: set[int] | None = None
        while self._places[number].next < self._places[number].end and not self._stopping:
            if not await self._wait_turn():
                continue
            if brought is None:
                brought = await self._brought(number)
            records, next_offset = await self._fetch(number)
            await self._bring(number, [one for one in records if one.offset not in brought])
            await self._keep(number, next_offset)

    async def _wait_turn(self) -> bool:
        """Nothing is brought while it would only be diverted or refused again, or with nobody to take it."""
        gate = self._home().gate
        held = not gate.lets_pass or (gate.state is GateState.DIVERTED and not self._homecoming.forced)
        self._progress.waiting = f"topic {gate.topic} is {gate.state.value}: {gate.reason}" if held else ""
        if held:
            await trio.sleep(_TURN_SECONDS)
        return not held

    async def _fetch(self, number: int) -> tuple[list[StoredRecord], int]:
        place, partition = self._places[number], self._source().partitions[number]
        try:
            fetched = await partition.fetch(place.next, FETCH_BYTES)
            records = fetched.records()
        except OffsetOutOfRangeError as error:
            return [], self._lose(partition, place, error.start, str(error))
        except DamagedLogError as error:
            return [], self._lose(partition, place, error.resume, str(error))
        mine = [one for one in records if one.offset < place.end and self._is_mine(one)]
        return mine, min(fetched.next_offset, place.end)

    def _lose(self, partition: PartitionReference, place: Place, resume: int, reason: str) -> int:
        next_offset = min(max(resume, place.next), place.end)
        if next_offset == place.next:
            next_offset = place.end  # the topic was emptied: it ends before the place
        lost = next_offset - place.next
        self._progress.lost += lost
        source = str(partition.partition)
        log.error("diverted records are gone", **self._facts(), partition=source, count=lost, reason=reason)
        return next_offset

    async def _bring(self, number: int, records: Sequence[StoredRecord]) -> None:
        home = self._home()
        fitting = [one for one in records if _size(one) <= home.max_message_bytes]
        if len(fitting) < len(records):
            self._progress.left += len(records) - len(fitting)
            count = len(records) - len(fitting)
            log.error("diverted records are larger than their topic takes by now", **self._facts(), count=count)
        if not fitting:
            return
        marks = {one: partition.high_watermark for one, partition in enumerate(home.partitions)}
        await self._save(number, self._places[number]._replace(marks=marks))
        appends = _appends(home, TopicPartition(self._homecoming.source, number), fitting)
        await _append_all(home, appends)
        self._progress.moved += len(fitting)

    async def _keep(self, number: int, next_offset: int) -> None:
        await self._save(number, self._places[number]._replace(next=next_offset))
        self._count_remaining()

    async def _save(self, number: int, place: Place) -> None:
        await self._store.save_homecoming(self._homecoming._replace(places={number: place}))
        self._places[number] = place

    async def _brought(self, number: int) -> set[int]:
        """Offsets from the place on that lie in the topic already: of a batch whose end was not noted."""
        place, home = self._places[number], self._home()
        source = TopicPartition(self._homecoming.source, number)
        # What an earlier life of this runner left in the mailboxes is stored before what is empty is answered.
        await _append_all(home, {target: Append((), 0, sender="homecoming") for target in range(len(home.partitions))})
        found: set[int] = set()
        for target, partition in enumerate(home.partitions):
            offset = max(place.marks.get(target, 0), partition.start_offset)
            end = partition.high_watermark
            while offset < end:
                try:
                    fetched = await partition.fetch(offset, FETCH_BYTES)
                    found.update(_origins(fetched.records(), source))
                    offset = fetched.next_offset
                except DamagedLogError as error:
                    offset = max(error.resume, offset + 1)
        return found

    def _is_mine(self, record: StoredRecord) -> bool:
        return (ORIGIN_HEADER, self._homecoming.topic.encode()) in record.headers

    def _home(self) -> TopicReference:
        return self._topic(self._homecoming.topic)

    def _source(self) -> TopicReference:
        return self._topic(self._homecoming.source)

    def _topic(self, name: str) -> TopicReference:
        topic = self._topics.get(name)
        if topic is None:
            raise ActorGone(f"topic {name}")
        return topic

    def _count_remaining(self) -> None:
        self._progress.remaining = remaining(self._places.values())

    def _facts(self) -> dict[str, str]:
        return {"topic": self._homecoming.topic, "source": self._homecoming.source}


def remaining(places: Iterable[Place]) -> int:
    """Offsets that are still to be looked at."""
    return sum(max(0, place.end - place.next) for place in places)


def begun(topic: TopicReference, source: TopicReference, before: Homecoming | None, *, force: bool) -> Homecoming:
    """A homecoming of all that is diverted by now; where one was before, it goes on where that one left off.

    Raises:
        ActorGone: a partition has never opened.
    """
    marks = {number: partition.high_watermark for number, partition in enumerate(topic.partitions)}
    places: dict[int, Place] = {}
    for number, partition in enumerate(source.partitions):
        earlier = before.places.get(number) if before is not None else None
        if earlier is None:
            places[number] = Place(partition.start_offset, partition.high_watermark, marks)
        else:
            # The marks stay where something may have been brought that was not noted.
            kept = earlier.marks if earlier.next < earlier.end else marks
            places[number] = Place(earlier.next, partition.high_watermark, kept)
    return Homecoming(topic.name, source.name, force, places)


def _appends(home: TopicReference, source: TopicPartition, records: Iterable[StoredRecord]) -> dict[int, Append]:
    """One append for each partition that takes some of the records, in their order."""
    by_partition: dict[int, list[Record]] = {}
    for one in records:
        # Without a key they stay together with those they were stored with.
        keyless = source.partition % len(home.partitions)
        target = keyless if one.key is None else home.partition_for(one.key)
        origin = (HOME_HEADER, f"{source}:{one.offset}".encode())
        headers = (*(header for header in one.headers if header[0] != ORIGIN_HEADER), origin)
        by_partition.setdefault(target, []).append(Record(one.key, one.value, one.timestamp, headers))
    return {number: Append(some, sum(map(_size, some)), sender="homecoming") for number, some in by_partition.items()}


async def _append_all(home: TopicReference, appends: Mapping[int, Append]) -> None:
    for target, append in appends.items():
        home.partitions[target].submit(append)
    for append in appends.values():
        await append.reply.wait()


def _origins(records: Iterable[StoredRecord], source: TopicPartition) -> Iterable[int]:
    prefix = f"{source}:".encode()
    for record in records:
        for name, value in record.headers:
            if name == HOME_HEADER and value.startswith(prefix):
                yield int(value[len(prefix) :])


def _size(record: Record | StoredRecord) -> int:
    return len(record.key or b"") + len(record.value or b"")
