"""Pages of messages: the partitions of a topic searched side by side, their finds merged by time."""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from actors.errors import OffsetOutOfRangeError
from actors.records import StoredRecord
from actors.topic_query.scan import Bounds, Found, Partition, backwards, forwards
from actors.topic_query.selection import Order, Selection, SelectionError

MAX_LIMIT = 1000
_LEAST_SHARE_BYTES = 64 * 1024


class QueriedPartition(Partition, Protocol):
    """One partition, as a query needs it."""

    @property
    def start_offset(self) -> int:
        """The first offset that is kept."""

    @property
    def high_watermark(self) -> int:
        """The offset after the last one."""

    async def offset_of(self, timestamp: int) -> int:
        """The first offset at or after a time."""


class QueriedTopic(Protocol):
    """A topic, as a query needs it: `actors.topic_partition.topic.TopicReference`."""

    name: str

    @property
    def partitions(self) -> Sequence[QueriedPartition]:
        """By number."""

    def partition_for(self, key: bytes | None) -> int:
        """Where records with a key are."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """How much one page may bring and cost; shared by the partitions that are searched."""

    page_bytes: int = 4 * 1024 * 1024
    scanned_records: int = 200_000
    scanned_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Looked:
    """How far one partition was looked at: the offsets from `start` to before `end`; `left` are still to be."""

    partition: int
    start: int
    end: int
    left: int


@dataclass(frozen=True, slots=True)
class Page:
    """Messages by partition, in the order asked for; `cursor` goes on where there is more to look at."""

    messages: Sequence[tuple[int, StoredRecord]]
    cursor: str | None
    scanned_records: int
    scanned_bytes: int
    looked: Sequence[Looked]
    damage: Sequence[str] = ()


Spans = Mapping[int, tuple[int, int]]
"""For each partition the offsets still to be looked at: from the first to before the second."""


@dataclass(slots=True)
class _Search:
    """One partition's part in a page."""

    number: int
    span: tuple[int, int]
    found: Found
    taken: int = field(default=0)

    def left(self, order: Order) -> tuple[int, int]:
        """What is still to be looked at once the taken records have been handed out."""
        start, end = self.found.start, self.found.end
        if self.taken < len(self.found.records):
            untaken = self.found.records[self.taken].offset
            return (untaken, end) if order == "oldest" else (start, untaken + 1)
        return start, max(start, end)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is looked for in which order, and where still; its text is the cursor."""

    topic: str
    selection: Selection
    order: Order
    spans: Spans

    def cursor(self) -> str | None:
        """The plan as text; None where there is nothing left to look at."""
        if not self.spans:
            return None
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()

    @classmethod
    def read(cls, cursor: str) -> _Plan:
        """The plan that a cursor is the text of."""
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=cls)
        except (binascii.Error, ValueError, msgspec.DecodeError):
            raise SelectionError("cursor", "this is no cursor that a query gave") from None


async def query(
    topic: QueriedTopic,
    selection: Selection,
    *,
    order: Order = "newest",
    limit: int = 20,
    limits: QueryLimits | None = None,
) -> Page:
    """The first page of a topic's messages; nothing is consumed.

    Within a page messages are in the order of their times, and those of one partition in the order of their offsets.
    A page without messages that has a cursor has looked as far as one page may.

    Raises:
        SelectionError: the selection cannot be used.
        OffsetOutOfRangeError: the partition does not hold the selected offset.
        ActorGone: a partition does not run.
        StorageError: the disk does not give it.
    """
    selection.check(len(topic.partitions))
    _check_limit(limit)
    plan = _Plan(topic.name, selection, order, await spans_of(topic, selection, order))
    return await _page(topic, plan, limit, limits or QueryLimits())


async def resume(topic: QueriedTopic, cursor: str, *, limit: int = 20, limits: QueryLimits | None = None) -> Page:
    """The next page of a query; raises as `query` does."""
    _check_limit(limit)
    plan = _Plan.read(cursor)
    if plan.topic != topic.name:
        raise SelectionError("cursor", f"the cursor belongs to topic {plan.topic}")
    spans = {}
    for number, (start, end) in plan.spans.items():
        if not 0 <= number < len(topic.partitions):
            raise SelectionError("cursor", f"there is no partition {number} any more")
        partition = topic.partitions[number]
        # What retention deleted meanwhile is gone.
        first = max(start, partition.start_offset)
        spans[number] = (first, max(first, min(end, partition.high_watermark)))
    return await _page(topic, replace(plan, spans=spans), limit, limits or QueryLimits())


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise SelectionError("limit", f"a page has 1 to {MAX_LIMIT} messages, not {limit}")


async def _page(topic: QueriedTopic, plan: _Plan, limit: int, limits: QueryLimits) -> Page:
    searches = await _search(topic, plan, limit, limits)
    messages = list(_merged(searches, plan.order, limit))
    left = {search.number: search.left(plan.order) for search in searches}
    open_spans = {number: span for number, span in left.items() if span[0] < span[1]}
    return Page(
        messages=messages,
        cursor=replace(plan, spans=open_spans).cursor(),
        scanned_records=sum(search.found.scanned_records for search in searches),
        scanned_bytes=sum(search.found.scanned_bytes for search in searches),
        looked=[_looked(search, left[search.number], plan.order) for search in searches],
        damage=[reason for search in searches for reason in search.found.damage],
    )


async def spans_of(topic: QueriedTopic, selection: Selection, order: Order) -> Spans:
    """Where to look, by the partition of the key and the time index."""
    if selection.partition is not None:
        numbers: Sequence[int] = (selection.partition,)
    elif selection.key is not None:
        numbers = (topic.partition_for(selection.key),)
    else:
        numbers = range(len(topic.partitions))
    return {number: await _span(topic.partitions[number], selection, order) for number in numbers}


async def _span(partition: QueriedPartition, selection: Selection, order: Order) -> tuple[int, int]:
    start, end = partition.start_offset, partition.high_watermark
    offset = selection.offset
    if offset is not None:
        if not start <= offset < max(end, start + 1):
            raise OffsetOutOfRangeError(
                f"offset {offset} is not here: the partition holds {start} up to {end}", start=start
            )
        start, end = (offset, end) if order == "oldest" else (start, min(end, offset + 1))
    if selection.since is not None:
        start = max(start, await partition.offset_of(selection.since))
    if selection.until is not None:
        end = min(end, await partition.offset_of(selection.until))
    return start, max(start, end)


async def _search(topic: QueriedTopic, plan: _Plan, limit: int, limits: QueryLimits) -> list[_Search]:
    wanted = plan.selection.matcher()
    scan = forwards if plan.order == "oldest" else backwards
    searches: list[_Search] = []
    records, size = float(limits.scanned_records), float(limits.scanned_bytes)
    share_bytes = max(limits.page_bytes // max(len(plan.spans), 1), _LEAST_SHARE_BYTES)
    for i, (number, (start, end)) in enumerate(plan.spans.items()):
        # What one partition did not use is for those after it.
        share = len(plan.spans) - i
        found = await scan(
            topic.partitions[number], start, end, wanted, Bounds(limit, share_bytes, records / share, size / share)
        )
        records = max(records - found.scanned_records, 0)
        size = max(size - found.scanned_bytes, 0)
        searches.append(_Search(number, (start, end), found))
    return searches


def _merged(searches: Sequence[_Search], order: Order, limit: int) -> Iterator[tuple[int, StoredRecord]]:
    """The next messages of all partitions by time.

    Once a partition that may have more has none at hand, what others have may come after those: the page ends.
    """
    sign = 1 if order == "oldest" else -1

    def place(search: _Search) -> tuple[int, int, _Search]:
        record = search.found.records[search.taken]
        return sign * record.timestamp, search.number, search

    heap = [place(search) for search in searches if search.found.records]
    heapq.heapify(heap)
    for _ in range(limit):
        if not heap:
            return
        search = heap[0][2]
        yield search.number, search.found.records[search.taken]
        search.taken += 1
        if search.taken < len(search.found.records):
            heapq.heapreplace(heap, place(search))
        elif search.found.full and not search.found.exhausted:
            return
        else:
            heapq.heappop(heap)


def _looked(search: _Search, left: tuple[int, int], order: Order) -> Looked:
    start, end = search.span
    start, end = (start, left[0]) if order == "oldest" else (left[1], end)
    return Looked(search.number, start, max(start, end), max(left[1] - left[0], 0))
