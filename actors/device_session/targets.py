"""Where a session's records go, as it sees it: topics by name, each with its partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from actors.topic_partition.gate import Gate
from actors.topic_partition.messages import Append


class PartitionTarget(Protocol):
    """One partition of a topic."""

    def submit(self, message: Append) -> None:
        """Hand over an append without waiting; where the partition is full it stands in line.

        Raises:
            ActorGone: the partition has ended.
            CircuitOpenError: the topic's backlog policy refuses records now.
        """


class TopicTarget(Protocol):
    """One topic."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def gate(self) -> Gate:
        """What its backlog policy does with records, and counts of them."""

    @property
    def partitions(self) -> Sequence[PartitionTarget]:
        """Its partitions, in order."""

    @property
    def max_message_bytes(self) -> int:
        """The largest record that it takes: key and value together."""

    def partition_for(self, key: bytes | None) -> int:
        """Which partition takes a record with this key; those without a key are spread."""


class TopicLookup(Protocol):
    """All topics that exist now; `version` rises with each change of them or of their partitions."""

    @property
    def version(self) -> int:
        """Whatever was found out about topics may be kept until it changes."""

    def get(self, name: str) -> TopicTarget | None:
        """The topic of that name; None where there is none, or where it takes no records."""

    def route(self, name: str) -> TopicTarget | None:
        """The topic that takes the records of that one now: another one while its backlog policy diverts them."""
