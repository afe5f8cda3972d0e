"""What becomes of one read of a session's socket, while it is being decided, and when it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.device_session.delivery.fan_out import FanOut
from actors.device_session.intake import answers as words
from actors.records import Record, TopicPartition
from actors.runtime.reply import Reply
from actors.topic_partition.messages import Append
from actors.wire.mqtt.reasons import FAILURE

if TYPE_CHECKING:
    from actors.device_session.delivery.receiving import Receiver
    from actors.device_session.errors import ProtocolViolationError
    from actors.device_session.intake.conditions import Conditions, Doubt
    from actors.device_session.intake.incoming import OpenMessage
    from actors.device_session.intake.paths import Route
    from actors.device_session.targets import PartitionTarget
    from actors.wire.mqtt.packets import Publish


class PartitionBatch:
    """Records for one partition, in the order in which they were published; `size` in bytes.

    `publishes` are the groups of packets that they come from (some of a group may have gone to other partitions), and
    `open` the QoS 2 messages among them, if there are any. `doubts` are the records about which a function is to be
    asked before.
    """

    __slots__ = ("doubts", "open", "partition", "place", "publishes", "records", "size")

    def __init__(self, partition: PartitionTarget, place: TopicPartition, records: list[Record], size: int) -> None:
        self.partition = partition
        self.place = place
        self.records = records
        self.size = size
        self.publishes: list[Sequence[Publish]] = []
        self.open: list[OpenMessage] = []
        self.doubts: list[Doubt] = []

    def hand_over(self, reply: Reply[int], conditions: Conditions) -> None:
        """Have it stored, or what is left of it once it is decided; `reply` has the answer then.

        Raises:
            PenstockError: it is not taken.
        """
        append = Append(self.records, self.size, reply)
        if self.doubts:
            conditions.submit(self.place, self.partition, append, self.doubts)
        else:
            self.partition.submit(append)


class Intake(NamedTuple):
    """What one read became: what to answer once everything in `batches` is stored and all of `replies` are there.

    `size` is what it weighs until then, in bytes. `new` of the messages with an answer had not come before. `crowded`
    are subscribers who get more than they take. `violation` is why the connection must be closed after it, if so.
    """

    answers: list[int]
    batches: Collection[PartitionBatch]
    replies: list[Reply[Any]]
    size: int
    new: int
    crowded: Sequence[Receiver]
    violation: ProtocolViolationError | None


class Special:
    """What is to be known of a read with messages that are retained, have properties, or are of QoS 2."""

    __slots__ = ("delivered", "open", "repeated")

    def __init__(self) -> None:
        self.open: dict[int, OpenMessage] = {}
        """By packet id, the QoS 2 messages of this read."""
        self.delivered: list[OpenMessage] = []
        """Those of them that were given to subscribers now."""
        self.repeated = 0
        """How many of the answers are to repetitions."""


class Reading:
    """The work sheet of one read; what most reads do not need is None until it is made."""

    __slots__ = ("_reasons", "answers", "batches", "fan_out", "replies", "size", "special")

    def __init__(self) -> None:
        self.answers: list[int] = []
        """What to answer, in the order of the packets."""
        self.batches: dict[TopicPartition, PartitionBatch] = {}
        """What is to be stored."""
        self.replies: list[Reply[Any]] = []
        """What else is to be waited for: what repetitions find under way, and the journal."""
        self.size = 0
        """What all records weigh, in bytes."""
        self.fan_out: FanOut | None = None
        """What is given to subscribers and retained."""
        self.special: Special | None = None
        """What is not plain."""
        self._reasons: dict[int, int] | None = None

    def add(self, route: Route, place: TopicPartition, records: list[Record], size: int) -> PartitionBatch:
        """Put records (a list of the caller's making) behind those that are there for this partition."""
        self.size += size
        if route.diverted is not None:
            route.diverted.diverted += len(records)
        batch = self.batches.get(place)
        if batch is None:
            assert route.topic is not None  # noqa: S101 - the caller asked
            partition = route.topic.partitions[place.partition]
            batch = self.batches[place] = PartitionBatch(partition, place, records, size)
        else:
            batch.records += records
            batch.size += size
        return batch

    def made_special(self) -> Special:
        """What is not plain, made where it is missing."""
        if self.special is None:
            self.special = Special()
        return self.special

    def giving(self) -> FanOut:
        """What gives messages to subscribers, made where it is missing."""
        if self.fan_out is None:
            self.fan_out = FanOut()
        return self.fan_out

    def message_of(self, publish: Publish) -> OpenMessage | None:
        """The open message that a PUBLISH of this read belongs to; None below QoS 2."""
        return self.special.open.get(publish.packet_id) if self.special is not None else None

    def refuse(self, publishes: Sequence[Publish], reason: int) -> None:
        """Answer these with a reason; those of QoS 0 are not answered."""
        reasons = self._reasons
        if reasons is None:
            reasons = self._reasons = {}
        for publish in publishes:
            if publish.packet_id:
                reasons[publish.packet_id] = reason

    def is_refused(self, packet_id: int) -> bool:
        """Whether what has this packet id was not taken."""
        return self._reasons is not None and self._reasons.get(packet_id, 0) >= FAILURE

    def said(self) -> list[int]:
        """The answers, each with its reason."""
        reasons = self._reasons
        if reasons is None:
            return self.answers
        return [
            words.refused(answer, reasons[packet_id])
            if (packet_id := words.packet_id_of(answer)) in reasons
            else answer
            for answer in self.answers
        ]
