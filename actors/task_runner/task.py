"""One task: its runners under a supervisor of their own, and the task as people see it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from actors.consumer_group.groups import GroupReference
from actors.functions.messages import FunctionCalls
from actors.ports import ConnectionLookup
from actors.runtime.child import ChildSpec, ChildState, ChildStatus
from actors.runtime.supervisor import Supervisor
from actors.task_runner.actor import TaskRunner
from actors.task_runner.core import BatchLimits
from actors.task_runner.function_fields import FunctionFields
from actors.task_runner.mapping import Mapping, compile_mapping
from actors.task_runner.progress import STEPS, RunnerProgress, RunnerStatus, TaskState, TaskStatus
from actors.topic_partition.topic import Topics
from config.resources import Task
from config.settings import TaskSettings

# However many rows a transaction may take, a runner holds no more of a topic in memory at once.
_MOST_FETCH_BYTES = 16 * 1024 * 1024


class TaskSupervisor:
    """What runs for one task resource; is a Child, and a resource's child of the supervisor `tasks`.

    Each of its runners is a resource's child too: one that fails too often is parked as failed and tried again with
    back-off, its partitions go to the others meanwhile.

    Raises:
        ConfigurationError: fields and columns do not fit together, or it has no `functions` that make its fields.
    """

    def __init__(
        self,
        task: Task,
        *,
        topics: Topics,
        connections: ConnectionLookup,
        group: GroupReference,
        settings: TaskSettings,
        shutdown: float = 10.0,
        mapping: Mapping | None = None,
        functions: FunctionCalls | None = None,
    ) -> None:
        self.name = task.name
        self._task = task
        self._group = group
        self._mapping = mapping or compile_mapping(task)
        self._settings = settings
        self._shutdown = shutdown
        self._limits = BatchLimits(settings.batch_rows, settings.fetch_bytes)
        self._build = partial(
            TaskRunner,
            task,
            self._mapping,
            topics=topics,
            connections=connections,
            group=group,
            settings=settings,
            limits=self._limits,
            fields=self._function_fields(functions),
        )
        self._progress: dict[str, RunnerProgress] = {}
        self._runners = task.runners
        self._stopping = False
        self._turn = trio.Lock()
        self._supervisor = Supervisor(f"task {task.name}", [self._spec(number) for number in range(task.runners)])

    def _function_fields(self, functions: FunctionCalls | None) -> FunctionFields | None:
        made = any(field.function is not None for field in self._task.source.fields)
        return FunctionFields(self._task, functions) if made else None

    async def run(self, started: Callable[[], None]) -> None:
        """Keep the runners running until `stop`."""
        await self._supervisor.run(started)

    def stop(self) -> None:
        """Let all runners finish their transactions at the same time, and leave the group."""
        self._stopping = True
        # The supervisor hears of it first, so that it takes no runner's end for a failure.
        self._supervisor.stop()
        for name in list(self._progress):
            runner = self._supervisor.child(name)
            if runner is not None:
                runner.stop()

    # --- while it runs ---------------------------------------------------------------------------------------------

    @property
    def runners(self) -> int:
        """How many runners there are to be now."""
        return self._runners

    @property
    def most_rows(self) -> int:
        """The most rows of a transaction now."""
        return self._limits.rows

    async def set_runners(self, runners: int) -> None:
        """Have so many runners from now on; those that stay go on, those that go finish their transactions.

        Raises:
            ActorGone: the task stops, or has ended.
        """
        async with self._turn:
            # Counted first: whoever gives up waiting has still had it begun.
            for number in range(self._runners, runners):
                self._runners = number + 1
                await self._supervisor.add(self._spec(number))
            for number in reversed(range(runners, self._runners)):
                self._runners = number
                await self._supervisor.remove(self._member(number))

    def set_most_rows(self, rows: int) -> None:
        """Let transactions take so many rows at most from now on, and fetch so much more or less for them."""
        per_row = self._settings.fetch_bytes / self._settings.batch_rows
        self._limits.rows = rows
        self._limits.bytes = min(_MOST_FETCH_BYTES, max(self._settings.fetch_bytes, int(rows * per_row)))

    async def restart_runner(self, member: str) -> None:
        """End a runner, by force where it does not end by itself, and start it anew; unknown ones are no error.

        Raises:
            ActorGone: the task stops, or has ended.
        """
        async with self._turn:
            numbers = {self._member(number): number for number in range(self._runners)}
            if member in numbers:
                await self._supervisor.remove(member)
                await self._supervisor.add(self._spec(numbers[member]))

    # -----------------------------------------------------------------------------------------------------------------

    @property
    def supervisor(self) -> Supervisor:
        """The runners' supervisor, for those who show the tree."""
        return self._supervisor

    def status(self) -> TaskStatus:
        """The task as it stands."""
        children = {child.name: child for child in self._supervisor.children()}
        progress = self._progress.values()
        present = [self._progress[self._member(number)] for number in range(self._runners)]
        failure = next((one.failure for one in present if one.failure), "")
        parked = next((child.reason for child in children.values() if child.state is ChildState.FAILED), "")
        return TaskStatus(
            state=self._state(failure or parked),
            reason=failure or parked,
            holding=next((one.holding for one in present if one.holding), ""),
            rows=sum(one.rows for one in progress),
            dead=sum(one.dead for one in progress),
            lost=sum(one.lost for one in progress),
            retries=sum(one.retries for one in progress),
            transactions=sum(one.transactions for one in progress),
            lag=self._group.statistics().lag,
            seconds={step: sum(one.spent(step) for one in progress) for step in STEPS},
            runners=tuple(_runner_status(one, children.get(one.member)) for one in present),
            held_by_sink=any(one.held_by_sink for one in present),
        )

    def _state(self, failure: str) -> TaskState:
        if self._stopping:
            return TaskState.STOPPED
        if failure:
            return TaskState.FAILED
        # A runner beyond the number of partitions has nothing to wait for.
        return TaskState.RUNNING if any(one.assigned for one in self._progress.values()) else TaskState.STARTED

    def _member(self, number: int) -> str:
        return f"{self._task.name}-{number}"

    def _spec(self, number: int) -> ChildSpec:
        """A runner; what was counted of its earlier lives goes on."""
        name = self._member(number)
        progress = self._progress.setdefault(name, RunnerProgress(name))
        return ChildSpec(name, partial(self._start_runner, progress), shutdown=self._shutdown, resource=True)

    def _start_runner(self, progress: RunnerProgress) -> TaskRunner:
        runner = self._build(progress)
        if self._stopping:
            runner.stop()
        return runner


def _runner_status(progress: RunnerProgress, child: ChildStatus | None) -> RunnerStatus:
    return RunnerStatus(
        member=progress.member,
        state=child.state.value if child is not None else ChildState.STOPPED.value,
        reason=progress.holding or progress.failure,
        restarts=child.restarts if child is not None else 0,
        partitions=progress.partitions,
        batch_rows=progress.batch_rows,
    )
