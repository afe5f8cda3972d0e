"""What becomes of one read of a session's socket, while it is being decided, and when it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.device_session import answers as words
from actors.device_session.batches import Batches, PartitionBatch
from actors.device_session.fan_out import FanOut
from actors.runtime.reply import Reply

if TYPE_CHECKING:
    from actors.device_session.errors import ProtocolViolationError
    from actors.device_session.incoming import OpenMessage
    from actors.device_session.receiving import Receiver
    from actors.wire.mqtt.packets import Publish


class Intake(NamedTuple):
    """What one read became: what to answer once everything in `batches` is stored and all of `replies` are there.

    `size` is what it weighs until then, in bytes. `new` of the messages with an answer had not come before. `crowded`
    are subscribers who get more than they take. `violation` is why the connection must be closed after it, if so.
    """

    answers: list[int]
    batches: Sequence[PartitionBatch]
    replies: list[Reply[Any]]
    size: int
    new: int
    crowded: Sequence[Receiver]
    violation: ProtocolViolationError | None


class Reading:
    """The work sheet of one read."""

    __slots__ = ("answers", "batches", "delivered", "fan_out", "open", "reasons", "repeated", "replies", "special")

    def __init__(self) -> None:
        self.answers: list[int] = []
        """What to answer, in the order of the packets; success all of it, but for `reasons`."""
        self.reasons: dict[int, int] = {}
        """By packet id, the reason code of those that are answered with another one than success."""
        self.batches = Batches()
        self.replies: list[Reply[Any]] = []
        """What else is to be waited for: what repetitions find under way."""
        self.fan_out: FanOut | None = None
        """What is given to subscribers and retained, if anything is."""
        self.open: dict[int, OpenMessage] = {}
        """By packet id, the QoS 2 messages of this read."""
        self.delivered: list[OpenMessage] = []
        """Those of them that were given to subscribers now."""
        self.special = False
        """Whether there is a message among them that is retained, has properties, or is of QoS 2."""
        self.repeated = 0
        """How many of the answers are to repetitions."""

    def giving(self) -> FanOut:
        """What gives messages to subscribers, made where it is missing."""
        if self.fan_out is None:
            self.fan_out = FanOut()
        return self.fan_out

    def message_of(self, publish: Publish) -> OpenMessage | None:
        """The open message that a PUBLISH of this read belongs to; None below QoS 2."""
        return self.open.get(publish.packet_id) if self.open else None

    def refuse(self, publishes: Sequence[Publish], reason: int) -> None:
        """Answer these with a reason; those of QoS 0 are not answered."""
        for publish in publishes:
            if publish.packet_id:
                self.reasons[publish.packet_id] = reason

    def said(self) -> list[int]:
        """The answers, each with its reason."""
        reasons = self.reasons
        if not reasons:
            return self.answers
        return [
            words.refused(answer, reasons[packet_id])
            if (packet_id := words.packet_id_of(answer)) in reasons
            else answer
            for answer in self.answers
        ]
