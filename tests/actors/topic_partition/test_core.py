import msgspec
import pytest

from actors.errors import RecordTooLargeError
from actors.log.batch import MAX_RELATIVE
from actors.records import Record
from actors.topic_partition import core
from actors.topic_partition.messages import Append, PartitionMessage, Retain, Roll
from config.resources import Topic
from tests.actors.log.parts import records
from tests.actors.topic_partition.parts import appending


def test_appends_that_wait_are_one_commit() -> None:
    """Everything between two other messages is written together, in the order in which it came."""
    a, b, c = (appending(records(1, n)) for n in range(3))
    roll, retain = Roll(), Retain()
    messages: list[PartitionMessage] = [a, b, roll, retain, c]
    assert core.steps(messages) == [core.Commit([a, b]), roll, retain, core.Commit([c])]


def test_a_commit_is_bounded() -> None:
    """What would make a commit too large goes into the next; one append that is too large by itself goes alone."""
    sizes = [40, 40, 40, 500, 10]
    steps = core.steps([Append((), size) for size in sizes], commit_bytes=100)
    assert [[a.size for a in step.appends] for step in steps if isinstance(step, core.Commit)] == [
        [40, 40],
        [40],
        [500],
        [10],
    ]


def test_records_that_are_too_large_are_told() -> None:
    """The limit is that of one record, not of an append of many."""
    assert core.too_large(appending(records(100)), 30) is None
    error = core.too_large(appending([Record(b"k", bytes(30), 1)]), 30)
    assert isinstance(error, RecordTooLargeError)
    assert "31 bytes" in str(error)


def test_records_that_cannot_be_written_are_told() -> None:
    """An append that cannot be encoded is named as such, and others are not."""
    assert core.unfit(appending(records(2))) is None
    assert core.unfit(Append([Record(b"k", "text", 1)], 5)) is not None  # type: ignore[arg-type]
    assert core.unfit(Append([Record(b"k", b"v", 1 << 70)], 5)) is not None


@pytest.mark.parametrize(
    ("size", "next_offset", "full"), [(0, 0, False), (400, 10, False), (950, 10, True), (400, MAX_RELATIVE, True)]
)
def test_a_segment_is_full_by_bytes_or_by_offsets(size: int, next_offset: int, *, full: bool) -> None:
    """A segment takes what fits its size and its 32-bit relative offsets; an empty one takes anything."""
    batches = core.build([appending(records(2))], next_offset)
    state = core.SegmentState(size, 0, next_offset, 0)
    assert core.is_full(state, batches, core.SegmentBounds(1000, 60)) is full


def test_a_segment_grows_old() -> None:
    """A segment that holds something is old once it has been written for longer than it may."""
    state = core.SegmentState(10, 0, 1, 1000.0)
    assert not core.is_old(state, 1059, 60)
    assert core.is_old(state, 1060, 60)
    assert not core.is_old(core.SegmentState(0, 0, 0, None), 9999, 60)


def bounds(segment_bytes: int, seconds: float = 600, **topic: object) -> core.SegmentBounds:
    return core.segment_bounds(segment_bytes, seconds, msgspec.convert({"app": "a", "name": "t", **topic}, Topic))


def test_retention_by_bytes_keeps_segments_small_enough_to_delete() -> None:
    """With few bytes to keep, segments are a part of them, so that deleting whole ones keeps the promise."""
    assert bounds(1 << 28).bytes == 1 << 28
    assert bounds(1 << 40).bytes == MAX_RELATIVE
    assert bounds(1 << 28, retention={"bytes": 1 << 20}).bytes == 1 << 18
    assert bounds(1 << 28, retention={"bytes": 1}).bytes == 64 * 1024


def test_a_policy_that_drops_keeps_segments_small_enough_to_drop() -> None:
    """Each of its limits is kept to within a quarter of a partition's share; other policies change no segment."""
    limit = {"messages": 800, "bytes": 1 << 24, "age": "60s"}
    dropping = bounds(1 << 28, partitions=2, backlog={"limit": limit, "action": "drop_oldest"})
    assert dropping == core.SegmentBounds(bytes=1 << 21, seconds=15, records=100)
    throttling = bounds(1 << 28, partitions=2, backlog={"limit": limit, "action": "throttle"})
    assert throttling == core.SegmentBounds(bytes=1 << 28, seconds=600)
    batches = core.build([appending(records(2))], 99)
    assert core.is_full(core.SegmentState(10, 0, 99, 0), batches, dropping)
