"""The receiving side of one session: what it has subscribed to, and what is delivered to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.device_session.delivery.audience import Terms
from actors.device_session.delivery.retained_due import RetainedDue, saved_subscription
from actors.device_session.delivery.sending import Sender
from actors.device_session.journal import Change, DropSubscription, SavedQueue, SaveSubscription
from actors.directory.rights import Rights
from actors.wire.mqtt.packets import Subscribe, Subscription
from actors.wire.mqtt.reasons import FAILURE, Reason
from actors.wire.mqtt.topics import SHARED_PREFIX, shared

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.delivery.fan_out import FanOut, Feeding
    from actors.device_session.delivery.message import Delivery
    from actors.device_session.registry.state import Link, SessionState

_FILTER_SHOWN: Final = 200
# Retain handling (MQTT 5, 3.8.3.1): send retained messages only for a new subscription; never.
_ONLY_NEW: Final = 1
_NEVER: Final = 2


class Answer(NamedTuple):
    """The reasons for SUBACK or UNSUBACK, one for each filter in order; it leaves once `changes` are on disk."""

    reasons: list[Reason]
    changes: list[Change]


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
        "_retained",
        "_sender",
        "_state",
        "_terms",
        "_watched",
        "is_crowded",
    )

    def __init__(self, broker: Broker, state: SessionState) -> None:
        self._broker = broker
        self._state = state
        # A session that is resumed and said to end with this connection still has its queue on disk.
        self._durable = state.is_persistent
        self._terms: dict[str, Terms] = {}
        # Made when they are first needed: most sessions need none of them.
        self._sender: Sender | None = None
        self._retained: RetainedDue | None = None
        self._feeders: set[Feeding] | None = None
        self._watched: _Watched | None = None
        self.is_crowded = False
        """Whether those who feed it with QoS 1 and 2 are to be held."""

    def restore(self, subscriptions: Sequence[SaveSubscription], queue: SavedQueue, sent: int | None = None) -> None:
        """What the session had when the daemon ended, see `SaveSession`; to be called before it is attached.

        Retained messages that were not all queued by then are sent from the first one on.
        """
        for saved in subscriptions:
            ids = () if saved.identifier is None else (saved.identifier,)
            terms = Terms(saved.qos, saved.no_local, saved.retain_as_published, ids)
            self._put(saved.filter, terms, self._rights())
            if saved.retained_due:
                self._send_retained(saved.filter, terms)
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
        for topic_filter in self._terms:
            self._broker.subscriptions.remove(topic_filter, self)
        self._terms.clear()
        self._retained = None
        self._state.link = None
        self._relieve()

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def subscribe(self, packet: Subscribe, maximum_qos: int = 2) -> Answer:
        """Subscribe to each filter, and have its retained messages sent; QoS is granted up to `maximum_qos`."""
        ids = () if packet.identifier is None else (packet.identifier,)
        answer = Answer([], [])
        rights = self._rights()
        for subscription in packet.subscriptions:
            answer.reasons.append(self._subscribe(subscription, ids, maximum_qos, rights, answer.changes))
        refused = [
            s.filter for s, reason in zip(packet.subscriptions, answer.reasons, strict=True) if reason >= FAILURE
        ]
        if refused:
            self._tell("Subscription refused: not valid, no right to it, or mqtt.max_subscriptions reached", refused)
        if self._retained and self._state.link is not None:
            self._state.link.wake()
        return answer

    def unsubscribe(self, filters: Sequence[str]) -> Answer:
        """Deliver nothing more for these filters; what waits already is still sent (MQTT-3.10.4-3, MQTT5-3.10.4-3)."""
        answer = Answer([], [])
        for topic_filter in filters:
            answer.reasons.append(self._unsubscribe(topic_filter, answer.changes))
        return answer

    def recheck(self) -> None:
        """Give up what the client has no right to any more: subscriptions, and what waits."""
        rights, changes = self._rights(), list[Change]()
        lost: list[str] = []
        for topic_filter, terms in tuple(self._terms.items()):
            if not rights.may_subscribe(topic_filter):
                lost.append(topic_filter)
                self._unsubscribe(topic_filter, changes)
            elif terms.partly != rights.may_refuse_part_of(topic_filter):
                self._put(topic_filter, terms, rights)
        if lost:
            self._tell("Subscription ended: the client has no right to it any more", lost)
        if self._sender is not None:
            self._sender.recheck(rights.may_receive)
            if self.is_crowded and not self._sender.is_crowded:
                self._relieve()
        if changes:
            self._broker.journal.write(changes, None)

    def _subscribe(
        self, subscription: Subscription, ids: tuple[int, ...], maximum_qos: int, rights: Rights, changes: list[Change]
    ) -> Reason:
        topic_filter, wanted, no_local, retain_as_published, retain_handling = subscription
        in_group = topic_filter.startswith(SHARED_PREFIX)
        if in_group and shared(topic_filter) is None:
            return Reason.TOPIC_FILTER_INVALID
        is_new = topic_filter not in self._terms
        if is_new and len(self._terms) >= self._broker.settings.max_subscriptions:
            return Reason.QUOTA_EXCEEDED
        if not rights.may_subscribe(topic_filter):
            return Reason.NOT_AUTHORIZED
        terms = Terms(min(wanted, maximum_qos), no_local, retain_as_published, ids)
        self._put(topic_filter, terms, rights)
        wants_retained = not in_group and retain_handling != _NEVER and (is_new or retain_handling != _ONLY_NEW)
        retained_due = wants_retained and self._send_retained(topic_filter, terms)
        if self._durable:
            changes.append(saved_subscription(self._state, topic_filter, terms, retained_due=retained_due))
        return Reason(terms.qos)

    def _send_retained(self, topic_filter: str, terms: Terms) -> bool:
        """Have the retained messages of a subscription sent, from the first one on; False where there are none."""
        if not len(self._broker.retained):
            return False
        if self._retained is None:
            self._retained = RetainedDue(self._broker, self._state, self._terms, durable=self._durable)
        self._retained.add(topic_filter, terms)
        return True

    def _put(self, topic_filter: str, terms: Terms, rights: Rights) -> None:
        terms = terms._replace(partly=rights.may_refuse_part_of(topic_filter))
        self._terms[topic_filter] = terms
        self._broker.subscriptions.add(topic_filter, self, terms)

    def _unsubscribe(self, topic_filter: str, changes: list[Change]) -> Reason:
        if self._terms.pop(topic_filter, None) is None:
            return Reason.NO_SUBSCRIPTION_EXISTED
        self._broker.subscriptions.remove(topic_filter, self)
        if self._retained:
            self._retained.forget(topic_filter)
        if self._durable:
            changes.append(DropSubscription(self._state.incarnation, topic_filter))
        return Reason.SUCCESS

    # --- deliveries ---------------------------------------------------------------------------------------------------

    @property
    def subscriptions(self) -> Mapping[str, Terms]:
        """Its filters, each with the terms on which it was granted."""
        return self._terms

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
        return self._rights().may_receive(topic)

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
        if self._retained:
            self._retained.fill(self._made_sender())
        if self._sender is None:
            return []
        pieces = self._sender.collect(link)
        if self._retained and self._sender.has_room:
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

    def _rights(self) -> Rights:
        return self._broker.directory.rights(self._state.identity)

    def _made_sender(self) -> Sender:
        if self._sender is None:
            self._sender = Sender(self._broker, self._state, durable=self._durable)
            if self._state.link is not None:
                self._sender.attach()
        return self._sender

    def _tell(self, event: str, filters: Sequence[str]) -> None:
        facts = {"filter": filters[0][:_FILTER_SHOWN], "count": len(filters)}
        self._broker.log.warning(event, client=str(self._state.identity), **facts)
