"""From records to places in the log, on real partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actors.http_calls.errors import CallRefusedError
from actors.records import Record
from actors.topic_gateway.producing import NotStored, Numbering, Outcome, Producing, Stored, with_random_suffix
from actors.topic_gateway.windows import ProducerWindows
from actors.topic_partition.actor import PartitionActor
from actors.topic_partition.gate import ORIGIN_HEADER, GateState
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Topic
from tests.actors.log.parts import ENOSPC, FaultyDisk
from tests.actors.topic_partition.parts import SETTINGS, HeldDisk, in_thread

P = Numbering("app/p", 0)


class World:
    """Topics whose partitions run on files, and what stores records in them."""

    def __init__(self, folder: Path, nursery: trio.Nursery, disk: FaultyDisk) -> None:
        self.topics = Topics()
        self.producing = Producing(self.topics, ProducerWindows(1000), max_wait=0.3)
        self.disk = disk
        self._folder = folder
        self._nursery = nursery
        self._actors: dict[tuple[str, int], PartitionActor] = {}

    async def add(self, name: str, partitions: int = 1) -> TopicReference:
        topic = TopicReference(name, partitions, 1000)
        self.topics.add(topic)
        for number in range(partitions):
            await self.start(name, number)
        return topic

    async def start(self, name: str, number: int) -> None:
        config = Topic(name=name, app="a", max_message_bytes=1000)
        topic = self.topics.get(name)
        assert topic is not None
        folder = self._folder / f"{name}-{number}"
        actor = PartitionActor(topic, number, folder=folder, config=config, settings=SETTINGS, disk=self.disk)
        self._actors[name, number] = actor
        started = trio.Event()
        self._nursery.start_soon(actor.run, started.set)
        await started.wait()

    def stop(self) -> None:
        for actor in self._actors.values():
            actor.stop()

    async def restart(self, name: str, number: int = 0) -> None:
        self._actors[name, number].stop()
        topic = self.topics.get(name)
        assert topic is not None
        while topic.partitions[number].statistics().alive:  # noqa: ASYNC110 - there is no event for a death
            await trio.sleep(0.005)
        await self.start(name, number)

    async def values(self, name: str) -> list[bytes | None]:
        topic = self.topics.get(name)
        assert topic is not None
        found: list[bytes | None] = []
        for partition in topic.partitions:
            offset = partition.start_offset
            while offset < partition.high_watermark:
                fetched = await partition.fetch(offset, 1 << 20)
                found += [record.value for record in fetched.records()]
                offset = fetched.next_offset
        return found


@asynccontextmanager
async def world(folder: Path, disk: FaultyDisk | None = None) -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        made = World(folder, nursery, disk or FaultyDisk())
        yield made
        made.stop()


def records(count: int, start: int = 0, *, key: bytes | None = None) -> list[Record]:
    return [Record(key, b"%d" % number, 1) for number in range(start, start + count)]


def places(outcomes: list[Outcome]) -> dict[int, tuple[int, int]]:
    """Partition and offset by index; every outcome is a success."""
    found = {}
    for outcome in outcomes:
        assert isinstance(outcome, Stored)
        for position, index in enumerate(outcome.indexes):
            found[index] = (outcome.partition, outcome.offset + position)
    return found


async def test_every_record_learns_its_place(tmp_path: Path) -> None:
    """Keys decide the partition, and each offset told is where the record is."""
    async with world(tmp_path) as w:
        topic = await w.add("t", 3)
        these = [Record(b"k%d" % (n % 7), b"%d" % n, 1) for n in range(50)]
        found = places(await w.producing.store("t", these))
        assert sorted(found) == list(range(50))
        for index, (partition, offset) in found.items():
            assert partition == topic.partition_for(these[index].key)
            fetched = await topic.partitions[partition].fetch(offset, 1)
            assert fetched.records()[0].value == these[index].value


async def test_records_without_a_key_stay_together(tmp_path: Path) -> None:
    """One append for a whole bulk; the next bulk goes to the next partition."""
    async with world(tmp_path) as w:
        await w.add("t", 3)
        used = [
            {partition for partition, _ in places(await w.producing.store("t", records(9))).values()} for _ in "123"
        ]
        assert [len(one) for one in used] == [1, 1, 1]
        assert set.union(*used) == {0, 1, 2}


async def test_a_record_that_is_too_large_is_refused_alone_or_with_all(tmp_path: Path) -> None:
    """Of single messages only itself; of a bulk all, before anything is stored."""
    async with world(tmp_path) as w:
        await w.add("t")
        these = [*records(1), Record(b"k", b"x" * 1000, 1), *records(1, 1)]
        with pytest.raises(CallRefusedError) as caught:
            await w.producing.store("t", these, whole=True)
        assert caught.value.error.status == 413
        assert "record 2 has 1001 bytes" in caught.value.detail
        assert await w.values("t") == []
        refused, stored = await w.producing.store("t", these)
        assert isinstance(refused, NotStored)
        assert list(refused.indexes) == [1]
        assert isinstance(stored, Stored)
        assert list(stored.indexes) == [0, 2]
        assert await w.values("t") == [b"0", b"1"]


async def test_a_full_disk_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    """503 with a time to come back, and no word of files."""
    async with world(tmp_path) as w:
        await w.add("t")
        w.disk.write_error = ENOSPC
        (refused,) = await w.producing.store("t", records(3))
        assert isinstance(refused, NotStored)
        assert refused.reason.error.status == 503
        assert "/" not in refused.reason.detail
        assert dict(refused.reason.headers)["Retry-After"] == "1"
        w.disk.write_error = 0
        assert await w.values("t") == []


async def test_a_throttled_producer_waits_and_is_then_told_to_come_back(tmp_path: Path) -> None:
    """429 after the bound, and what it sent is not stored later; one that waits less long is stored."""
    async with world(tmp_path) as w:
        topic = await w.add("t")
        topic.gate.set(GateState.THROTTLED, "lag", retry_after=7)
        with pytest.raises(CallRefusedError) as caught:
            await w.producing.store("t", records(1))
        assert caught.value.error.status == 429
        assert ("Retry-After", "7") in caught.value.headers
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.producing.store, "t", records(1, 1))
            await trio.sleep(0.05)
            topic.gate.set(GateState.OPEN)
        assert await w.values("t") == [b"1"]


async def test_a_producer_held_in_the_mailbox_is_told_as_well(tmp_path: Path) -> None:
    """Throttled after it had sent: withdrawn at the bound, 429, nothing stored."""
    disk = HeldDisk()
    async with world(tmp_path, disk) as w:
        topic = await w.add("t")
        disk.go.clear()
        disk.entered.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.producing.store, "t", records(1))
            await in_thread(disk.entered)
            nursery.start_soon(expect_429, w)
            await trio.sleep(0.05)
            topic.gate.set(GateState.THROTTLED, "lag")
            await trio.sleep(0.4)
            disk.go.set()
        topic.gate.set(GateState.OPEN)
        await w.producing.store("t", records(1, 2))
        assert await w.values("t") == [b"0", b"2"]


async def expect_429(w: World) -> None:
    (refused,) = await w.producing.store("t", records(1, 1))
    assert isinstance(refused, NotStored)
    assert refused.reason.error.status == 429


async def test_an_open_circuit_refuses_with_its_own_time(tmp_path: Path) -> None:
    """503 with the policy's Retry-After."""
    async with world(tmp_path) as w:
        topic = await w.add("t")
        topic.gate.set(GateState.REJECTING, "group g lags", retry_after=4.2)
        (refused,) = await w.producing.store("t", records(1))
        assert isinstance(refused, NotStored)
        assert (refused.reason.error.status, dict(refused.reason.headers)["Retry-After"]) == (503, "5")
        assert "group g lags" in refused.reason.detail


async def test_diverted_records_say_where_they_belong(tmp_path: Path) -> None:
    """They lie in the other topic, with their origin."""
    async with world(tmp_path) as w:
        topic, ditch = await w.add("t"), await w.add("ditch")
        topic.gate.set(GateState.DIVERTED, divert_to="ditch")
        await w.producing.store("t", records(2))
        assert await w.values("t") == []
        fetched = await ditch.partitions[0].fetch(0, 1000)
        assert [record.headers for record in fetched.records()] == [((ORIGIN_HEADER, b"t"),)] * 2
        assert topic.gate.diverted == 2


async def test_a_bulk_that_is_sent_again_is_not_stored_again(tmp_path: Path) -> None:
    """The answer has the places of the first time, also for a bulk cut differently, and also after a restart."""
    async with world(tmp_path) as w:
        await w.add("t", 2)
        these = [Record(b"k%d" % n, b"%d" % n, 1) for n in range(20)]
        first = places(await w.producing.store("t", these, P))
        assert places(await w.producing.store("t", these, P)) == first
        w.producing = Producing(w.topics, ProducerWindows(1000), max_wait=0.3)
        await w.restart("t")
        again = places(await w.producing.store("t", [*these[10:], *records(5, 20)], Numbering("app/p", 10)))
        assert {index + 10: place for index, place in again.items() if index < 10} == {
            n: first[n] for n in range(10, 20)
        }
        assert sorted(await w.values("t")) == sorted(b"%d" % n for n in range(25))


@pytest.mark.parametrize("first", [GateState.OPEN, GateState.DIVERTED])
@pytest.mark.parametrize("anew", [False, True])
async def test_a_bulk_that_is_sent_again_across_a_divert_is_not_stored_again(
    tmp_path: Path, first: GateState, *, anew: bool
) -> None:
    """Stored at home or elsewhere the first time, and the other way round the second time, also after a restart."""
    async with world(tmp_path) as w:
        topic = await w.add("t", 2)
        await w.add("ditch")
        topic.divert_to = "ditch"
        topic.gate.set(first, divert_to="ditch")
        told = places(await w.producing.store("t", records(3), P))
        if anew:
            w.producing = Producing(w.topics, ProducerWindows(1000), max_wait=0.3)
        second = GateState.DIVERTED if first is GateState.OPEN else GateState.OPEN
        topic.gate.set(second, divert_to="ditch")
        again = await w.producing.store("t", records(5), P)
        assert {index: place for index, place in places(again).items() if index < 3} == told
        assert sorted([*await w.values("t"), *await w.values("ditch")]) == [b"%d" % n for n in range(5)]
        assert topic.gate.diverted == (2 if first is GateState.OPEN else 3)


@pytest.mark.parametrize("anew", [False, True])
async def test_numbers_count_within_the_topic_they_are_meant_for(tmp_path: Path, *, anew: bool) -> None:
    """What a producer stores in the other topic itself is not taken for what is diverted there, and the reverse."""
    async with world(tmp_path) as w:
        topic, _ = await w.add("t"), await w.add("ditch")
        topic.divert_to = "ditch"
        topic.gate.set(GateState.DIVERTED, divert_to="ditch")
        await w.producing.store("ditch", records(2), P)
        if anew:
            w.producing = Producing(w.topics, ProducerWindows(1000), max_wait=0.3)
        await w.producing.store("t", records(2, 10), P)
        if anew:
            w.producing = Producing(w.topics, ProducerWindows(1000), max_wait=0.3)
        await w.producing.store("ditch", records(3), P)
        assert await w.values("ditch") == [b"0", b"1", b"10", b"11", b"2"]


async def test_what_is_diverted_must_fit_home_as_well(tmp_path: Path) -> None:
    """Else it could never come home again; and it must fit where it is stored meanwhile."""
    async with world(tmp_path) as w:
        home, ditch = await w.add("t"), await w.add("ditch")
        home.gate.set(GateState.DIVERTED, divert_to="ditch")
        for home.max_message_bytes, ditch.max_message_bytes in ((500, 1000), (1000, 500)):
            with pytest.raises(CallRefusedError, match="501 bytes, and the topic takes at most 500"):
                await w.producing.store("t", [Record(None, b"x" * 501, 1)])
            assert places(await w.producing.store("t", [Record(None, b"x" * 500, 1)]))


async def test_another_producer_with_the_same_numbers_is_another(tmp_path: Path) -> None:
    """Numbers count within a producer of an app."""
    async with world(tmp_path) as w:
        await w.add("t")
        await w.producing.store("t", records(2), P)
        await w.producing.store("t", records(2), Numbering("other/p", 0))
        assert len(await w.values("t")) == 4


async def test_two_calls_with_the_same_records_at_once_store_them_once(tmp_path: Path) -> None:
    """The second waits for what the first does, and answers the same."""
    disk = HeldDisk()
    async with world(tmp_path, disk) as w:
        await w.add("t")
        await w.producing.store("t", records(1))
        answers: list[dict[int, tuple[int, int]]] = []

        async def send() -> None:
            answers.append(places(await w.producing.store("t", records(5, 1), P)))

        disk.go.clear()
        disk.entered.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(send)
            await in_thread(disk.entered)
            await trio.sleep(0.05)
            disk.go.set()
        assert answers[0] == answers[1] == {n: (0, n + 1) for n in range(5)}
        assert len(await w.values("t")) == 6


async def test_what_failed_may_be_sent_again(tmp_path: Path) -> None:
    """Its numbers are free once more."""
    async with world(tmp_path) as w:
        await w.add("t")
        w.disk.write_error = ENOSPC
        (refused,) = await w.producing.store("t", records(2), P)
        assert isinstance(refused, NotStored)
        w.disk.write_error = 0
        await trio.sleep(1.1)
        assert places(await w.producing.store("t", records(2), P)) == {0: (0, 0), 1: (0, 1)}


async def test_a_call_that_is_cut_off_leaves_its_numbers_as_the_log_says(tmp_path: Path) -> None:
    """Cancelled while its records are on their way to the disk: sent again, they are there once."""
    disk = HeldDisk()
    async with world(tmp_path, disk) as w:
        await w.add("t")
        await w.producing.store("t", records(1))
        disk.go.clear()
        disk.entered.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.producing.store, "t", records(3, 1), P)
            await in_thread(disk.entered)
            nursery.cancel_scope.cancel()
        disk.go.set()
        assert places(await w.producing.store("t", records(3, 1), P)) == {0: (0, 1), 1: (0, 2), 2: (0, 3)}
        assert len(await w.values("t")) == 4


async def test_an_unknown_topic_is_told(tmp_path: Path) -> None:
    """404."""
    async with world(tmp_path) as w:
        with pytest.raises(CallRefusedError) as caught:
            await w.producing.store("nowhere", records(1))
        assert caught.value.error.status == 404


def test_a_random_suffix_spreads_one_key() -> None:
    """The key is still told by its beginning; over many records every partition gets some."""
    topic = TopicReference("t", 8, 1000)
    keys = [with_random_suffix(b"hot") for _ in range(500)]
    assert all(key.startswith(b"hot-") for key in keys)
    assert {topic.partition_for(key) for key in keys} == set(range(8))
