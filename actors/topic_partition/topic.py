"""Topics as those who write and read them see them: a name, and partitions by number."""

from __future__ import annotations

from collections.abc import Iterator

from actors.records import TopicPartition
from actors.runtime.mailbox import Mailbox
from actors.topic_partition.gate import Gate, GateState
from actors.topic_partition.mask import mask_for
from actors.topic_partition.messages import PartitionMessage, weigh
from actors.topic_partition.partitioner import partition_for_key
from actors.topic_partition.reference import PartitionReference
from config.resources import Mask


class TopicReference:
    """A topic; `partitions` is indexed by number, `app` owns it, `divert_to` is where its backlog policy leads records.

    An entry is replaced in place when a partition's actor is started anew: look it up per batch. Before its actor has
    opened for the first time, an entry answers everything with ActorGone.
    """

    def __init__(self, name: str, partitions: int, max_message_bytes: int) -> None:
        self.name = name
        self.max_message_bytes = max_message_bytes
        self.app = ""
        self.mask: Mask | None = None
        self.divert_to: str | None = None
        self.gate = Gate(name)
        self.partitions: list[PartitionReference] = []
        self._in_use = partitions
        self._next = -1
        self.grow(partitions)

    def grow(self, partitions: int) -> None:
        """Have so many partitions, there are never fewer; new ones get no records before `use_all`."""
        for number in range(len(self.partitions), partitions):
            self.partitions.append(_unopened(TopicPartition(self.name, number), self.gate))

    def use_all(self) -> None:
        """The partitions that `grow` added have opened: spread records over all of them."""
        self._in_use = len(self.partitions)

    def mask_for(self, app: str | None) -> Mask | None:
        """What an app that reads must not see (see `actors.topic_partition.mask.mask_for`)."""
        return mask_for(app, self.app, self.mask)

    def partition_for(self, key: bytes | None) -> int:
        """The partition of a key, as Kafka's default partitioner finds it; records without a key go round."""
        if key is None:
            self._next = (self._next + 1) % self._in_use
            return self._next
        return partition_for_key(key, self._in_use)


class Topics:
    """All topics by name. `version` rises at each change, so that plans made from them can be kept until then."""

    def __init__(self) -> None:
        self.version = 0
        self._topics: dict[str, TopicReference] = {}

    def __iter__(self) -> Iterator[TopicReference]:
        return iter(tuple(self._topics.values()))

    def get(self, name: str) -> TopicReference | None:
        """The topic of a name, or None."""
        return self._topics.get(name)

    def route(self, name: str) -> TopicReference | None:
        """The topic that takes what producers bring for `name` now: itself, or where its policy diverts it to.

        Records that end up elsewhere carry the header `ORIGIN_HEADER` with the name of the topic they were meant for.
        What was found may be kept until `version` changes. A topic that is diverted to one that is not there stays.
        """
        topic = self._topics.get(name)
        if topic is None or topic.gate.state is not GateState.DIVERTED or topic.gate.divert_to is None:
            return topic
        return self._topics.get(topic.gate.divert_to, topic)

    def add(self, topic: TopicReference) -> None:
        """Make a topic known, in place of one of the same name."""
        self._topics[topic.name] = topic
        self.version += 1

    def remove(self, name: str) -> None:
        """Forget a topic; one that is not known is forgotten already."""
        if self._topics.pop(name, None) is not None:
            self.version += 1

    def changed(self) -> None:
        """Say that a known topic is not what it was: more partitions, another size limit, diverted or no more."""
        self.version += 1


def _unopened(partition: TopicPartition, gate: Gate) -> PartitionReference:
    mailbox: Mailbox[PartitionMessage] = Mailbox(str(partition), 1, weigh)
    mailbox.close()
    return PartitionReference(partition, mailbox, gate=gate)
