"""A real partition, a real SQLite file, and runners that are killed in the middle of anything."""

import random
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.consumer_group.actor import GroupActor
from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import LagSample, Watermarks
from actors.records import Record
from actors.task_runner.task import TaskSupervisor
from actors.topic_partition.actor import PartitionActor
from actors.topic_partition.messages import Append
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Task, Topic
from config.settings import LogSettings, TaskSettings
from plugins.connectors.sqlite import Sqlite, SqliteSettings
from tests.actors.task_runner.world import NoStore, make_task, start

PARTITIONS = 2


class House:
    """Topics on disk, a group and a SQLite file, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topics = Topics()
        host: Any = type("Host", (), {"data": folder, "bridge": None})()
        self.sink = Sqlite(SqliteSettings(path="sink.db"), host)
        self.group = GroupReference("to-table", "reports")
        self.written = [0] * PARTITIONS

    def get(self, _name: str) -> Sqlite:
        return self.sink

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Partitions and group, until the end of the block."""
        async with trio.open_nursery() as nursery:
            for name, partitions in (("reports", PARTITIONS), ("to-table.dead", 1)):
                config = Topic(name=name, app="city", partitions=partitions, sync=False)
                topic = TopicReference(name, partitions, config.max_message_bytes)
                self.topics.add(topic)
                for number in range(partitions):
                    folder = self.folder / f"{name}-{number}"
                    await start(
                        nursery, PartitionActor(topic, number, folder=folder, config=config, settings=LogSettings())
                    )
            await start(nursery, GroupActor(self.group, self, NoStore()))
            yield
            nursery.cancel_scope.cancel()
        await self.sink.close()

    def watermarks(self) -> list[Watermarks]:
        topic = self.topics.get("reports")
        assert topic is not None
        return [Watermarks(one.start_offset, one.high_watermark) for one in topic.partitions]

    async def sample(self, _partition: int, _offset: int) -> LagSample:
        await trio.lowlevel.checkpoint()
        return LagSample(None, None)

    async def report(self, number: int, values: list[Any]) -> None:
        topic = self.topics.get("reports")
        assert topic is not None
        records = [Record(None, msgspec.json.encode({"value": str(value)}), 1) for value in values]
        append = Append(records, sum(len(record.value or b"") for record in records))
        topic.partitions[number].submit(append)
        await append.reply.wait()
        self.written[number] += len(values)

    def task(self, task: Task) -> TaskSupervisor:
        settings = TaskSettings(batch_rows=200, fetch_bytes=4096, retry_initial=0.01, retry_max=0.05)
        return TaskSupervisor(task, topics=self.topics, connections=self, group=self.group, settings=settings)

    def rows(self) -> list[tuple[int, int]]:
        with sqlite3.connect(self.folder / "sink.db") as database:
            found = database.execute("SELECT partition, offset FROM T ORDER BY 1, 2").fetchall()
        database.close()
        return found


async def test_each_offset_is_written_exactly_once_whatever_is_killed(tmp_path: Path) -> None:
    """Runners killed at random moments, 25 times under load: an append-only table has each offset once, in the end."""
    house = House(tmp_path)
    dice = random.Random(4)
    task = make_task(create=True, runners=2)
    async with house.open():
        async with trio.open_nursery() as load:
            load.start_soon(_report_for_a_while, house)
            for _ in range(25):
                async with trio.open_nursery() as life:
                    life.start_soon(house.task(task).run, lambda: None)
                    await trio.sleep(dice.random() * 0.03)
                    life.cancel_scope.cancel()
        supervisor = house.task(task)
        async with trio.open_nursery() as life:
            await start(life, supervisor)
            with trio.fail_after(20):
                while len(house.rows()) < sum(house.written):  # noqa: ASYNC110 - another thread's file has no event
                    await trio.sleep(0.02)
            supervisor.stop()
    assert house.rows() == [(number, offset) for number in range(PARTITIONS) for offset in range(house.written[number])]


async def _report_for_a_while(house: House) -> None:
    for turn in range(60):
        for number in range(PARTITIONS):
            await house.report(number, list(range(turn, turn + 25)))
        await trio.sleep(0.005)


async def test_a_bad_row_in_a_real_table(tmp_path: Path) -> None:
    """A row that SQLite refuses is a dead letter on disk, with SQLite's reason; its neighbours are written."""
    with sqlite3.connect(tmp_path / "sink.db") as database:
        database.execute("CREATE TABLE T (topic, partition, offset, value TEXT CHECK (value <> 'bad'))")
    database.close()
    house = House(tmp_path)
    supervisor = house.task(make_task())
    async with house.open():
        await house.report(0, ["a", "bad", "c"])
        async with trio.open_nursery() as life:
            await start(life, supervisor)
            with trio.fail_after(20):
                while supervisor.status().lag:  # noqa: ASYNC110 - a counter has no event
                    await trio.sleep(0.01)
            supervisor.stop()
        dead = house.topics.get("to-table.dead")
        assert dead is not None
        letters = (await dead.partitions[0].fetch(0, 1 << 20)).records()
    assert house.rows() == [(0, 0), (0, 2)]
    assert supervisor.status().dead == len(letters) == 1
    headers: Mapping[str, bytes] = dict(letters[0].headers)
    assert b"CHECK constraint failed" in headers["reason"]
    assert headers["source_offset"] == b"1"


async def test_a_missing_table_is_waited_for(tmp_path: Path) -> None:
    """Without `create` a missing table is the sink's trouble: held, named, and nothing is skipped once it is there."""
    house = House(tmp_path)
    supervisor = house.task(make_task())
    async with house.open():
        await house.report(0, ["a"])
        async with trio.open_nursery() as life:
            await start(life, supervisor)
            with trio.fail_after(20):
                while not supervisor.status().holding:  # noqa: ASYNC110 - a status has no event
                    await trio.sleep(0.01)
                assert "no such table: T" in supervisor.status().holding
                with sqlite3.connect(tmp_path / "sink.db") as database:
                    database.execute("CREATE TABLE T (topic, partition, offset, value TEXT)")
                database.close()
                while supervisor.status().lag:  # noqa: ASYNC110 - a counter has no event
                    await trio.sleep(0.01)
            supervisor.stop()
    assert house.rows() == [(0, 0)]
