"""What one may ask of the session store, and how much it weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from actors.device_session.journal import Change, Enqueue, OpenIncoming, QueuePage, Retain, SaveSession
from actors.records import TopicPartition
from actors.runtime.reply import Reply

# What a change weighs in memory beside the message that it carries.
_CHANGE_BYTES: Final = 200
_ASKED_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Write:
    """Keep these changes; the answer comes when all of them are on disk. `size` is what they weigh, in bytes."""

    changes: Sequence[Change]
    size: int
    reply: Reply[None] | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """From these offsets on the partitions' tails are to be read for open QoS 2 messages, and no earlier.

    `opened` are the open messages of which the store did not know everything. What was released before this does not
    stand above these offsets, and need not be remembered any more.
    """

    offsets: Mapping[TopicPartition, int]
    opened: Sequence[OpenIncoming]
    reply: Reply[None] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class ReadQueue:
    """Read a queue back (see `SessionJournal.read_queue`)."""

    session: str
    after: int
    limit_bytes: int
    reply: Reply[QueuePage] = field(default_factory=Reply)


SessionStoreMessage = Write | Checkpoint | ReadQueue


def weigh(message: SessionStoreMessage) -> int:
    """The weight of a message in bytes."""
    return message.size if isinstance(message, Write) else _ASKED_BYTES


def size_of(changes: Sequence[Change]) -> int:
    """What changes weigh in bytes: a message that stands in several that follow one another counts once."""
    size = _CHANGE_BYTES * len(changes)
    last = None
    for change in changes:
        if isinstance(change, Enqueue | Retain) and change.message is not last:
            last = change.message
            size += last.size
        elif isinstance(change, SaveSession) and change.will is not None:
            size += len(change.will.will.topic) + len(change.will.will.payload)
    return size
