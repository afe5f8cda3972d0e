"""One runner of a task: a member of the task's group that moves the partitions it is assigned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from actors.consumer_group.groups import GroupReference
from actors.consumer_group.membership import Membership
from actors.consumer_group.messages import Assignment
from actors.errors import FencedError, MemberFencedError
from actors.ports import ConnectionLookup
from actors.runtime.child import describe
from actors.task_runner.context import RunnerContext
from actors.task_runner.core import BatchLimits, rest_seconds
from actors.task_runner.dead_letters import DeadLetters
from actors.task_runner.function_fields import FunctionFields
from actors.task_runner.mapping import Mapping
from actors.task_runner.pipeline import Pipeline
from actors.task_runner.progress import RunnerProgress
from actors.topic_partition.topic import Topics
from config.resources import Task
from config.settings import TaskSettings

log = structlog.get_logger()


class TaskRunner:
    """Joins the group, then moves one assigned partition after the other, a transaction at a time.

    Nothing that its sink, its topic or its group does ends it: it holds and tries again. What ends it is a fault of
    the program itself, which its supervisor deals with. `stop` lets the transaction in flight finish; then it leaves
    the group. It has no mailbox: what it is told comes as the answer to its Join, or as `stop`.
    """

    def __init__(
        self,
        task: Task,
        mapping: Mapping,
        progress: RunnerProgress,
        *,
        topics: Topics,
        connections: ConnectionLookup,
        group: GroupReference,
        settings: TaskSettings,
        limits: BatchLimits | None = None,
        fields: FunctionFields | None = None,
    ) -> None:
        self.name = progress.member
        self._membership = Membership(group, self.name, self._wake_up, progress.seconds)
        self._context = RunnerContext(
            task=task,
            mapping=mapping,
            topics=topics,
            connections=connections,
            membership=self._membership,
            settings=settings,
            limits=limits or BatchLimits(settings.batch_rows, settings.fetch_bytes),
            progress=progress,
            dead_letters=DeadLetters(task.name, topics),
            interrupted=self._interrupted,
            fields=fields,
        )
        self._progress = progress
        self._pipelines: dict[int, Pipeline] = {}
        self._fences: dict[int, int] = {}
        self._stopping = False
        self._wake = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Move records until stopped. An unreachable sink is no reason not to have started."""
        started()
        try:
            while not self._stopping:
                self._wake = trio.Event()
                self._follow_group()
                await self._work()
        except Exception as error:
            self._progress.failure = describe(error)
            raise
        finally:
            self._progress.assigned, self._progress.partitions, self._progress.holding = False, (), ""
            self._progress.held_by_sink = False
            self._membership.leave()

    def stop(self) -> None:
        """Finish the transaction in flight, then leave."""
        self._stopping = True
        self._wake_up()

    def _wake_up(self) -> None:
        self._wake.set()

    def _interrupted(self) -> bool:
        return self._stopping or self._membership.told

    # --- the group ---------------------------------------------------------------------------------------------------

    def _follow_group(self) -> None:
        """Take up what the group says, and say what is read now."""
        try:
            assignment = self._membership.hear()
        except MemberFencedError as error:
            self._lose_all(error)
        else:
            if assignment is not None:
                self._take_up(assignment)
        if self._membership.join(frozenset(self._pipelines)):
            self._tell_again()

    def _tell_again(self) -> None:
        for pipeline in self._pipelines.values():
            pipeline.tell_again()

    def _lose_all(self, error: MemberFencedError) -> None:
        """Others may read these by now: the sink's epochs guard them, and what is assigned anew is claimed anew."""
        log.warning("task runner begins anew", task=self._context.task.name, member=self.name, reason=str(error))
        self._pipelines.clear()
        self._progress.assigned, self._progress.partitions = False, ()

    def _take_up(self, assignment: Assignment) -> None:
        for partition in set(self._pipelines) - assignment.partitions:
            del self._pipelines[partition]
        for partition in sorted(assignment.partitions - set(self._pipelines)):
            fences = self._fences.get(partition, 0)
            self._pipelines[partition] = Pipeline(
                self._context,
                partition,
                appeared=partition in assignment.appeared,
                delay=self._context.backoff.delay(fences) if fences else 0.0,
            )
        self._progress.assigned = True
        self._progress.partitions = tuple(sorted(self._pipelines))

    def _let_go(self, partition: int, error: FencedError) -> None:
        """Another writer has claimed it: write nothing more there, and ask the group anew."""
        log.warning("task lost a partition", task=self._context.task.name, partition=partition, reason=str(error))
        del self._pipelines[partition]
        self._fences[partition] = self._fences.get(partition, 0) + 1
        self._progress.partitions = tuple(sorted(self._pipelines))
        if self._membership.join(frozenset(self._pipelines), again=True):
            self._tell_again()

    # --- the work ----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """One round over the partitions; without anything to move, wait until there is."""
        began = trio.current_time()
        moved = False
        for partition, pipeline in list(self._pipelines.items()):
            if self._interrupted():
                return
            if pipeline.hold is None or pipeline.hold.until <= trio.current_time():
                moved |= await self._advance(partition, pipeline)
                if pipeline.hold is not None:
                    # A round over many partitions that are all refused takes long, and commits nothing.
                    self._membership.beat()
        self._show_holding()
        if not moved:
            await self._wait()
        elif not any(pipeline.full for pipeline in self._pipelines.values()):
            await self._rest(rest_seconds(trio.current_time() - began))

    async def _advance(self, partition: int, pipeline: Pipeline) -> bool:
        held = pipeline.hold is not None
        try:
            moved = await pipeline.advance()
        except FencedError as error:
            self._let_go(partition, error)
            return False
        if moved:
            self._progress.failure = ""
            self._fences.pop(partition, None)
        if held and pipeline.hold is None:
            for other in self._pipelines.values():
                other.retry_now()
        return moved

    async def _wait(self) -> None:
        """Until there are records, a hold has run its time, the group has something to say, or `stop`."""
        ready = [pipeline for pipeline in self._pipelines.values() if pipeline.hold is None]
        idle = len(ready) == len(self._pipelines)
        if idle and self._pipelines:
            # Everything was read without a fault.
            self._progress.failure = ""
        self._membership.beat(idle=idle)
        times = [pipeline.hold.until for pipeline in self._pipelines.values() if pipeline.hold is not None]
        with trio.move_on_at(min([*times, self._membership.due_at])):
            await _wait_any(self._wake.wait, *(pipeline.wait_records for pipeline in ready))

    async def _rest(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._wake.wait()

    def _show_holding(self) -> None:
        holds = [pipeline.hold for pipeline in self._pipelines.values() if pipeline.hold is not None]
        self._progress.holding = holds[0].reason if holds else ""
        self._progress.held_by_sink = any(hold.by_sink for hold in holds)


async def _wait_any(*waits: Callable[[], Awaitable[None]]) -> None:
    """Return once one of them has; the others are cancelled."""
    async with trio.open_nursery() as nursery:

        async def end_with(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(end_with, wait)
