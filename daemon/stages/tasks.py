"""Tasks: a consumer group for each, and a supervisor of its runners for each that is enabled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from actors.consumer_group.actor import GroupActor
from actors.consumer_group.groups import Groups
from actors.consumer_group.messages import Watermarks
from actors.errors import ActorGone, PenstockError
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
from daemon.store.model import Store

_DRAIN_SECONDS = 12.0


class TaskStage:
    """Makes groups and runners follow tasks; a task's group bears the task's name."""

    kinds = ("task",)

    def __init__(
        self, catalog: Catalog, topics: Topics, connections: ConnectionLookup, store: Store, settings: TaskSettings
    ) -> None:
        self._catalog = catalog
        self._topics = topics
        self._connections = connections
        self._store = store
        self._settings = settings
        self._groups = Groups()
        self._group_supervisor: Supervisor | None = None
        self._task_supervisor: Supervisor | None = None

    def groups(self) -> Supervisor:
        """A fresh supervisor of the group of every task."""
        specs = [self._group_spec(task) for task in self._all()]
        self._group_supervisor = Supervisor("groups", specs)
        return self._group_supervisor

    def tasks(self) -> Supervisor:
        """A fresh supervisor of every task that is enabled."""
        specs = [self._task_spec(task.name) for task in self._all() if task.enabled]
        self._task_supervisor = Supervisor("tasks", specs)
        return self._task_supervisor

    async def follow(self, change: Change) -> None:
        """Start, restart or stop; the group is made anew where the task reads another topic."""
        name = change.identity.name
        await self.stop(name)
        if not _same_source(change.before, change.after):
            await _living(self._group_supervisor).remove(name)
            self._groups.discard(name)
        match change.after:
            case Task() as task:
                if self._groups.get(name) is None:
                    await _living(self._group_supervisor).add(self._group_spec(task))
                if task.enabled:
                    await self.start(name)
            case _:
                await self._store.delete_offsets(name)

    async def start(self, name: str) -> None:
        """Start a task now; one that is parked as failed is started afresh, one that runs is left alone."""
        supervisor = _living(self._task_supervisor)
        present = supervisor.status(name)
        if present is not None and present.state is ChildState.RUNNING and not self._task_failed(name):
            return
        await supervisor.remove(name)
        await supervisor.add(self._task_spec(name))

    async def stop(self, name: str) -> None:
        """Stop a task after its last transaction."""
        await _living(self._task_supervisor).remove(name)

    async def restart_users(self, connection: str) -> None:
        """Start the running tasks of a connection anew: its connector is another one."""
        running = {child.name for child in _living(self._task_supervisor).children()}
        for task in self._all():
            if task.target.connection == connection and task.name in running:
                await self.stop(task.name)
                await self.start(task.name)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """State, counters, runners, and lag by partition."""
        group = self._groups.get(identity.name)
        if group is None:
            return {}
        progress = group.statistics()
        shown = asdict(self._status(identity.name))
        shown["state"] = shown["state"].value
        shown["lag"] = progress.lag
        shown["partitions"] = [asdict(partition) for partition in progress.partitions]
        return shown

    def statistics(self) -> Mapping[str, TaskStatus]:
        """Every task as it stands."""
        return {task.name: self._status(task.name) for task in self._all()}

    def _status(self, name: str) -> TaskStatus:
        supervisor = _living(self._task_supervisor)
        child = supervisor.status(name)
        if child is None:
            return TaskStatus(TaskState.STOPPED)
        instance = supervisor.child(name)
        if child.state is ChildState.FAILED or not isinstance(instance, TaskSupervisor):
            return TaskStatus(TaskState.FAILED if child.reason else TaskState.STARTED, reason=child.reason)
        return instance.status()

    def _task_failed(self, name: str) -> bool:
        return self._status(name).state is TaskState.FAILED

    def _group_spec(self, task: Task) -> ChildSpec:
        reference = self._groups.get(task.name) or self._groups.add(task.name, task.source.topic)

        def watermarks() -> Sequence[Watermarks]:
            return _watermarks(self._topics, reference.topic)

        return ChildSpec(task.name, lambda: GroupActor(reference, watermarks, self._store), resource=True)

    def _task_spec(self, name: str) -> ChildSpec:
        def start() -> TaskSupervisor:
            group = self._groups.get(name)
            if group is None:
                raise PenstockError(f"task {name} has no group")
            return TaskSupervisor(
                self._task(name),
                topics=self._topics,
                connections=self._connections,
                group=group,
                settings=self._settings,
            )

        return ChildSpec(name, start, shutdown=_DRAIN_SECONDS, resource=True)

    def _task(self, name: str) -> Task:
        stored = self._catalog.get(Identity("task", name))
        if stored is None or not isinstance(stored.resource, Task):
            raise PenstockError(f"there is no task {name}")
        return stored.resource

    def _all(self) -> list[Task]:
        return [one.resource for one in self._catalog.of_kind("task") if isinstance(one.resource, Task)]


def _same_source(before: object, after: object) -> bool:
    return isinstance(before, Task) and isinstance(after, Task) and before.source.topic == after.source.topic


def _watermarks(topics: Topics, name: str) -> list[Watermarks]:
    topic = topics.get(name)
    if topic is None:
        return []
    watermarks = []
    for partition in topic.partitions:
        try:
            watermarks.append(Watermarks(partition.start_offset, partition.high_watermark))
        except ActorGone:
            watermarks.append(Watermarks(0, 0))  # it has never opened: nothing of it can be read yet
    return watermarks


def _living(supervisor: Supervisor | None) -> Supervisor:
    assert supervisor is not None, "stages follow changes only while the tree runs"  # noqa: S101
    return supervisor
