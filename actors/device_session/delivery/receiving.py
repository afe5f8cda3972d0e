"""The receiving side of one session: what it has subscribed to, and what is delivered to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from actors.device_session.delivery.audience import Terms
from actors.device_session.delivery.granted import Answer, Granted
from actors.device_session.delivery.sending import Sender
from actors.device_session.journal import SavedQueue, SaveSubscription
from actors.wire.mqtt.packets import Subscribe
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.delivery.fan_out import FanOut, Feeding
    from actors.device_session.delivery.message import Delivery
    from actors.device_session.registry.state import Link, SessionState


class _Watched(NamedTuple):
    """The progress of a session for which something waits, since when it is that, and whether that is too long."""

    progress: int
    since: float
    is_overdue: bool = False


class Receiver:
    """What one session receives, with and without a connection; a `Subscriber` of `broker.subscriptions`.

    Made when a session first subscribes (or is restored), and used like that:

    - `attach(link)` for each connection, before anything else; `detach()` when the connection ends and the session
      stays; `close()` when the session ends.
    - `subscribe(packet)`, `unsubscribe(filters)`: the answer leaves once its `changes` are in the journal.
    - `acknowledged`, `received`, `completed` for PUBACK, PUBREC, PUBCOMP; `received` may return an answer.
    - `collect()` brings what may leave now, in pieces; `link.wake` is called when there is something.
    - `is_stalled(now)`: it is to be disconnected with QUOTA_EXCEEDED.
    """

    __slots__ = (
        "_broker",
        "_durable",
        "_feeders",
        "_granted",
        "_sender",
        "_state",
        "_watched",
        "is_crowded",
    )

    def __init__(self, broker: Broker, state: SessionState) -> None:
        self._broker = broker
        self._state = state
        # A session that is resumed and said to end with this connection still has its queue on disk.
        self._durable = state.is_persistent
        self._granted = Granted(broker, state, self, durable=self._durable)
        # Made when they are first needed: most sessions need none of them.
        self._sender: Sender | None = None
        self._feeders: set[Feeding] | None = None
        self._watched: _Watched | None = None
        self.is_crowded = False
        """Whether those who feed it with QoS 1 and 2 are to be held."""

    def restore(self, subscriptions: Sequence[SaveSubscription], queue: SavedQueue, sent: int | None = None) -> None:
        """What the session had when the daemon ended, see `SaveSession`; to be called before it is attached."""
        self._granted.restore(subscriptions)
        if queue.last:
            self._made_sender().restore(queue, sent)

    # --- the connection -----------------------------------------------------------------------------------------------

    def attach(self, link: Link) -> None:
        """The session has a connection: what waits for it is sent, what was under way is sent again."""
        # Rights may have changed while nobody was there, also while the daemon was down.
        self.recheck()
        self._state.link = link
        if self._sender is not None:
            self._sender.attach()
            link.wake()

    def detach(self) -> None:
        """The connection has ended, and the session stays: what comes for it from now on is queued."""
        if self._sender is not None:
            self._sender.detach()
        self._state.link = None
        self._relieve()

    def close(self) -> None:
        """The session ends, with all its subscriptions; nothing is written of that."""
        self._granted.clear()
        self._state.link = None
        self._relieve()

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def subscribe(self, packet: Subscribe, maximum_qos: int = 2) -> Answer:
        """Subscribe to each filter, and have its retained messages sent; QoS is granted up to `maximum_qos`."""
        answer = self._granted.subscribe(packet, maximum_qos)
        if self._granted.has_retained and self._state.link is not None:
            self._state.link.wake()
        return answer

    def unsubscribe(self, filters: Sequence[str]) -> Answer:
        """Deliver nothing more for these filters; what waits already is still sent (MQTT-3.10.4-3, MQTT5-3.10.4-3)."""
        return self._granted.unsubscribe(filters)

    def recheck(self) -> None:
        """Give up what the client has no right to any more: subscriptions, and what waits."""
        rights = self._granted.rights
        changes = self._granted.recheck(rights)
        if self._sender is not None:
            self._sender.recheck(rights.may_receive)
            if self.is_crowded and not self._sender.is_crowded:
                self._relieve()
        if changes:
            self._broker.journal.write(changes, None)

    # --- deliveries ---------------------------------------------------------------------------------------------------

    @property
    def subscriptions(self) -> Mapping[str, Terms]:
        """Its filters, each with the terms on which it was granted."""
        return self._granted.terms

    @property
    def queued(self) -> tuple[int, int]:
        """How many messages of QoS 1 and 2 wait that were never sent, and their bytes (`Message.size`)."""
        return self._sender.queued if self._sender is not None else (0, 0)

    @property
    def sent(self) -> int:
        """The highest sequence of QoS 1 and 2 that may have been sent; 0 where none is written down."""
        return self._sender.sent if self._sender is not None else 0

    @property
    def is_connected(self) -> bool:
        """Whether what is delivered now can leave."""
        return self._state.link is not None

    @property
    def has_room(self) -> bool:
        """Whether it is connected, and keeps up with what it gets."""
        return self._state.link is not None and (self._sender is None or self._sender.has_room)

    def may_receive(self, topic: str) -> bool:
        """Whether it has a right to messages of this topic, as things stand now."""
        return self._granted.rights.may_receive(topic)

    def deliver(self, at_most_once: Sequence[Delivery], otherwise: Sequence[Delivery], fan_out: FanOut) -> None:
        """Take deliveries without waiting."""
        sender = self._sender or self._made_sender()
        link = self._state.link
        if otherwise:
            before = sender.last
            fan_out.refused += sender.offer(at_most_once, otherwise, fan_out.changes)
            if sender.last != before:
                fan_out.queued(sender, before + 1)
            if sender.is_crowded and link is not None:
                self._crowd(sender, link, fan_out)
        elif link is not None:
            sender.offer(at_most_once, (), fan_out.changes)
        if link is not None:
            link.wake()

    def collect(self) -> list[bytes]:
        """What may leave now, in pieces of packets, about one write's worth."""
        link = self._state.link
        if link is None:
            return []
        if self._granted.has_retained:
            self._granted.fill(self._made_sender())
        if self._sender is None:
            return []
        pieces = self._sender.collect(link)
        if self._granted.has_retained and self._sender.has_room:
            # Also where nothing left, because all of it was too large for the client, or nothing was found.
            link.wake()
        if self.is_crowded and not self._sender.is_crowded:
            self._relieve()
        return pieces

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK came; a stray one does no harm."""
        if self._sender is not None:
            self._sender.acknowledged(packet_id)

    def received(self, packet_id: int, reason: int = 0) -> bytes:
        """PUBREC came; returns what is to be answered at once."""
        return self._made_sender().received(packet_id, reason)

    def completed(self, packet_id: int) -> None:
        """PUBCOMP came; a stray one does no harm."""
        if self._sender is not None:
            self._sender.completed(packet_id)

    # --- those who feed it --------------------------------------------------------------------------------------------

    def fed_by(self, feeding: Feeding) -> None:
        """Somebody is held until this subscriber is not crowded any more."""
        if self._feeders is None:
            self._feeders = set()
        self._feeders.add(feeding)

    def not_fed_by(self, feeding: Feeding) -> None:
        """Somebody is not held for it any more."""
        if self._feeders is not None:
            self._feeders.discard(feeding)

    def is_stalled(self, now: float) -> bool:
        """Whether it is crowded and has taken nothing for longer than slow subscribers may.

        To be asked now and then, with the time in seconds: it notices progress from one time to the next.
        """
        sender = self._sender
        if sender is None or not sender.is_waiting:
            self._watched = None
            return False
        if self._watched is None or self._watched.progress != sender.progress:
            self._watched = _Watched(sender.progress, now)
        elif now - self._watched.since >= self._broker.settings.slow_subscriber_timeout:
            self._watched = self._watched._replace(is_overdue=True)
        return self.is_crowded and self._watched.is_overdue

    def _crowd(self, sender: Sender, link: Link, fan_out: FanOut) -> None:
        """More waits than there should be: its feeders are to be held, unless it has stood still for long already."""
        watched = self._watched
        if watched is not None and watched.is_overdue and watched.progress == sender.progress:
            self._broker.counters.slow_subscribers += not self.is_crowded
            link.close(Reason.QUOTA_EXCEEDED, "the client takes nothing of what it subscribed to")
        self.is_crowded = True
        fan_out.crowded.append(self)

    def _relieve(self) -> None:
        self.is_crowded = False
        feeders, self._feeders = self._feeders, None
        for feeding in feeders or ():
            feeding.relieved(self)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _made_sender(self) -> Sender:
        if self._sender is None:
            self._sender = Sender(self._broker, self._state, durable=self._durable)
            if self._state.link is not None:
                self._sender.attach()
        return self._sender
