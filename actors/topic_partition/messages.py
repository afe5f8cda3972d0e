"""What one may ask of a topic partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from actors.log.retention import Keep
from actors.records import Record
from actors.runtime.reply import Reply
from config.resources import Topic

Sender = Literal["mqtt", "http", "dead_letters", "homecoming", "replay"]
"""Who appends: devices and apps over MQTT, producers over HTTP, or a part of the daemon itself."""


@dataclass(frozen=True, slots=True)
class Append:
    """Store these records, in this order, next to one another.

    `size` is the sum of their keys and values in bytes and is the message's weight in the mailbox. The answer is the
    offset of the first one, and comes after the commit (`sync: true`: after fdatasync). What its sender withdraws
    before the commit has begun is not stored. `sender` is for whoever looks where it is held up.
    """

    records: Sequence[Record]
    size: int
    reply: Reply[int] = field(default_factory=Reply)
    sender: Sender = "mqtt"


@dataclass(frozen=True, slots=True)
class Roll:
    """Begin a new segment, so that the present one can be copied or expire; answers with the segment's base offset."""

    reply: Reply[int] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Retain:
    """Delete the segments that the topic's retention no longer keeps; answers with how many went."""

    reply: Reply[int] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What a Trim deleted: whole segments, the records in them, and how many of those were not read by every group."""

    segments: int = 0
    records: int = 0
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Trim:
    """Bring retention forward: delete the oldest whole segments that hold nothing of what is to be kept.

    `consumed` is the offset that the slowest group reads next: what is deleted from there on was never read.
    """

    keep: Keep
    consumed: int
    reply: Reply[Trimmed] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Configure:
    """Use these settings of the topic from now on; answers once they are in use."""

    topic: Topic
    reply: Reply[None] = field(default_factory=Reply)


PartitionMessage = Append | Roll | Retain | Trim | Configure


def weigh(message: PartitionMessage) -> int:
    """The weight of a message in bytes; those without records weigh a token byte."""
    return message.size if isinstance(message, Append) else 1


def sender_of(message: PartitionMessage) -> str:
    """Who appends; empty for what is no append."""
    return message.sender if isinstance(message, Append) else ""
