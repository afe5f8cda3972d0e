"""A task's surroundings in memory: a topic, a group, and a sink that can be told to misbehave."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from actors.consumer_group.actor import GroupActor
from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import LagSample, Watermarks
from actors.errors import CommitUnknownError, ConnectorError, FencedError, OffsetOutOfRangeError, RowRejectedError
from actors.ports import Position, TargetTable, WriteBatch
from actors.records import Confirmed, Record, StoredRecord, TopicPartition
from actors.runtime.actor import Child
from actors.task_runner.task import TaskSupervisor
from actors.topic_partition.messages import Append
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Field, Task, TaskSource, TaskTarget
from config.settings import TaskSettings

COLUMNS = {"topic": "$topic", "partition": "$partition", "offset": "$offset", "value": "value"}


def make_task(**changes: Any) -> Task:
    """A task from topic `reports` into table `T`, append-only, from the beginning."""
    source = TaskSource(
        topic="reports",
        start=changes.pop("start", "earliest"),
        on_damage=changes.pop("on_damage", "stop"),
        fields=(Field(name="value", path="value"),),
    )
    target = TaskTarget(connection="db", table="T", columns=COLUMNS, create=changes.pop("create", False))
    return replace_struct(Task(name="to-table", app="city", source=source, target=target), **changes)


def replace_struct(task: Task, **changes: Any) -> Task:
    return msgspec.structs.replace(task, **changes)


@dataclass
class FakeFetched:
    found: list[StoredRecord]
    next_offset: int
    high_watermark: int

    @property
    def size(self) -> int:
        return sum(len(record.value or b"") for record in self.found)

    def records(self) -> list[StoredRecord]:
        return self.found


class FakePartition:
    """One partition in memory; `fault` is raised by the next fetches, `append_fault` by the next appends."""

    def __init__(self) -> None:
        self.start_offset = 0
        self.stored: list[StoredRecord] = []
        self.fault: Exception | None = None
        self.append_fault: Exception | None = None
        self.fetches = 0
        self._arrival = trio.lowlevel.ParkingLot()

    @property
    def high_watermark(self) -> int:
        return len(self.stored)

    def report(self, *values: Any) -> None:
        """Records with these values: bytes as they are, all else as {"value": ...}."""
        bodies = (one if isinstance(one, bytes) else msgspec.json.encode({"value": one}) for one in values)
        self.add([Record(b"k", body, 1) for body in bodies])

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            self.stored.append(StoredRecord(*record, len(self.stored)))
        self._arrival.unpark_all()

    def submit(self, append: Append) -> None:
        if self.append_fault is not None:
            append.reply.fail(self.append_fault)
            return
        offset = len(self.stored)
        self.add(append.records)
        append.reply.set(offset)

    async def wait_appended(self, offset: int) -> None:
        await trio.lowlevel.checkpoint()
        while self.high_watermark <= offset:
            await self._arrival.park()

    async def fetch(self, offset: int, max_bytes: int) -> FakeFetched:
        await trio.lowlevel.checkpoint()
        self.fetches += 1
        if self.fault is not None and offset < getattr(self.fault, "resume", math.inf):
            raise self.fault
        if not self.start_offset <= offset <= len(self.stored):
            raise OffsetOutOfRangeError(f"offset {offset} is not there", start=self.start_offset)
        found: list[StoredRecord] = []
        for record in self.stored[offset:]:
            max_bytes -= len(record.value or b"")
            if found and max_bytes < 0:
                break
            found.append(record)
        return FakeFetched(found, offset + len(found), len(self.stored))


@dataclass
class FakeSink:
    """A transactional sink in memory. `faults` are met by the next calls of `write`, one each; None lets one pass.

    While `down` is set everything fails with it. A row whose value is in `refused` is rejected. `seconds` is what a
    transaction takes.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    positions: dict[tuple[str, TopicPartition], Position] = field(default_factory=dict)
    faults: deque[Exception | None] = field(default_factory=deque)
    down: ConnectorError | None = None
    refused: dict[Any, str] = field(default_factory=dict)
    seconds: float = 0.0
    batches: list[WriteBatch] = field(default_factory=list)
    attempts: int = 0
    claims: int = 0
    tables: list[TargetTable] = field(default_factory=list)
    lose_commit: str = ""

    async def claim(self, task: str, source: TopicPartition) -> Position:
        await self._answer()
        self.claims += 1
        old = self.positions.get((task, source), Position(0, None))
        self.positions[task, source] = Position(old.epoch + 1, old.offset)
        return self.positions[task, source]

    async def position(self, task: str, source: TopicPartition) -> Position:
        await self._answer()
        return self.positions[task, source]

    async def create_table(self, table: TargetTable) -> None:
        await self._answer()
        self.tables.append(table)

    async def write(self, batch: WriteBatch) -> None:
        self.attempts += 1
        await trio.sleep(self.seconds)
        await self._answer()
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and not isinstance(fault, CommitUnknownError):
            raise fault
        if self.positions[batch.task, batch.source] != Position(batch.epoch, batch.expected):
            raise FencedError(f"{batch.source} is claimed by another")
        for row in batch.rows:
            if row[-1] in self.refused:
                raise RowRejectedError(self.refused[row[-1]])
        if fault is None or self.lose_commit == "after":
            self.rows += batch.rows
            self.batches.append(batch)
            self.positions[batch.task, batch.source] = Position(batch.epoch, batch.next_offset)
        if fault is not None:
            raise fault

    async def reset(self, task: str, offsets: Mapping[TopicPartition, int]) -> None:
        await self._answer()
        for source, offset in offsets.items():
            old = self.positions.get((task, source), Position(0, None))
            self.positions[task, source] = Position(old.epoch + 1, offset)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.down is not None:
            raise self.down

    def offsets(self, partition: int = 0) -> list[int]:
        """Offsets written, in the order in which they were."""
        return [row[2] for row in self.rows if row[1] == partition]


class NoStore:
    """Offsets that nobody keeps."""

    async def load_confirmed(self, _group: str) -> Mapping[TopicPartition, Confirmed]:
        return {}

    async def save_confirmed(self, _group: str, _positions: Mapping[TopicPartition, Confirmed]) -> None:
        await trio.lowlevel.checkpoint()


class World:
    """Topics `reports` and `to-table.dead`, connection `db`, group `to-table`."""

    def __init__(self, partitions: int = 1) -> None:
        self.topics = Topics()
        self.reports = [FakePartition() for _ in range(partitions)]
        self.dead = FakePartition()
        self._add("reports", self.reports)
        self._add("to-table.dead", [self.dead])
        self.sink = FakeSink()
        self.connections: dict[str, Any] = {"db": self.sink}
        self.group = GroupReference("to-table", "reports")
        self.settings = TaskSettings(retry_initial=0.2, retry_max=30.0)

    def _add(self, name: str, partitions: list[FakePartition]) -> None:
        topic = TopicReference(name, len(partitions), 1 << 20)
        topic.partitions[:] = partitions  # type: ignore[assignment]
        self.topics.add(topic)

    def watermarks(self) -> list[Watermarks]:
        return [Watermarks(one.start_offset, one.high_watermark) for one in self.reports]

    async def sample(self, _partition: int, _offset: int) -> LagSample:
        await trio.lowlevel.checkpoint()
        return LagSample(None, None)

    def new_group(self) -> GroupActor:
        return GroupActor(self.group, self, NoStore())

    def tune(self, **changes: Any) -> None:
        self.settings = msgspec.structs.replace(self.settings, **changes)

    def supervisor(self, task: Task, **more: Any) -> TaskSupervisor:
        return TaskSupervisor(
            task,
            topics=self.topics,
            connections=self.connections,  # type: ignore[arg-type]
            group=self.group,
            settings=self.settings,
            **more,
        )

    @asynccontextmanager
    async def running(self, task: Task | None = None, **more: Any) -> AsyncIterator[TaskSupervisor]:
        """The group and the task, started in this order and stopped in reverse."""
        group = self.new_group()
        async with trio.open_nursery() as outer:
            await start(outer, group)
            async with trio.open_nursery() as inner:
                supervisor = self.supervisor(task or make_task(), **more)
                await start(inner, supervisor)
                yield supervisor
                supervisor.stop()
            group.stop()

    async def until(self, condition: Callable[[], bool], seconds: float = 100.0) -> None:
        """Wait, in virtual time, until this holds; the longer it takes, the less often it is looked at."""
        began = trio.current_time()
        with trio.fail_after(seconds):
            while not condition():  # noqa: ASYNC110 - whatever a test looks at has no event
                await trio.sleep(max(0.01, (trio.current_time() - began) / 100))

    def letters(self) -> list[dict[str, str]]:
        """The headers of the dead letters."""
        return [{name: value.decode() for name, value in record.headers} for record in self.dead.stored]


async def start(nursery: trio.Nursery, child: Child) -> None:
    """Run a child and wait until it is up."""
    up = trio.Event()
    nursery.start_soon(child.run, up.set)
    await up.wait()
