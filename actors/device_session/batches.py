"""The records that one read of a session's socket brought, by the partition that is to store them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.records import Record, TopicPartition

if TYPE_CHECKING:
    from actors.device_session.incoming import OpenMessage
    from actors.device_session.paths import Route
    from actors.device_session.targets import PartitionTarget
    from actors.wire.mqtt.packets import Publish


class PartitionBatch:
    """Records for one partition, in the order in which they were published; `size` in bytes.

    `publishes` are the groups of packets that they come from (some of a group may have gone to other partitions), and
    `open` the QoS 2 messages among them.
    """

    __slots__ = ("open", "partition", "place", "publishes", "records", "size")

    def __init__(self, partition: PartitionTarget, place: TopicPartition, records: list[Record], size: int) -> None:
        self.partition = partition
        self.place = place
        self.records = records
        self.size = size
        self.publishes: list[Sequence[Publish]] = []
        self.open: list[OpenMessage] = []


class Batches:
    """By topic and partition number."""

    __slots__ = ("_batches",)

    def __init__(self) -> None:
        self._batches: dict[tuple[str, int], PartitionBatch] = {}

    def __len__(self) -> int:
        """How many partitions are to store something."""
        return len(self._batches)

    def all(self) -> list[PartitionBatch]:
        """Each of them."""
        return list(self._batches.values())

    @property
    def size(self) -> int:
        """What all records weigh, in bytes."""
        return sum(batch.size for batch in self._batches.values())

    def add(self, route: Route, number: int, records: list[Record], size: int) -> PartitionBatch:
        """Put records (a list of the caller's making) behind those that are there for this partition."""
        target = route.topic
        assert target is not None  # noqa: S101 - the caller asked
        if route.diverted is not None:
            route.diverted.diverted += len(records)
        batch = self._batches.get((target.name, number))
        if batch is None:
            place = TopicPartition(target.name, number)
            batch = self._batches[place] = PartitionBatch(target.partitions[number], place, records, size)
        else:
            batch.records += records
            batch.size += size
        return batch
