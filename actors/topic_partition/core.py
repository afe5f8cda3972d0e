"""What a partition decides: what goes into one commit, what is refused, and when a segment is full. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from actors.errors import PenstockError, RecordTooLargeError
from actors.log.batch import MAX_RELATIVE, BadBatchError, Batch, build_batches
from actors.topic_partition.mask import mask_records
from actors.topic_partition.messages import Append, Configure, PartitionMessage, Retain, Roll, Trim
from config.resources import Mask, Topic

# One commit writes at most about so many bytes of records; what waits beyond it goes into the next one.
COMMIT_BYTES = 16 * 1024 * 1024
# With retention by bytes a segment is at most this part of it, so that there is always a whole one to delete.
_RETENTION_PARTS = 4
_LEAST_SEGMENT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Commit:
    """Appends that are written together and answered by one sync."""

    appends: Sequence[Append]


Step = Commit | Roll | Retain | Trim | Configure


def steps(messages: Iterable[PartitionMessage], commit_bytes: int = COMMIT_BYTES) -> list[Step]:
    """What waited in the mailbox, in its order, appends that follow one another taken together."""
    found: list[Step] = []
    together: list[Append] = []
    size = 0
    for message in messages:
        if isinstance(message, Append):
            if together and size + message.size > commit_bytes:
                found.append(Commit(together))
                together, size = [], 0
            together.append(message)
            size += message.size
        else:
            if together:
                found.append(Commit(together))
                together, size = [], 0
            found.append(message)
    if together:
        found.append(Commit(together))
    return found


def too_large(append: Append, max_message_bytes: int) -> RecordTooLargeError | None:
    """What to answer if a record's key and value are more than its topic takes."""
    if append.size <= max_message_bytes:
        return None
    for record in append.records:
        size = len(record.key or b"") + len(record.value or b"")
        if size > max_message_bytes:
            return RecordTooLargeError(f"a record of {size} bytes: the topic takes at most {max_message_bytes} bytes")
    return None


# What building raises over records that are not what their type says.
UNFIT = (TypeError, ValueError, OverflowError, AttributeError, BadBatchError)


def build(appends: Sequence[Append], base_offset: int, mask: Mask | None = None) -> list[Batch]:
    """The batches of one commit, with the fields of the mask, if there is one, replaced for good.

    Raises:
        One of UNFIT: one of the records is not what its type says.
    """
    records = chain.from_iterable(append.records for append in appends)
    return build_batches(records if mask is None else mask_records(mask, list(records)), base_offset)


def mask_at_store(topic: Topic) -> Mask | None:
    """The mask of a topic that masks what it stores."""
    return topic.mask if topic.mask is not None and topic.mask.at == "store" else None


def unfit(append: Append, mask: Mask | None = None) -> PenstockError | None:
    """What to answer if the records of one append cannot be written at all."""
    try:
        build([append], 0, mask)
    except UNFIT as error:
        return PenstockError(f"a record cannot be written: {error!r}")
    return None


@dataclass(frozen=True, slots=True)
class SegmentState:
    """The segment being written: sizes in bytes, `began` when its first batch came, in seconds since the epoch."""

    size: int
    base_offset: int
    next_offset: int
    began: float | None


@dataclass(frozen=True, slots=True)
class SegmentBounds:
    """How far a segment is written: bytes, records, and seconds since its first batch."""

    bytes: int
    seconds: float
    records: int = MAX_RELATIVE


def segment_bounds(segment_bytes: int, segment_seconds: float, topic: Topic) -> SegmentBounds:
    """The bounds of a topic's segments: parts of what its retention, or a policy that drops, keeps at the most."""
    size, seconds, records = min(segment_bytes, MAX_RELATIVE), float(segment_seconds), MAX_RELATIVE
    if topic.retention.bytes is not None:
        size = min(size, _part(topic.retention.bytes))
    if topic.backlog is not None and topic.backlog.action == "drop_oldest":
        limit = topic.backlog.limit
        # The limit is a sum over the partitions, and is kept by whole segments.
        if limit.bytes is not None:
            size = min(size, _part(limit.bytes // topic.partitions))
        if limit.messages is not None:
            records = max(limit.messages // topic.partitions // _RETENTION_PARTS, 1)
        if limit.age_seconds is not None:
            seconds = min(seconds, limit.age_seconds / _RETENTION_PARTS)
    return SegmentBounds(size, seconds, records)


def _part(most: int) -> int:
    return max(most // _RETENTION_PARTS, _LEAST_SEGMENT_BYTES)


def keeps_unread(topic: Topic) -> bool:
    """Whether the topic's backlog policy bounds what waits in a way that loses nothing: then retention keeps it."""
    return topic.backlog is not None and topic.backlog.action != "drop_oldest"


def is_old(segment: SegmentState, now: float, segment_seconds: float) -> bool:
    """Whether a segment has been written for longer than it may; `now` in seconds since the epoch."""
    return segment.size > 0 and segment.began is not None and now - segment.began >= segment_seconds


def is_full(segment: SegmentState, batches: Sequence[Batch], bounds: SegmentBounds) -> bool:
    """Whether batches that come next belong into a new segment."""
    if not segment.size:
        return False
    size = segment.size + sum(batch.header.size for batch in batches)
    return size > bounds.bytes or batches[-1].header.next_offset - segment.base_offset > bounds.records
