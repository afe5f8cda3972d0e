"""Replay: chosen messages of a topic are sent again, to the same or to another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from actors.errors import PenstockError
from actors.records import ID_HEADER, RESERVED_HEADERS, TAGS_HEADER, Header, Record, StoredRecord
from actors.topic_partition.gate import ORIGIN_HEADER
from actors.topic_partition.mask import masker
from actors.topic_partition.messages import Append
from actors.topic_partition.topic import TopicReference, Topics
from actors.topic_query.query import spans_of
from actors.topic_query.scan import Bounds, forwards
from actors.topic_query.selection import Selection
from config.moments import format_moment

REPLAYED_HEADER = "penstock-replay-of"
"""Where a replayed message was taken from: `<topic>-<partition>@<offset>`."""
REPLAYED_TIME_HEADER = "penstock-replay-time"
"""When the message was written there, in RFC 3339."""

_KEPT = frozenset({ID_HEADER, TAGS_HEADER})
_CHUNK = Bounds(records=500, bytes=1024 * 1024, scanned_records=20_000, scanned_bytes=16 * 1024 * 1024)


@dataclass(slots=True)
class Replayed:
    """How far a replay has come: `messages` were stored again; `reason` says why it ended early, if it did.

    `positions` are the offsets to go on at, by partition of the source.
    """

    messages: int
    scanned: int
    positions: dict[int, int]
    damage: list[str]
    reason: str = ""


class Replay:
    """One replay of what a selection finds, up to what the source holds when it begins; `progress` tells of it.

    Keys stay, and so do the headers that producers gave; two new ones say where a message comes from. Its time is that
    of the replay. The order within each partition of the source is kept, and a message without a key goes to the
    partition with the number of its own. What other apps may not see is masked on its way to another app's topic.
    """

    def __init__(
        self, topics: Topics, source: TopicReference, target: str, selection: Selection, *, limit: int | None = None
    ) -> None:
        self.progress = Replayed(0, 0, {}, [])
        self._topics = topics
        self._source = source
        self._target = target
        self._selection = selection
        self._limit = limit

    async def run(self, now: int) -> Replayed:
        """Send everything; `now` is in milliseconds since the epoch.

        What the target does not take ends it: the answer then says why and where to go on. What another partition of
        the target took beyond that place would be sent twice.

        Raises:
            SelectionError: the selection cannot be used.
            OffsetOutOfRangeError, ActorGone, StorageError: the source cannot be read.
        """
        self._selection.check(len(self._source.partitions))
        spans = await spans_of(self._source, self._selection, "oldest")
        self.progress.positions = {number: start for number, (start, _) in spans.items()}
        for number, (start, end) in spans.items():
            while start < end and not self.progress.reason and not self._is_done():
                start = await self._chunk(number, start, end, now)  # noqa: PLW2901 - goes on where it stopped
        return self.progress

    async def dry_run(self) -> Replayed:
        """Count what would be sent, and send nothing."""
        self._selection.check(len(self._source.partitions))
        for number, (start, end) in (await spans_of(self._source, self._selection, "oldest")).items():
            while start < end and not self._is_done():
                found = await forwards(
                    self._source.partitions[number], start, end, self._selection.matcher(), self._bounds()
                )
                self._count(found.scanned_records, found.damage, len(found.records))
                start = found.start  # noqa: PLW2901 - goes on where it stopped
            self.progress.positions[number] = start
        return self.progress

    def _is_done(self) -> bool:
        return self._limit is not None and self.progress.messages >= self._limit

    def _bounds(self) -> Bounds:
        if self._limit is None:
            return _CHUNK
        left = min(_CHUNK.records, self._limit - self.progress.messages)
        return Bounds(left, _CHUNK.bytes, _CHUNK.scanned_records, _CHUNK.scanned_bytes)

    def _count(self, scanned: int, damage: Iterable[str], messages: int) -> None:
        self.progress.scanned += scanned
        self.progress.damage += damage
        self.progress.messages += messages

    async def _chunk(self, number: int, start: int, end: int, now: int) -> int:
        """Send the next messages of one partition; the offset to go on at."""
        found = await forwards(self._source.partitions[number], start, end, self._selection.matcher(), self._bounds())
        refused = await self._send(number, found.records, now)
        self._count(found.scanned_records, found.damage, len(found.records) - len(refused))
        position = min((record.offset for record in refused), default=found.start)
        self.progress.positions[number] = position
        return position

    async def _send(self, number: int, records: Sequence[StoredRecord], now: int) -> Sequence[StoredRecord]:
        """Store records again, all that one partition gets as one append; those that were not stored."""
        target = self._topics.route(self._target)
        if target is None:
            self.progress.reason = f"there is no topic {self._target} any more"
            return records
        copy = self._copier(number, target, now)
        sent: list[tuple[Append, list[StoredRecord]]] = []
        refused: list[StoredRecord] = []
        for to, group in _grouped(records, number, target).items():
            copies = [copy(record) for record in group]
            append = Append(copies, sum(len(one.key or b"") + len(one.value or b"") for one in copies), sender="replay")
            try:
                await target.partitions[to].put(append)
            except PenstockError as error:
                self.progress.reason = str(error)
                refused += group
            else:
                sent.append((append, group))
        for append, group in sent:
            try:
                await append.reply.wait()
            except PenstockError as error:
                self.progress.reason = str(error)
                refused += group
        return refused

    def _copier(self, number: int, target: TopicReference, now: int) -> Callable[[StoredRecord], Record]:
        """What makes the record that is sent out of the one that was found."""
        mask = self._source.mask_for(target.app)
        hide = masker(mask.fields) if mask is not None else None
        diverted = target.name != self._target
        origin: tuple[Header, ...] = ((ORIGIN_HEADER, self._target.encode()),) if diverted else ()

        def copy(record: StoredRecord) -> Record:
            value = record.value
            if hide is not None and value is not None:
                value = hide(value)
            place = f"{self._source.name}-{number}@{record.offset}".encode()
            told = ((REPLAYED_HEADER, place), (REPLAYED_TIME_HEADER, format_moment(record.timestamp).encode()))
            return Record(record.key, value, now, (*filter(_stays, record.headers), *origin, *told))

        return copy


def _stays(header: Header) -> bool:
    """Whether a header is the producer's own."""
    return header[0] in _KEPT or not header[0].startswith(RESERVED_HEADERS)


def _grouped(records: Sequence[StoredRecord], number: int, target: TopicReference) -> Mapping[int, list[StoredRecord]]:
    """Records by the partition of the target that they go to, in their order."""
    groups: dict[int, list[StoredRecord]] = {}
    for record in records:
        to = number % len(target.partitions) if record.key is None else target.partition_for(record.key)
        groups.setdefault(to, []).append(record)
    return groups
