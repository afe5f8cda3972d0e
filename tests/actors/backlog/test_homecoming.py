"""Diverted records come home: each once, in order, whatever happens in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from actors.backlog import homecoming
from actors.backlog.homecoming import HOME_HEADER, Homecoming, HomecomingProgress, HomecomingRunner, Place, begun
from actors.errors import StorageError
from actors.log.retention import Keep
from actors.records import Record, StoredRecord
from actors.topic_partition.actor import PartitionActor
from actors.topic_partition.gate import ORIGIN_HEADER, GateState
from actors.topic_partition.messages import Append, Roll, Trim
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Topic
from tests.actors.topic_partition.parts import SETTINGS, appending, until

MINE = ((ORIGIN_HEADER, b"lot"),)


class MemoryStore:
    """Keeps homecomings; fails at the save that the test names."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Homecoming] = {}
        self.saves = 0
        self.fails_at = 0

    async def load_homecomings(self) -> Sequence[Homecoming]:
        return list(self.kept.values())

    async def save_homecoming(self, homecoming: Homecoming) -> None:
        await trio.lowlevel.checkpoint()
        self.saves += 1
        if self.saves == self.fails_at:
            raise StorageError("the store does not answer")
        key = (homecoming.topic, homecoming.source)
        before = self.kept[key].places if key in self.kept else {}
        self.kept[key] = homecoming._replace(places={**before, **homecoming.places})


@dataclass
class Lot:
    """Topic `lot` (3 partitions) and `ditch` (2), on real files."""

    topics: Topics = field(default_factory=Topics)
    store: MemoryStore = field(default_factory=MemoryStore)

    def topic(self, name: str) -> TopicReference:
        found = self.topics.get(name)
        assert found is not None
        return found

    async def put(self, name: str, number: int, records: list[Record]) -> None:
        append = appending(records)
        self.topic(name).partitions[number].submit(append)
        await append.reply.wait()

    async def read(self, name: str) -> dict[int, list[StoredRecord]]:
        found: dict[int, list[StoredRecord]] = {}
        for number, partition in enumerate(self.topic(name).partitions):
            offset = partition.start_offset
            found[number] = []
            while offset < partition.high_watermark:
                fetched = await partition.fetch(offset, 1 << 20)
                found[number] += fetched.records()
                offset = fetched.next_offset
        return found

    async def divert(self, count: int, keys: int = 5) -> None:
        """Records of lot in the ditch, batches of a few, with another topic's in between."""
        ditch = self.topic("ditch")
        for number in range(count):
            key = f"k{number % keys}".encode()
            mine = Record(key, f"{number}".encode(), 1000 + number, MINE)
            other = Record(key, b"other", 1000, ((ORIGIN_HEADER, b"another"),))
            own = Record(key, b"own", 1000)
            await self.put("ditch", ditch.partition_for(key), [mine, other, own])

    def begin(self, *, force: bool = False) -> Homecoming:
        return begun(self.topic("lot"), self.topic("ditch"), self.store.kept.get(("lot", "ditch")), force=force)

    async def bring(self, coming: Homecoming) -> HomecomingProgress:
        progress = HomecomingProgress(coming.source)
        await HomecomingRunner(coming, self.topics, self.store, progress).run(lambda: None)
        return progress


@asynccontextmanager
async def lots(folder: Path) -> AsyncIterator[Lot]:
    world = Lot()
    actors: list[PartitionActor] = []
    async with trio.open_nursery() as nursery:
        for name, partitions in (("lot", 3), ("ditch", 2)):
            config = Topic(name=name, app="a", partitions=partitions)
            topic = TopicReference(name, partitions, config.max_message_bytes)
            world.topics.add(topic)
            for number in range(partitions):
                path = folder / f"{name}-{number}"
                actor = PartitionActor(topic, number, folder=path, config=config, settings=SETTINGS)
                started = trio.Event()
                nursery.start_soon(actor.run, started.set)
                await started.wait()
                actors.append(actor)
        yield world
        for actor in actors:
            actor.stop()


@pytest.fixture
async def lot(tmp_path: Path) -> AsyncIterator[Lot]:
    async with lots(tmp_path) as world:
        yield world


def check_home(found: dict[int, list[StoredRecord]], count: int) -> None:
    """Every diverted record once, and those of a key in order in one partition."""
    values = [int(record.value or b"") for records in found.values() for record in records]
    assert sorted(values) == list(range(count))
    partitions_of: dict[bytes | None, set[int]] = {}
    for number, records in found.items():
        by_key: dict[bytes | None, list[int]] = {}
        for record in records:
            by_key.setdefault(record.key, []).append(int(record.value or b""))
            partitions_of.setdefault(record.key, set()).add(number)
        assert all(some == sorted(some) for some in by_key.values())
    assert all(len(some) == 1 for some in partitions_of.values())


async def test_what_was_diverted_comes_home_in_order_and_nothing_else(lot: Lot) -> None:
    """Only this topic's records, with their keys, values and timestamps, and where they were diverted to."""
    await lot.divert(20)
    progress = await lot.bring(lot.begin())
    assert (progress.moved, progress.left, progress.lost, progress.remaining, progress.done) == (20, 0, 0, 0, True)
    found = await lot.read("lot")
    check_home(found, 20)
    for record in (record for records in found.values() for record in records):
        assert record.timestamp == 1000 + int(record.value or b"")
        ((name, value),) = record.headers
        assert name == HOME_HEADER
        assert value.startswith(b"ditch-")


async def test_a_second_time_brings_only_what_came_since(lot: Lot) -> None:
    """The place is kept, so that bringing home again and again moves each record once."""
    await lot.divert(7)
    await lot.bring(lot.begin())
    assert (await lot.bring(lot.begin())).moved == 0
    for number in range(7, 12):
        await lot.put("ditch", 0, [Record(b"x", f"{number}".encode(), 1, MINE)])
    assert (await lot.bring(lot.begin())).moved == 5
    values = sorted(int(record.value or b"") for some in (await lot.read("lot")).values() for record in some)
    assert values == list(range(12))


async def test_a_crash_at_any_note_brings_nothing_twice_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever note is the last to be on disk: begun again, each record is home once, in order."""
    monkeypatch.setattr(homecoming, "FETCH_BYTES", 200)  # one batch a fetch, so that there are many notes
    fails_at, ended = 0, False
    while not ended:
        fails_at += 1
        async with lots(tmp_path / str(fails_at)) as lot:
            await lot.divert(8)
            coming = lot.begin()
            await lot.store.save_homecoming(coming)
            lot.store.saves, lot.store.fails_at = 0, fails_at
            try:
                await lot.bring(coming)
                ended = True
            except StorageError:
                await lot.put("lot", 0, [])  # producers go on meanwhile
                lot.store.fails_at = 0
                await lot.bring(lot.store.kept["lot", "ditch"])
            check_home(await lot.read("lot"), 8)
    assert fails_at > 10


async def test_part_of_a_batch_that_was_stored_is_not_brought_again(lot: Lot) -> None:
    """A batch goes to several partitions: where one had taken its part, only the others get theirs."""
    await lot.divert(20)
    coming = lot.begin()
    await lot.store.save_homecoming(coming)
    sent: list[Append] = []
    third = lot.topic("lot").partitions[2]
    submit = third.submit

    def refuse(message: Append) -> None:
        sent.append(message)
        message.reply.fail(StorageError("the disk does not answer"))

    third.submit = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(StorageError):
        await lot.bring(coming)
    assert sent
    third.submit = submit  # type: ignore[method-assign]
    await lot.bring(lot.store.kept["lot", "ditch"])
    check_home(await lot.read("lot"), 20)


async def test_it_waits_while_the_topic_diverts_unless_forced(lot: Lot) -> None:
    """What would only be diverted again stays; forced, it is stored in the topic all the same."""
    await lot.divert(3)
    gate = lot.topic("lot").gate
    gate.set(GateState.DIVERTED, "group g lags", divert_to="ditch")
    progress = HomecomingProgress("ditch")
    runner = HomecomingRunner(lot.begin(), lot.topics, lot.store, progress)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run, lambda: None)
        await until(lambda: bool(progress.waiting))
        assert progress.waiting == "topic lot is diverted: group g lags"
        assert progress.moved == 0
        runner.stop()
    assert not progress.done
    assert (await lot.bring(lot.begin(force=True))).moved == 3


async def test_what_retention_took_is_counted_and_the_rest_comes_home(lot: Lot) -> None:
    """Records that the other topic did not keep long enough are told, and hold up nothing."""
    await lot.put("ditch", 0, [Record(b"k", b"0", 1, MINE)])
    coming = lot.begin()
    await lot.put("ditch", 0, [Record(b"k", b"1", 1, MINE)])
    for message in (Roll(), Trim(Keep(records=0), 0)):
        lot.topic("ditch").partitions[0].submit(message)
        await message.reply.wait()
    await lot.put("ditch", 0, [Record(b"k", b"2", 1, MINE)])
    assert (await lot.bring(coming)).lost == 1
    places = {0: Place(1, 3, {}), 1: Place(0, 0, {})}
    progress = await lot.bring(coming._replace(places=places))
    assert (progress.lost, progress.moved) == (1, 1)


async def test_records_that_no_longer_fit_are_left_and_counted(lot: Lot) -> None:
    """A limit that was lowered meanwhile stops nobody else's way home."""
    await lot.put("ditch", 0, [Record(b"k", bytes(100), 1, MINE), Record(b"k", b"1", 1, MINE)])
    lot.topic("lot").max_message_bytes = 50
    progress = await lot.bring(lot.begin())
    assert (progress.left, progress.moved, progress.done) == (1, 1, True)
