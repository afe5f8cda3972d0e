"""Topics: one actor for each partition, which owns its files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio

from actors.errors import ActorGone, PenstockError, StorageError
from actors.log.backup import copy_partition
from actors.log.folders import delete_records, partitions_in
from actors.log.space import SpaceReserves
from actors.records import TopicPartition
from actors.runtime.child import ChildSpec
from actors.runtime.supervisor import Supervisor
from actors.topic_partition.actor import PartitionActor
from actors.topic_partition.messages import Configure
from actors.topic_partition.reference import PartitionStatistics
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Topic
from config.resources.identity import Identity
from config.settings import LogSettings
from daemon.catalog.catalog import Catalog
from daemon.engine import Change

FOLDER = "topics"
# A partition that drains writes at most a mailbox and syncs it; a disk that takes longer than this has stopped.
_DRAIN_SECONDS = 10.0


class TopicStage:
    """Makes partitions follow topics; their files lie in `topics/<topic>-<n>/` of the data folder."""

    kinds = ("topic",)

    def __init__(self, topics: Topics, catalog: Catalog, settings: LogSettings, data: Path) -> None:
        self._topics = topics
        self._catalog = catalog
        self._settings = settings
        self._folder = data / FOLDER
        self._reserves = SpaceReserves(settings.reserve_bytes, settings.reserve_percent)
        self._supervisor: Supervisor | None = None

    def supervisor(self) -> Supervisor:
        """A fresh supervisor of every partition that the catalog knows."""
        specs = [spec for stored in self._catalog.of_kind("topic") for spec in self._adopt(stored.resource.name)]
        self._supervisor = Supervisor("partitions", specs)
        return self._supervisor

    async def follow(self, change: Change) -> None:
        """Add, reconfigure or remove partitions; those whose topic did not change run on."""
        if self._supervisor is None:
            return  # it will be built from the catalog as it is now
        match change.after:
            case Topic() as topic:
                await self._put(self._supervisor, topic)
            case _:
                await self._remove(self._supervisor, change.identity.name)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """Offsets, bytes and pressure of each partition, and their sums."""
        topic = self._topics.get(identity.name)
        if topic is None:
            return {}
        partitions = [partition.statistics() for partition in topic.partitions]
        reason = "; ".join(dict.fromkeys(self._reasons(topic, partitions)))
        is_running = all(one.alive and not one.fault for one in partitions)
        return {
            "state": "running" if is_running else "failed" if reason else "starting",
            "reason": reason,
            "messages": sum(one.high_watermark - one.start_offset for one in partitions),
            "bytes": sum(one.size for one in partitions),
            "partitions": [asdict(one) for one in partitions],
        }

    async def delete_data(self, name: str) -> bool:
        """Delete all that a topic holds that is no longer a resource; False where it has no files.

        Raises:
            StorageError: as the disk says.
        """
        if self._topics.get(name) is not None:
            raise PenstockError(f"topic {name} is in use: delete the topic first")
        return await trio.to_thread.run_sync(_delete_records, self._folder, name)

    async def backup(self, folder: Path) -> int:
        """Copy every partition up to its high watermark while appends go on; returns the bytes.

        Raises:
            StorageError: a partition cannot be read or copied: names it.
        """
        copied = 0
        for topic in self._topics:
            for partition in topic.partitions:
                name = str(partition.partition)
                try:
                    end = partition.high_watermark
                except ActorGone as error:
                    raise StorageError(
                        f"{name} has not opened, and so cannot be copied; see topic {topic.name}"
                    ) from error
                source, target = self._folder / name, folder / FOLDER / name
                copied += await trio.to_thread.run_sync(copy_partition, source, target, end)
        return copied

    async def _put(self, supervisor: Supervisor, topic: Topic) -> None:
        reference = self._topics.get(topic.name)
        if reference is None:
            for spec in self._adopt(topic.name):
                await supervisor.add(spec)
            return
        present = len(reference.partitions)
        _configure(reference, topic)
        for partition in reference.partitions:
            with suppress(ActorGone):  # its next life begins with the topic as it is now
                partition.submit(Configure(topic))
        reference.grow(topic.partitions)
        for number in range(present, topic.partitions):
            await supervisor.add(self._spec(reference, number))
        reference.use_all()
        self._topics.changed()

    async def _remove(self, supervisor: Supervisor, name: str) -> None:
        reference = self._topics.get(name)
        # Forgotten first: sessions plan anew and leave a topic alone that is about to end.
        self._topics.remove(name)
        async with trio.open_nursery() as nursery:
            for partition in reference.partitions if reference is not None else ():
                nursery.start_soon(supervisor.remove, str(partition.partition))

    def _adopt(self, name: str) -> list[ChildSpec]:
        topic = self._config(name)
        reference = TopicReference(topic.name, topic.partitions, topic.max_message_bytes)
        _configure(reference, topic)
        self._topics.add(reference)
        return [self._spec(reference, number) for number in range(topic.partitions)]

    def _spec(self, reference: TopicReference, number: int) -> ChildSpec:
        name = str(TopicPartition(reference.name, number))

        def start() -> PartitionActor:
            config = self._config(reference.name)
            folder = self._folder / name
            return PartitionActor(
                reference, number, folder=folder, config=config, settings=self._settings, reserves=self._reserves
            )

        return ChildSpec(name, start, shutdown=_DRAIN_SECONDS, resource=True)

    def _config(self, name: str) -> Topic:
        stored = self._catalog.get(Identity("topic", name))
        if stored is None or not isinstance(stored.resource, Topic):
            raise PenstockError(f"there is no topic {name}")
        return stored.resource

    def _reasons(self, topic: TopicReference, partitions: list[PartitionStatistics]) -> list[str]:
        names = [str(partition.partition) for partition in topic.partitions]
        children = [self._supervisor.status(name) for name in names] if self._supervisor is not None else []
        failures = [child.reason for child in children if child is not None and child.reason]
        return failures + [one.fault for one in partitions if one.fault]


def _configure(reference: TopicReference, topic: Topic) -> None:
    reference.max_message_bytes = topic.max_message_bytes
    reference.app, reference.mask = topic.app, topic.mask
    reference.divert_to = topic.backlog.divert_to if topic.backlog is not None else None


def _delete_records(folder: Path, topic: str) -> bool:
    mine = [partition for partition in partitions_in(folder) if partition.topic == topic]
    return sum(delete_records(folder / str(partition)) for partition in mine) > 0
