"""Open QoS 2 messages: what a repetition must not do again, checkpoints, and what the log's tail says."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakSet

import pytest

from actors.device_session.intake.incoming import Incoming, Mark, read_mark
from actors.device_session.journal import OpenIncoming
from actors.errors import StorageError
from actors.records import QOS2_HEADER, Record, TopicPartition
from actors.runtime.reply import Reply
from actors.session_store.tails import Found, TailWatch, rebuild, scan_all
from actors.topic_partition.topic import TopicReference
from tests.actors.topic_partition.parts import running

A, B = TopicPartition("t", 0), TopicPartition("u", 0)


def answered(error: Exception | None = None) -> Reply[int]:
    """An append's answer."""
    reply: Reply[int] = Reply()
    if error is None:
        reply.set(7)
    else:
        reply.fail(error)
    return reply


@pytest.mark.parametrize("value", [b"", b"a:1", b"a:1:x", b"a:b:1:2", b"\xff:1:2", b"a:-1:2"])
def test_a_mark_that_is_none_of_ours_is_passed_over(value: bytes) -> None:
    """A header of that name with anything else in it says nothing."""
    assert read_mark(value) is None


def test_a_mark_is_read_as_it_was_written() -> None:
    """A record's header names incarnation, packet id and number."""
    mark = Mark("ab12", 65_535, 1_000_000)
    name, value = mark.header()
    assert (name, read_mark(value)) == (QOS2_HEADER, mark)


def test_a_repetition_is_told_what_was_begun() -> None:
    """Of an open message each append that did not fail is to be waited for, whatever connection began it."""
    incoming = Incoming("i")
    message = incoming.take(5)
    under_way: Reply[int] = Reply()
    message.appended(A, under_way)
    message.appended(B, answered(StorageError("full")))
    again = incoming.take(5)
    assert again is message
    assert again.append_of(A) is under_way
    assert again.append_of(B) is None
    assert again.stored == ()
    under_way.set(1)
    assert again.stored == (A,)
    told: list[str] = []
    under_way.also(lambda: told.append("at once"))
    assert told == ["at once"]


def test_a_packet_id_that_is_released_may_come_again_at_once() -> None:
    """After PUBREL the id begins a new message, which the old one's release does not touch [MQTT-4.3.3-2]."""
    incoming = Incoming("i")
    first = incoming.take(5)
    assert incoming.release(5) == first.number
    second = incoming.take(5)
    assert second.number > first.number
    incoming.forget(5, first.number)
    assert incoming.get(5) is second
    assert incoming.release(6) is None
    incoming.forget(5, second.number)
    assert len(incoming) == 0


def test_an_id_that_is_used_a_hundred_thousand_times_leaves_nothing() -> None:
    """100,000 messages over one packet id: one open message at most, and none at the end."""
    incoming = Incoming("i")
    for _ in range(100_000):
        number = incoming.take(1).number
        assert len(incoming) == 1
        incoming.release(1)
        incoming.forget(1, number)
    assert len(incoming) == 0


def test_a_checkpoint_has_everything_open_that_the_store_knows_not() -> None:
    """What was told and has not changed is not told again; what failed to be written is; what is released never is."""
    used: WeakSet[Incoming] = WeakSet()
    watch = TailWatch((), used)
    incoming = Incoming("i", used)
    message = incoming.take(1)
    message.appended(A, answered())
    first = watch.due()
    assert first is not None
    assert list(first.opened) == [OpenIncoming("i", 1, 1, (A,), delivered=False)]
    first.reply.fail(StorageError("full"))
    second = watch.due()
    assert second is not None
    second.reply.set(None)
    assert watch.due() is None
    message.accepted = True
    third = watch.due()
    assert third is not None
    assert third.opened[0].accepted
    incoming.release(1)
    assert watch.due() is None


def test_a_session_that_is_gone_is_not_looked_at() -> None:
    """The note of who has open messages keeps no session alive."""
    used: WeakSet[Incoming] = WeakSet()
    incoming = Incoming("i", used)
    incoming.take(1)
    assert len(used) == 1
    del incoming
    assert len(used) == 0


def found(*marks: tuple[int, int, TopicPartition]) -> Found:
    """Marks of session `i` by packet id, number and partition."""
    tails = Found()
    for packet_id, number, partition in marks:
        tails.add(Mark("i", packet_id, number), partition)
    return tails


def test_what_the_tail_shows_and_nobody_released_is_open() -> None:
    """Store and tail together say which partitions have it; the newest message of a packet id counts."""
    known = [OpenIncoming("i", 1, 10, (A,), delivered=True), OpenIncoming("i", 2, 11, (A, B), delivered=True)]
    tails = found((1, 10, B), (2, 20, A), (3, 12, A), (4, 13, A))
    incoming = rebuild("i", known, {13}, tails, WeakSet())
    assert incoming is not None
    first, second, third = incoming.get(1), incoming.get(2), incoming.get(3)
    assert first is not None
    assert (first.number, set(first.stored), first.delivered) == (10, {A, B}, True)
    assert second is not None
    assert (second.number, second.stored, second.delivered) == (20, (A,), False)
    assert third is not None
    assert third.append_of(A) is not None
    assert incoming.get(4) is None
    assert incoming.take(9).number > 20


def test_a_session_of_which_nothing_is_known_has_no_open_messages() -> None:
    """Most sessions never publish with QoS 2: for them nothing is made."""
    assert rebuild("other", [], (), found((1, 1, A)), WeakSet()) is None


async def test_only_the_tail_from_the_checkpoint_on_is_searched(tmp_path: Path) -> None:
    """Marks below a partition's checkpoint are not met again; those above are, and all of them without one."""
    async with running(tmp_path / "t-0") as t:
        for number in range(1, 4):
            await t.append([Record(None, b"x", 1, (Mark("i", number, number).header(), ("other", b"1:2:3")))])
        await t.append([Record(None, b"penstock-qos2", 1)])
        topics = [t.topic]
        assert set((await scan_all(topics, {})).of("i")) == {1, 2, 3}
        assert set((await scan_all(topics, {A: 2})).of("i")) == {3}
        assert set((await scan_all(topics, {A: 3})).of("i")) == set()
        # A log that ends before the checkpoint is another one, or has lost its tail.
        assert set((await scan_all(topics, {A: 300})).of("i")) == {1, 2, 3}


async def test_a_partition_that_does_not_run_is_left_out() -> None:
    """One that has not opened stops nobody's start, and no checkpoint speaks of it."""
    topics = [TopicReference("t", 2, 1000)]
    assert (await scan_all(topics, {A: 5})).of("i") == {}
    assert TailWatch(topics, WeakSet()).due() is None


async def test_a_checkpoint_tells_how_far_partitions_have_come(tmp_path: Path) -> None:
    """Only those that moved since the last checkpoint that was written are in the next one."""
    async with running(tmp_path / "t-0") as t:
        watch = TailWatch([t.topic], WeakSet())
        first = watch.due()
        assert first is not None
        assert first.offsets == {A: 0}
        first.reply.set(None)
        assert watch.due() is None
        await t.append([Record(None, b"x", 1)])
        second = watch.due()
        assert second is not None
        assert second.offsets == {A: 1}
