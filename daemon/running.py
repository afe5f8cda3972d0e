"""The engine: makes what runs follow what is stored, and says what it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from actors.errors import PenstockError
from actors.ports import Column, ConnectionReport
from actors.runtime.child import ChildState
from actors.runtime.supervisor import Supervisor
from actors.task_runner.task import TaskSupervisor
from config.resources import Connection
from config.resources.identity import Identity
from daemon.backup import back_up
from daemon.engine import Change
from daemon.measures import Measures
from daemon.metrics import Metric
from daemon.stages.access import Access
from daemon.stages.connections import Connections
from daemon.stages.routes import RouteStage
from daemon.stages.stage import Stage
from daemon.stages.tasks import TaskStage
from daemon.stages.topics import TopicStage
from daemon.store.model import Store

log = structlog.get_logger()

# What refers to others comes after them; what goes, goes the other way round.
ORDER = ("app", "product", "device", "topic", "rule", "connection", "task", "route")


class RunningEngine:
    """The running side of one instance (see `daemon.engine.Engine`)."""

    def __init__(
        self,
        *,
        data: Path,
        store: Store,
        access: Access,
        connections: Connections,
        topics: TopicStage,
        tasks: TaskStage,
        routes: RouteStage,
        measures: Measures,
        addresses: Mapping[str, str],
    ) -> None:
        self._data = data
        self._store = store
        self._access = access
        self._connections = connections
        self._topics = topics
        self._tasks = tasks
        self._addresses = addresses
        self._measures = measures
        self._root: Supervisor | None = None
        stages: tuple[Stage, ...] = (access, connections, topics, tasks, routes)
        self._stages = {kind: stage for stage in stages for kind in stage.kinds}

    def attach(self, root: Supervisor) -> None:
        """The tree that runs it."""
        self._root = root

    async def reconcile(self, changes: Sequence[Change]) -> None:
        """Follow each change; one that cannot be followed is logged and shown, and holds up no other."""
        for change in sorted(changes, key=_when):
            try:
                await self._stages[change.identity.kind].follow(change)
                if change.identity.kind == "connection" and change.before is not None:
                    await self._tasks.restart_users(change.identity.name)
            except PenstockError as error:
                reason = str(error)
                log.error("change not followed", resource=str(change.identity), reason=reason)  # noqa: TRY400

    async def test_connection(self, connection: Connection) -> ConnectionReport:
        """Try a connection whose settings are complete."""
        return await self._connections.test(connection)

    async def tables(self, name: str) -> Sequence[str]:
        """Tables and views of a connection."""
        return await self._connections.living(name).tables()

    async def columns(self, name: str, table: str) -> Sequence[Column]:
        """Columns of a table."""
        return await self._connections.living(name).columns(table)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What a resource does now."""
        status = dict(self._stages[identity.kind].status(identity))
        if "mqtt" in status:
            status["mqtt"] = {"address": self._addresses.get("mqtt", ""), **status["mqtt"]}
        return status

    async def start_task(self, name: str) -> None:
        """Start a task."""
        await self._tasks.start(name)

    async def stop_task(self, name: str) -> None:
        """Stop a task."""
        await self._tasks.stop(name)

    async def delete_topic_data(self, name: str) -> bool:
        """Delete the files of a topic that is gone."""
        return await self._topics.delete_data(name)

    async def disconnect_device(self, identity: Identity, reason: str) -> bool:
        """End the sessions of a device."""
        return self._access.disconnect_device(identity.name, reason)

    async def backup(self, folder: Path) -> Mapping[str, Any]:
        """Copy the data folder."""
        return await back_up(self._data, folder, store=self._store, connections=self._connections, topics=self._topics)

    def addresses(self) -> Mapping[str, str]:
        """Bound addresses."""
        return dict(self._addresses)

    def tree(self) -> Mapping[str, Any]:
        """The supervision tree."""
        return {"name": "penstock", "children": _shown(self._root) if self._root is not None else []}

    def ready(self) -> tuple[bool, str]:
        """Served is who finds every entry of the tree running."""
        if self._root is None:
            return False, "starting"
        for child in self._root.children():
            if child.state is not ChildState.RUNNING:
                return False, f"{child.name}: {child.state.value} {child.reason}".strip()
        return True, ""

    def metrics(self) -> Iterable[Metric]:
        """The numbers of this moment."""
        return self._measures.metrics()


def _when(change: Change) -> tuple[int, int]:
    rank = ORDER.index(change.identity.kind)
    return (0, -rank) if change.after is None else (1, rank)


def _shown(supervisor: Supervisor) -> list[dict[str, Any]]:
    shown = []
    for child in supervisor.children():
        instance = supervisor.child(child.name)
        nested = instance.supervisor if isinstance(instance, TaskSupervisor) else instance
        shown.append(
            {
                "name": child.name,
                "state": child.state.value,
                "reason": child.reason,
                "restarts": child.restarts,
                "children": _shown(nested) if isinstance(nested, Supervisor) else [],
            }
        )
    return shown
