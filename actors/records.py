"""The words that the stages share: records, where they stand, and what a fetch brings back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Header = tuple[str, bytes]

RESERVED_HEADERS = "penstock-"
"""What the names of the headers begin with that this program itself gives to records."""
ID_HEADER = "penstock-id"
"""A message's id, as its producer gave it."""
TAGS_HEADER = "penstock-tags"
"""A message's tags, as its producer gave them: one, or several with commas between them."""
QOS2_HEADER = "penstock-qos2"
"""Which QoS 2 message of which session a record is: `<incarnation>:<packet id>:<number>`."""


class TopicPartition(NamedTuple):
    """One partition of one topic; partitions are numbered from 0."""

    topic: str
    partition: int

    def __str__(self) -> str:
        """As Kafka names the folder of a partition."""
        return f"{self.topic}-{self.partition}"


class Record(NamedTuple):
    """One record on its way into a log.

    A plain tuple, because one is made for each report: `timestamp` is in milliseconds since the epoch, key and
    value are bytes as they will lie on disk.
    """

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[Header, ...] = ()


class StoredRecord(NamedTuple):
    """One record as it is read back from a log; its first four fields are those of Record."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[Header, ...]
    offset: int


class Confirmed(NamedTuple):
    """How far a group has come in a partition: everything below `offset` is done, and so are the ranges above it.

    Ranges are half-open (first, next), in order, apart from one another and from `offset`. Where records are done in
    their order, as a task's are, there are none. `failed` are offsets of records that were delivered and came back, in
    order, each with how often.
    """

    offset: int
    ranges: Sequence[tuple[int, int]] = ()
    failed: Sequence[tuple[int, int]] = ()
