"""What waits for a reader of a tail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.records import StoredRecord
from actors.topic_query.scan import weight
from actors.topic_tail.buffer import TailBuffer


def stored(offset: int, size: int = 10) -> StoredRecord:
    return StoredRecord(None, b"x" * size, 0, (), offset)


def test_the_oldest_gives_way_and_is_counted() -> None:
    """A buffer that is full loses its oldest messages, and the next batch says how many, before the others."""
    buffer = TailBuffer(3, 10_000)
    for offset in range(5):
        buffer.push(0, stored(offset))
    batch = buffer.take(10, 10_000)
    assert batch.missed == 2
    assert [record.offset for _, record in batch.messages] == [2, 3, 4]
    assert not buffer
    assert not buffer.take(10, 10_000)


def test_a_message_larger_than_the_buffer_is_held_alone() -> None:
    """A message that outweighs the whole buffer is not lost; everything before it gives way."""
    buffer = TailBuffer(100, 500)
    buffer.push(0, stored(0))
    assert not buffer.fits(stored(1, 5000))
    buffer.push(0, stored(1, 5000))
    batch = buffer.take(10, 100)
    assert (batch.missed, [record.offset for _, record in batch.messages]) == (1, [1])


def test_a_batch_is_bounded_by_number_and_bytes() -> None:
    """No batch has more messages or bytes than asked for, and what is left comes with the next, in order."""
    buffer = TailBuffer(100, 100_000)
    for offset in range(5):
        buffer.push(0, stored(offset))
    assert len(buffer.take(2, 100_000).messages) == 2
    assert len(buffer.take(10, 2 * weight(stored(0))).messages) == 2
    assert [record.offset for _, record in buffer.take(10, 100_000).messages] == [4]


def test_notices_are_told_once_and_never_grow() -> None:
    """Of many notices the newest are kept, and each is told once."""
    buffer = TailBuffer(1, 1)
    for number in range(100):
        buffer.notice(str(number))
    notices = buffer.take(1, 1).notices
    assert notices[-1] == "99"
    assert len(notices) <= 16
    assert not buffer


@given(
    st.lists(st.one_of(st.integers(0, 400), st.none()), max_size=200),
    st.integers(1, 20),
    st.integers(1, 2000),
)
def test_nothing_vanishes_unsaid(steps: list[int | None], most: int, room: int) -> None:
    """Sent and missed messages together are all that were pushed, in order, and the bounds hold at every moment."""
    buffer = TailBuffer(most, room)
    pushed = missed = 0
    seen: list[int] = []
    for size in [*steps, *([None] * 200)]:
        if size is None:
            batch = buffer.take(3, 300)
            missed += batch.missed
            seen += [record.offset for _, record in batch.messages]
        else:
            buffer.push(0, stored(pushed, size))
            pushed += 1
            assert len(buffer._messages) <= most
            assert len(buffer._messages) == 1 or buffer._bytes <= room
    assert len(seen) + missed == pushed
    assert seen == sorted(set(seen))
