"""Consumer groups: one for each task, and those that HTTP consumers have made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import structlog
import trio

from actors.consumer_group.actor import GroupActor
from actors.consumer_group.groups import GroupReference, Groups
from actors.consumer_group.messages import GroupKind, GroupStatistics, LagSample, Watermarks
from actors.errors import ActorGone, GroupBusyError, GroupConflictError, PenstockError
from actors.runtime.child import ChildSpec
from actors.runtime.supervisor import Supervisor
from actors.topic_partition.topic import Topics
from config.resources import Task
from config.settings import GroupSettings
from daemon.catalog.catalog import Catalog
from daemon.catalog.errors import NotFoundError
from daemon.store.model import Store

log = structlog.get_logger()

# As many as Kafka's defaults give: one of them may come late.
_HEARTBEATS_A_SESSION = 3


class GroupStage:
    """Makes groups follow tasks and HTTP consumers; a task's group bears the task's name.

    `http_groups` are the names and topics of those that HTTP consumers made before: they outlive them, so that what
    waits for consumers that are away is known. `forgotten` hears of each that is no more.
    """

    def __init__(
        self, catalog: Catalog, topics: Topics, store: Store, settings: GroupSettings, http_groups: Mapping[str, str]
    ) -> None:
        self.forgotten: Callable[[str], Awaitable[None]] | None = None
        self._catalog = catalog
        self._topics = topics
        self._store = store
        self._settings = settings
        self._groups = Groups(heartbeat_interval=settings.session_timeout / _HEARTBEATS_A_SESSION)
        self._http = dict(http_groups)
        self._making = trio.Lock()
        self._supervisor: Supervisor | None = None

    def supervisor(self) -> Supervisor:
        """A fresh supervisor of every group."""
        specs = [self._spec(self._reference(name, topic, "http")) for name, topic in self._http.items()]
        # A name that HTTP consumers took first is not the task's: the task says so when it starts.
        tasks = [task for task in self._tasks() if task.name not in self._http]
        specs += [self._spec(self._reference(task.name, task.source.topic, "task")) for task in tasks]
        self._supervisor = Supervisor("groups", specs)
        return self._supervisor

    # --- those who use groups ----------------------------------------------------------------------------------

    def of_task(self, task: Task) -> GroupReference:
        """The group of a task.

        Raises:
            GroupConflictError: its name is that of a group of HTTP consumers.
            PenstockError: there is none.
        """
        found = self._groups.find(task.name, task.source.topic, "task")
        if found is None:
            raise PenstockError(f"task {task.name} has no group")
        return found

    async def open_http(self, name: str, topic: str) -> GroupReference:
        """The group of HTTP consumers of this name, which is made where there is none.

        Raises:
            GroupConflictError: it is a task's, or reads another topic, or there are too many groups.
            NotFoundError: there is no such topic.
            StorageError: it cannot be remembered.
            ActorGone: the daemon is starting or ending.
        """
        found = self._groups.find(name, topic, "http")
        if found is not None and name in self._http:
            return found
        async with self._making:
            if name not in self._http:
                await self._make(name, topic)
            found = self._groups.find(name, topic, "http")
        assert found is not None, "just made"  # noqa: S101 - see above
        return found

    def find_http(self, name: str, topic: str) -> GroupReference | None:
        """The group of HTTP consumers of this name, or None where the name is free.

        Raises:
            GroupConflictError: it is a task's, or reads another topic.
        """
        found = self._groups.find(name, topic, "http")
        return found if name in self._http else None

    # --- what the stage of tasks asks ------------------------------------------------------------------------------

    async def put_task(self, task: Task) -> None:
        """Have a group for a task; it is made anew where the task reads another topic."""
        supervisor = self._supervisor
        if supervisor is None or task.name in self._http:
            return  # it will be built from the catalog as it is now; or the name is not the task's
        present = self._groups.get(task.name)
        if present is None or present.topic != task.source.topic or supervisor.status(task.name) is None:
            await supervisor.remove(task.name)
            await supervisor.add(self._spec(self._reference(task.name, task.source.topic, "task")))

    async def remove_task(self, name: str) -> None:
        """Forget the group of a task that is gone, and how far it has come."""
        if name in self._http:
            return
        await self._end(name)
        await self._store.delete_group(name)

    # --- what people ask -------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[GroupReference]:
        """Every group, by name."""
        return iter(sorted(self._groups, key=lambda one: one.name))

    def statistics(self) -> Sequence[GroupStatistics]:
        """Every group as it stands, by name."""
        return [reference.statistics() for reference in self]

    def get(self, name: str) -> GroupReference | None:
        """The group of a name, or None."""
        return self._groups.get(name)

    def require(self, name: str) -> GroupReference:
        """The group of a name.

        Raises:
            NotFoundError: there is none.
        """
        found = self._groups.get(name)
        if found is None:
            raise NotFoundError(f"there is no group {name}; a task's group bears the task's name")
        return found

    async def delete(self, name: str) -> None:
        """Forget a group of HTTP consumers, and how far it has come.

        Raises:
            NotFoundError: there is none.
            GroupConflictError: it is a task's.
            GroupBusyError: it has members.
        """
        reference = self.require(name)
        if reference.kind == "task":
            raise GroupConflictError(f"group {name} belongs to task {name}: delete the task")
        if reference.statistics().members:
            raise GroupBusyError(f"group {name} has consumers: stop them first")
        await self._forget_http(name)

    async def forget_topic(self, topic: str) -> None:
        """The data of a topic is gone, and so are the positions of HTTP consumers in it."""
        for name in [name for name, read in self._http.items() if read == topic]:
            await self._forget_http(name)

    # -----------------------------------------------------------------------------------------------------------------

    async def _make(self, name: str, topic: str) -> None:
        if self._topics.get(topic) is None:
            raise NotFoundError(f"there is no topic {topic}")
        if len(self._http) >= self._settings.max_http_groups:
            raise GroupConflictError(
                f"there are {len(self._http)} groups of HTTP consumers already: delete those that nobody uses, or "
                "raise groups.max_http_groups"
            )
        supervisor = self._supervisor
        if supervisor is None:
            raise ActorGone("groups")
        reference = self._groups.add(name, topic, "http")
        try:
            await self._store.add_http_group(name, topic)
            await supervisor.add(self._spec(reference))
        except BaseException:
            self._groups.discard(name)
            raise
        self._http[name] = topic
        log.info("group made", group=name, topic=topic)

    async def _forget_http(self, name: str) -> None:
        async with self._making:
            await self._end(name)
            await self._store.delete_group(name)
            self._http.pop(name, None)
            log.info("group forgotten", group=name)
            if self.forgotten is not None:
                await self.forgotten(name)
            for task in self._tasks():
                if task.name == name:
                    await self.put_task(task)

    async def _end(self, name: str) -> None:
        if self._supervisor is not None:
            await self._supervisor.remove(name)
        self._groups.discard(name)

    def _reference(self, name: str, topic: str, kind: GroupKind) -> GroupReference:
        present = self._groups.get(name)
        if present is not None and (present.topic, present.kind) == (topic, kind):
            return present
        self._groups.discard(name)
        return self._groups.add(name, topic, kind)

    def _spec(self, reference: GroupReference) -> ChildSpec:
        source = TopicSource(self._topics, reference.topic)
        return ChildSpec(
            reference.name,
            lambda: GroupActor(reference, source, self._store, settings=self._settings),
            resource=True,
        )

    def _tasks(self) -> list[Task]:
        return [one.resource for one in self._catalog.of_kind("task") if isinstance(one.resource, Task)]


class TopicSource:
    """A topic as a group sees it (see `actors.consumer_group.actor.Source`)."""

    def __init__(self, topics: Topics, name: str) -> None:
        self._topics = topics
        self._name = name

    def watermarks(self) -> list[Watermarks]:
        """What can be read of each partition; nothing of a topic that is gone."""
        topic = self._topics.get(self._name)
        found = []
        for partition in topic.partitions if topic is not None else ():
            try:
                found.append(Watermarks(partition.start_offset, partition.high_watermark, partition.rate))
            except ActorGone:
                found.append(Watermarks(0, 0))  # it has never opened: nothing of it can be read yet
        return found

    async def sample(self, partition: int, offset: int) -> LagSample:
        """Bytes and age of what lies in a partition from an offset on, through the log's indexes, in a thread."""
        topic = self._topics.get(self._name)
        if topic is None or partition >= len(topic.partitions):
            return LagSample(None, None)
        reference = topic.partitions[partition]
        size = await reference.bytes_between(offset, reference.high_watermark)
        return LagSample(size, await reference.timestamp_at(offset))
