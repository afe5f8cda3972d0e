"""Tasks: a supervisor of its runners for each that is enabled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import trio

from actors.errors import PenstockError
from actors.functions.messages import FunctionCalls
from actors.ports import ConnectionLookup
from actors.runtime.child import ChildSpec, ChildState
from actors.runtime.supervisor import Supervisor
from actors.task_runner.progress import TaskState, TaskStatus
from actors.task_runner.task import TaskSupervisor
from actors.topic_partition.topic import Topics
from config.resources import Task
from config.resources.identity import Identity
from config.settings import TaskSettings
from daemon.catalog.catalog import Catalog
from daemon.engine import Change
from daemon.stages.groups import GroupStage

_DRAIN_SECONDS = 12.0


class TaskStage:
    """Makes runners follow tasks, and has a group for each (see `GroupStage`)."""

    kinds = ("task",)

    def __init__(
        self,
        catalog: Catalog,
        topics: Topics,
        connections: ConnectionLookup,
        groups: GroupStage,
        settings: TaskSettings,
        *,
        functions: FunctionCalls | None = None,
    ) -> None:
        self._catalog = catalog
        self._topics = topics
        self._connections = connections
        self._groups = groups
        self._settings = settings
        self._functions = functions
        self._task_supervisor: Supervisor | None = None

    def tasks(self) -> Supervisor:
        """A fresh supervisor of every task that is enabled."""
        specs = [self._task_spec(task.name) for task in self._all() if task.enabled]
        self._task_supervisor = Supervisor("tasks", specs)
        return self._task_supervisor

    async def follow(self, change: Change) -> None:
        """Start, restart or stop; the group is made anew where the task reads another topic."""
        name = change.identity.name
        await self.stop(name)
        match change.after:
            case Task() as task:
                await self._groups.put_task(task)
                if task.enabled:
                    await self.start(name)
            case _:
                await self._groups.remove_task(name)

    async def start(self, name: str) -> None:
        """Start a task now; one that is parked as failed is started afresh, one that runs is left alone."""
        supervisor = self._task_supervisor
        if supervisor is None:
            return  # it will be built from the catalog as it is now
        present = supervisor.status(name)
        if present is not None and present.state is ChildState.RUNNING and not self._task_failed(name):
            return
        await supervisor.remove(name)
        await supervisor.add(self._task_spec(name))

    async def stop(self, name: str) -> None:
        """Stop a task after its last transaction."""
        if self._task_supervisor is not None:
            await self._task_supervisor.remove(name)

    @asynccontextmanager
    async def without_users(self, connection: str) -> AsyncIterator[None]:
        """Stop the running tasks of a connection after their last transactions; start them again after the block."""
        children = self._task_supervisor.children() if self._task_supervisor is not None else ()
        present = {child.name for child in children}
        users = [one.name for one in self._all() if one.target.connection == connection and one.name in present]
        try:
            async with trio.open_nursery() as nursery:
                for name in users:
                    nursery.start_soon(self.stop, name)
            yield
        finally:
            # Also when the block has run out of time: a task that nobody stopped shall run.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _DRAIN_SECONDS):
                for task in self._all():
                    if task.name in users and task.enabled:
                        await self.start(task.name)

    def running(self, name: str) -> TaskSupervisor | None:
        """The task as it lives now; None where it does not."""
        child = self._task_supervisor.child(name) if self._task_supervisor is not None else None
        return child if isinstance(child, TaskSupervisor) else None

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """State, counters, runners, and lag by partition."""
        shown = asdict(self._status(identity.name))
        shown["state"] = shown["state"].value
        group = self._groups.get(identity.name)
        if group is not None and group.kind == "task":
            progress = group.statistics()
            shown["lag"] = progress.lag
            shown["drain_seconds"] = progress.drain_seconds
            shown["partitions"] = [asdict(partition) for partition in progress.partitions]
        return shown

    def statistics(self) -> Mapping[str, TaskStatus]:
        """Every task as it stands."""
        return {task.name: self._status(task.name) for task in self._all()}

    def resources(self) -> list[Task]:
        """Every task as it is written."""
        return self._all()

    def _status(self, name: str) -> TaskStatus:
        supervisor = self._task_supervisor
        if supervisor is None:
            return TaskStatus(TaskState.STARTED)
        child = supervisor.status(name)
        if child is None:
            return TaskStatus(TaskState.STOPPED)
        instance = supervisor.child(name)
        if child.state is ChildState.FAILED or not isinstance(instance, TaskSupervisor):
            return TaskStatus(TaskState.FAILED if child.reason else TaskState.STARTED, reason=child.reason)
        return instance.status()

    def _task_failed(self, name: str) -> bool:
        return self._status(name).state is TaskState.FAILED

    def _task_spec(self, name: str) -> ChildSpec:
        def start() -> TaskSupervisor:
            task = self._task(name)
            return TaskSupervisor(
                task,
                topics=self._topics,
                connections=self._connections,
                group=self._groups.of_task(task),
                settings=self._settings,
                functions=self._functions,
            )

        return ChildSpec(name, start, shutdown=_DRAIN_SECONDS, resource=True)

    def _task(self, name: str) -> Task:
        stored = self._catalog.get(Identity("task", name))
        if stored is None or not isinstance(stored.resource, Task):
            raise PenstockError(f"there is no task {name}")
        return stored.resource

    def _all(self) -> list[Task]:
        return [one.resource for one in self._catalog.of_kind("task") if isinstance(one.resource, Task)]
