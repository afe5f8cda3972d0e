"""The doctor goes round a living task in virtual time, and heals it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from trio.testing import MockClock

from actors.doctor.actor import Doctor
from actors.doctor.healing import Limits
from actors.errors import PenstockError
from actors.ports import AuditEntry
from actors.task_runner.progress import TaskStatus
from actors.task_runner.task import TaskSupervisor
from config.resources import Task, TaskBacklog
from daemon.stages.doctor import Patients
from tests.actors.task_runner.world import World, make_task, start


@dataclass
class OneTask:
    """A stage of one task."""

    task: Task
    living: TaskSupervisor | None = None

    def running(self, _name: str) -> TaskSupervisor | None:
        return self.living

    def resources(self) -> list[Task]:
        return [self.task]

    def statistics(self) -> Mapping[str, TaskStatus]:
        assert self.living is not None
        return {self.task.name: self.living.status()}


@dataclass
class Audit:
    """Remembers entries, and when they came."""

    entries: list[tuple[float, AuditEntry]] = field(default_factory=list)

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append((trio.current_time(), entry))

    def told(self) -> list[tuple[str, str, str, str]]:
        return [(one.action, one.before, one.after, one.outcome) for _, one in self.entries]


@dataclass
class Ward:
    """A world with a task and its doctor; producers bring `rate` records per second, over all partitions."""

    world: World
    task: TaskSupervisor
    doctor: Doctor
    audit: Audit
    rate: float = 0.0

    async def produce(self) -> None:
        numbers, owed = itertools.count(), 0.0
        while True:
            await trio.sleep(0.25)
            owed += self.rate / 4
            while owed >= 1:
                owed -= 1
                number = next(numbers)
                self.world.reports[number % len(self.world.reports)].report(number)

    @property
    def causes(self) -> list[str]:
        return [cause.kind for one in self.doctor.diagnoses() for cause in one.causes]


@asynccontextmanager
async def ward(
    world: World, backlog: TaskBacklog, limits: Limits | None = None, *, runners: int = 1
) -> AsyncIterator[Ward]:
    task = make_task(runners=runners, backlog=backlog)
    stage, audit = OneTask(task), Audit()
    async with world.running(task, shutdown=1.0) as supervisor, trio.open_nursery() as nursery:
        stage.living = supervisor
        patients = Patients(stage, world.settings.batch_rows)  # type: ignore[arg-type]
        doctor = Doctor(lambda: [world.group.statistics()], patients, audit, limits=limits)
        await start(nursery, doctor)
        one = Ward(world, supervisor, doctor, audit)
        nursery.start_soon(one.produce)
        yield one
        nursery.cancel_scope.cancel()


def slow_world(partitions: int = 4) -> World:
    """A runner moves 50 records per second."""
    world = World(partitions)
    world.tune(batch_rows=10)
    world.sink.seconds = 0.2
    return world


async def test_more_runners_while_it_lags_and_none_of_them_afterwards(autojump_clock: MockClock) -> None:
    """The cause is named, runners are added and taken back, each told; every record is written once."""
    async with ward(slow_world(), TaskBacklog(heal="auto")) as one:
        one.rate = 100.0
        await one.world.until(lambda: one.causes == ["slow_consumers"])
        await one.world.until(lambda: one.task.runners == 4)
        await trio.sleep(60)
        one.rate = 0.0
        await one.world.until(lambda: one.task.status().lag == 0)
        await one.world.until(lambda: one.task.runners == 1, seconds=150)
        await trio.sleep(60)
        assert one.causes == []
        assert one.audit.told() == [("set_runners", "1", "4", "done"), ("set_runners back", "4", "1", "done")]
        assert one.audit.entries[0][1].subject == "task to-table"
        assert one.audit.entries[0][1].reason.startswith("slow_consumers: ")
        assert one.doctor.actions() == {("to-table", "set_runners"): 2}
        written = sorted(int(row[-1]) for row in one.world.sink.rows)
        assert written == list(range(len(written)))
        assert len(written) == sum(len(partition.stored) for partition in one.world.reports)
    for number in range(4):
        assert one.world.sink.offsets(number) == list(range(len(one.world.reports[number].stored)))


async def test_a_budget_holds_while_the_trouble_comes_back(autojump_clock: MockClock) -> None:
    """Taken back, it lags again: within ten minutes no more than the budget is done."""
    limits = Limits(actions=2, window=600.0, settle=10.0, calm=20.0)
    async with ward(slow_world(), TaskBacklog(heal="auto"), limits) as one:
        one.rate = 100.0
        await trio.sleep(590)
        applied = [at for at, entry in one.audit.entries if entry.action == "set_runners"]
        assert len(applied) == 2
        assert one.task.runners == 1
        assert one.causes == ["slow_consumers"]
        await trio.sleep(100)
        assert one.task.runners == 4


async def test_advice_changes_nothing(autojump_clock: MockClock) -> None:
    """With `heal: advise` the cause is named, and the task stays as it is written."""
    async with ward(slow_world(), TaskBacklog()) as one:
        one.rate = 100.0
        await trio.sleep(120)
        assert one.causes == ["slow_consumers"]
        assert one.task.runners == 1
        assert one.audit.entries == []


async def test_a_stuck_runner_is_started_anew(autojump_clock: MockClock) -> None:
    """A runner whose sink never answered is ended and replaced; what it had in hand is written once."""
    async with ward(World(2), TaskBacklog(heal="auto"), runners=2) as one:
        one.rate = 10.0
        await trio.sleep(20)
        assert one.causes == []
        one.world.sink.seconds = 1e6
        await trio.sleep(1)
        one.world.sink.seconds = 0.0
        await one.world.until(lambda: one.causes == ["stuck_members"])
        await one.world.until(lambda: one.causes == [], seconds=200)
        actions = {action for action, *_ in one.audit.told()}
        assert actions == {"restart_member"}
        one.rate = 0.0
        await one.world.until(lambda: one.task.status().lag == 0)
        written = sorted(int(row[-1]) for row in one.world.sink.rows)
        assert written == list(range(len(written)))


async def test_a_task_that_cannot_be_changed_is_told_and_nothing_ends(autojump_clock: MockClock) -> None:
    """What fails is in the audit log with its reason; the doctor goes on."""
    async with ward(slow_world(), TaskBacklog(heal="auto")) as one:

        async def refuse(_runners: int) -> None:
            raise PenstockError("it stops")

        one.task.set_runners = refuse  # type: ignore[method-assign]
        one.rate = 100.0
        await one.world.until(lambda: len(one.audit.entries) == 2)
        assert one.audit.told()[0] == ("set_runners", "1", "4", "failed: it stops")


async def test_a_healthy_task_is_left_alone(autojump_clock: MockClock) -> None:
    """At half of what it can take, over ten minutes: no cause is ever named, nothing is done."""
    async with ward(slow_world(), TaskBacklog(heal="auto")) as one:
        one.rate = 25.0
        for _ in range(120):
            await trio.sleep(5)
            assert one.causes == []
        assert one.audit.entries == []
