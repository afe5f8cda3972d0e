"""What sessions write down before they promise it, and how they read their queues back.

The words of the session store, which keeps them; sessions know no more of it than this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from actors.device_session.delivery.message import Message
from actors.device_session.registry.sessions import ClientKey
from actors.records import TopicPartition
from actors.runtime.reply import Reply
from actors.wire.mqtt.packets import Will

PACKET_IDS = 65_535
"""How many packet ids there are: 1 to 65,535 (MQTT-2.3.1-1)."""


def packet_id_of(sequence: int) -> int:
    """The packet id of an outgoing message of QoS 1 or 2, which is the same however often it is sent [MQTT-4.4.0-1].

    Sequences of one session start at 1 and rise; those that are not done never span as many as there are packet ids.
    """
    return (sequence - 1) % PACKET_IDS + 1


# --- sessions ---------------------------------------------------------------------------------------------------------


class KeptWill(NamedTuple):
    """A will, and when it is to be published, in seconds since the epoch; None while its client has a connection."""

    will: Will
    due: float | None = None


class SaveSession(NamedTuple):
    """A session that is to outlive its connection, or what changed of it.

    `session` is its incarnation, `expiry` in seconds (0xFFFFFFFF: for good), `detached_at` in seconds since the epoch
    (None while it has a connection). `sent` is the highest sequence that may have been sent; None while that changes.
    """

    session: str
    key: ClientKey
    level: int
    expiry: int
    detached_at: float | None
    sent: int | None = None
    will: KeptWill | None = None


class DropSession(NamedTuple):
    """The session has ended: it goes, with its subscriptions, its queue and its open messages."""

    session: str


class SaveSubscription(NamedTuple):
    """A subscription, in place of the one with the same filter (a shared one with its `$share/...`).

    `retained_due`: its retained messages do not all stand in the queue yet.
    """

    session: str
    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    identifier: int | None
    retained_due: bool = False


class DropSubscription(NamedTuple):
    """A subscription has ended."""

    session: str
    filter: str


# --- what is to be delivered ------------------------------------------------------------------------------------------


class Enqueue(NamedTuple):
    """A message of QoS 1 or 2 (`qos`: that of the delivery) for a session; its packet id is `packet_id_of(sequence)`.

    One message for many sessions is the same object in each of their changes: its body is kept once.
    """

    session: str
    sequence: int
    qos: int
    retain: bool
    subscription_ids: tuple[int, ...]
    message: Message


class Received(NamedTuple):
    """The client has sent PUBREC for these: their bodies are not needed; PUBREL is sent until PUBCOMP comes."""

    session: str
    sequences: tuple[int, ...]


class Done(NamedTuple):
    """These are finished: acknowledged, refused by the client, expired, too large for it, or no more its right."""

    session: str
    sequences: tuple[int, ...]


class DropQueued(NamedTuple):
    """These were waiting and are dropped, because the queue has its limits: `first` to `last`, both included."""

    session: str
    first: int
    last: int


# --- retained messages ------------------------------------------------------------------------------------------------


class Retain(NamedTuple):
    """The retained message of its topic, in place of the one before."""

    message: Message


class Unretain(NamedTuple):
    """The topic has no retained message any more."""

    topic: str


# --- QoS 2 from the client --------------------------------------------------------------------------------------------


class OpenIncoming(NamedTuple):
    """A QoS 2 message of the client is taken and not released; written where no record in the log says so.

    `stored`: the partitions that have its record; `delivered`: whether it went to subscribers and was retained;
    `accepted`: all of it is done, and PUBREC has left or may leave. Of one message later ones know at least as much.
    """

    session: str
    packet_id: int
    number: int
    stored: tuple[TopicPartition, ...]
    delivered: bool
    accepted: bool = False


class Released(NamedTuple):
    """The client has released its QoS 2 message: PUBCOMP may leave once this is on disk."""

    session: str
    packet_id: int
    number: int


Change = (
    SaveSession
    | DropSession
    | SaveSubscription
    | DropSubscription
    | Enqueue
    | Received
    | Done
    | DropQueued
    | Retain
    | Unretain
    | OpenIncoming
    | Released
)


class Queued(NamedTuple):
    """One message of a queue on disk, as it was given to `Enqueue`."""

    sequence: int
    qos: int
    retain: bool
    subscription_ids: tuple[int, ...]
    message: Message


class QueuePage(NamedTuple):
    """Queued messages in the order of their sequences; `complete`: nothing stood behind them when it was read."""

    entries: tuple[Queued, ...]
    complete: bool


class SavedQueue(NamedTuple):
    """What is known of a session's queue when the daemon starts.

    `waiting`: (sequence, size of the message in bytes as `Message.size`) of each that is neither received nor done, in
    order; `received`: those that wait for PUBCOMP, in order; `last`: the highest sequence ever given out, or known.
    """

    waiting: Sequence[tuple[int, int]]
    received: Sequence[int]
    last: int


class SessionJournal(Protocol):
    """Where the promises of persistent sessions are kept.

    Everything is done, and answered, in the order in which it was handed over: a page that is read sees what was
    written before it was asked for. What is already done again when it would be written (an `Enqueue` with its `Done`)
    need not be written, but is answered like the rest.
    """

    def write(self, changes: Sequence[Change], reply: Reply[None] | None) -> None:
        """Hand over changes without waiting; `reply` is filled when all of them are on disk, or failed."""

    def read_queue(self, session: str, after: int, limit_bytes: int, reply: Reply[QueuePage]) -> None:
        """Read queued messages with sequences above `after`: about so many bytes (`Message.size`), at least one.

        Those that the client has received (`Received`) or that are done are left out.
        """


class ForgetfulJournal:
    """Keeps nothing and answers at once: for tests, and for those who have no sessions that outlive a connection."""

    def write(self, changes: Sequence[Change], reply: Reply[None] | None) -> None:  # noqa: ARG002 - it keeps nothing
        """Answer."""
        if reply is not None:
            reply.set(None)

    def read_queue(self, session: str, after: int, limit_bytes: int, reply: Reply[QueuePage]) -> None:  # noqa: ARG002 - likewise
        """Answer that nothing is there."""
        reply.set(QueuePage((), complete=True))
