"""What one session has subscribed to, and on what terms; and the retained messages that are due for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.device_session.delivery.audience import Subscriber, Terms
from actors.device_session.delivery.retained_due import RetainedDue, saved_subscription
from actors.device_session.journal import Change, DropSubscription, SaveSubscription
from actors.directory.rights import Rights
from actors.wire.mqtt.packets import Subscribe, Subscription
from actors.wire.mqtt.reasons import FAILURE, Reason
from actors.wire.mqtt.topics import SHARED_PREFIX, shared

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.delivery.sending import Sender
    from actors.device_session.registry.state import SessionState

_FILTER_SHOWN: Final = 200
# Retain handling (MQTT 5, 3.8.3.1): send retained messages only for a new subscription; never.
_ONLY_NEW: Final = 1
_NEVER: Final = 2


class Answer(NamedTuple):
    """The reasons for SUBACK or UNSUBACK, one for each filter in order; it leaves once `changes` are on disk."""

    reasons: list[Reason]
    changes: list[Change]


class Granted:
    """The subscriptions of one session, each of them also in `broker.subscriptions`, for its `subscriber`.

    `durable`: the session outlives its connection, so they are written down; `terms` are what was granted by filter.
    """

    __slots__ = ("_broker", "_durable", "_retained", "_state", "_subscriber", "terms")

    def __init__(self, broker: Broker, state: SessionState, subscriber: Subscriber, *, durable: bool) -> None:
        self._broker = broker
        self._state = state
        self._subscriber = subscriber
        self._durable = durable
        # Made when it is first needed: most sessions need none.
        self._retained: RetainedDue | None = None
        self.terms: dict[str, Terms] = {}

    @property
    def has_retained(self) -> bool:
        """Whether retained messages are still due."""
        return bool(self._retained)

    @property
    def rights(self) -> Rights:
        """What its client may do, as things stand now."""
        return self._broker.directory.rights(self._state.identity)

    def restore(self, subscriptions: Sequence[SaveSubscription]) -> None:
        """Those that the session had when the daemon ended.

        Retained messages that were not all queued by then are sent from the first one on.
        """
        for saved in subscriptions:
            ids = () if saved.identifier is None else (saved.identifier,)
            terms = Terms(saved.qos, saved.no_local, saved.retain_as_published, ids)
            self._put(saved.filter, terms, self.rights)
            if saved.retained_due:
                self._send_retained(saved.filter, terms)

    def clear(self) -> None:
        """The session ends; nothing is written of that."""
        for topic_filter in self.terms:
            self._broker.subscriptions.remove(topic_filter, self._subscriber)
        self.terms.clear()
        self._retained = None

    def subscribe(self, packet: Subscribe, maximum_qos: int) -> Answer:
        """Subscribe to each filter, and have its retained messages sent; QoS is granted up to `maximum_qos`."""
        ids = () if packet.identifier is None else (packet.identifier,)
        answer = Answer([], [])
        rights = self.rights
        for subscription in packet.subscriptions:
            answer.reasons.append(self._subscribe(subscription, ids, maximum_qos, rights, answer.changes))
        refused = [
            s.filter for s, reason in zip(packet.subscriptions, answer.reasons, strict=True) if reason >= FAILURE
        ]
        if refused:
            self._tell("Subscription refused: not valid, no right to it, or mqtt.max_subscriptions reached", refused)
        return answer

    def unsubscribe(self, filters: Sequence[str]) -> Answer:
        """Deliver nothing more for these filters."""
        answer = Answer([], [])
        for topic_filter in filters:
            answer.reasons.append(self._unsubscribe(topic_filter, answer.changes))
        return answer

    def recheck(self, rights: Rights) -> Sequence[Change]:
        """Give up what the client has no right to any more; returns what is to be written of that."""
        changes: list[Change] = []
        lost: list[str] = []
        for topic_filter, terms in tuple(self.terms.items()):
            if not rights.may_subscribe(topic_filter):
                lost.append(topic_filter)
                self._unsubscribe(topic_filter, changes)
            elif terms.partly != rights.may_refuse_part_of(topic_filter):
                self._put(topic_filter, terms, rights)
        if lost:
            self._tell("Subscription ended: the client has no right to it any more", lost)
        return changes

    def fill(self, sender: Sender) -> None:
        """Put retained messages that are due behind what waits, as far as there is room."""
        if self._retained is not None:
            self._retained.fill(sender)

    def _subscribe(
        self, subscription: Subscription, ids: tuple[int, ...], maximum_qos: int, rights: Rights, changes: list[Change]
    ) -> Reason:
        topic_filter, wanted, no_local, retain_as_published, retain_handling = subscription
        in_group = topic_filter.startswith(SHARED_PREFIX)
        if in_group and shared(topic_filter) is None:
            return Reason.TOPIC_FILTER_INVALID
        is_new = topic_filter not in self.terms
        if is_new and len(self.terms) >= self._broker.settings.max_subscriptions:
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

    def _unsubscribe(self, topic_filter: str, changes: list[Change]) -> Reason:
        if self.terms.pop(topic_filter, None) is None:
            return Reason.NO_SUBSCRIPTION_EXISTED
        self._broker.subscriptions.remove(topic_filter, self._subscriber)
        if self._retained:
            self._retained.forget(topic_filter)
        if self._durable:
            changes.append(DropSubscription(self._state.incarnation, topic_filter))
        return Reason.SUCCESS

    def _send_retained(self, topic_filter: str, terms: Terms) -> bool:
        """Have the retained messages of a subscription sent, from the first one on; False where there are none."""
        if not len(self._broker.retained):
            return False
        if self._retained is None:
            self._retained = RetainedDue(self._broker, self._state, self.terms, durable=self._durable)
        self._retained.add(topic_filter, terms)
        return True

    def _put(self, topic_filter: str, terms: Terms, rights: Rights) -> None:
        terms = terms._replace(partly=rights.may_refuse_part_of(topic_filter))
        self.terms[topic_filter] = terms
        self._broker.subscriptions.add(topic_filter, self._subscriber, terms)

    def _tell(self, event: str, filters: Sequence[str]) -> None:
        facts = {"filter": filters[0][:_FILTER_SHOWN], "count": len(filters)}
        self._broker.log.warning(event, client=str(self._state.identity), **facts)
