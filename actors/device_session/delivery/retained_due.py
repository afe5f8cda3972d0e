"""Retained messages that one session has subscribed to and that do not all stand in its queue yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.device_session.delivery.message import Delivery
from actors.device_session.journal import Change, SaveSubscription
from actors.device_session.registry.statuses import milliseconds
from actors.runtime.reply import Reply
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.delivery.audience import Terms
    from actors.device_session.delivery.sending import Sender
    from actors.device_session.registry.state import SessionState

# Retained topics that are looked at before others get their turn.
_SLICE: Final = 256


class _Due(NamedTuple):
    """What is left of one subscription: the topics that are still to be looked at."""

    filter: str
    topics: Iterator[str]
    terms: Terms


class RetainedDue:
    """Puts retained messages behind what waits for a session, as there is room; falsy when there are none left.

    `subscriptions` are those of the session as they are at any time. Where the session is `durable`, the disk knows of
    each subscription whether any are left: then they are sent from the first one on after a restart.
    """

    __slots__ = ("_broker", "_durable", "_left", "_state", "_subscriptions")

    def __init__(
        self, broker: Broker, state: SessionState, subscriptions: Mapping[str, Terms], *, durable: bool
    ) -> None:
        self._broker = broker
        self._state = state
        self._subscriptions = subscriptions
        self._durable = durable
        self._left: list[_Due] = []

    def __bool__(self) -> bool:
        """Whether any may be left."""
        return bool(self._left)

    def add(self, topic_filter: str, terms: Terms) -> None:
        """Send those of a subscription, from the first one on."""
        self.forget(topic_filter)
        self._left.append(_Due(topic_filter, self._broker.retained.topics(topic_filter), terms))

    def forget(self, topic_filter: str) -> None:
        """That subscription has ended."""
        self._left = [due for due in self._left if due.filter != topic_filter]

    def fill(self, sender: Sender) -> None:
        """Put some behind what waits, as far as there is room; the rest comes as it drains."""
        changes: list[Change] = []
        filled: dict[str, Terms] = {}
        before, looked_at = sender.last, 0
        while self._left and sender.has_room and looked_at < _SLICE:
            looked_at += 1
            topic_filter, topics, terms = self._left[0]
            filled[topic_filter] = terms
            topic = next(topics, None)
            if topic is None:
                del self._left[0]
                if self._durable:
                    changes.append(saved_subscription(self._state, topic_filter, terms, retained_due=False))
            elif (delivery := self._delivery(topic, terms)) is not None:
                sender.offer(() if delivery.qos else (delivery,), (delivery,) if delivery.qos else (), changes)
        if changes:
            last = sender.last
            reply: Reply[None] = Reply(lambda: self._written(sender, (before + 1, last), filled, reply.error))
            self._broker.journal.write(changes, reply)

    def _written(
        self, sender: Sender, span: tuple[int, int], filled: Mapping[str, Terms], error: BaseException | None
    ) -> None:
        """They stand in the queue on disk; where they could not be written, the next connection is sent all of them."""
        sender.written(*span, error)
        if error is None:
            return
        for topic_filter, terms in filled.items():
            if topic_filter in self._subscriptions:
                self.add(topic_filter, terms)
        if self._state.link is not None:
            what = "retained messages that it subscribed to could not be written down"
            self._state.link.close(Reason.IMPLEMENTATION_SPECIFIC_ERROR, what)

    def _delivery(self, topic: str, terms: Terms) -> Delivery | None:
        """The retained message of a topic, as it is now and if it still may be received, with the retain flag set."""
        message = self._broker.retained.get(topic, milliseconds())
        if message is None or not self._broker.directory.rights(self._state.identity).may_receive(topic):
            return None
        return Delivery(message, min(terms.qos, message.qos), retain=True, subscription_ids=terms.subscription_ids)


def saved_subscription(state: SessionState, topic_filter: str, terms: Terms, *, retained_due: bool) -> SaveSubscription:
    """What the disk is to know of a subscription."""
    identifier = terms.subscription_ids[0] if terms.subscription_ids else None
    options = (terms.qos, terms.no_local, terms.retain_as_published, identifier)
    return SaveSubscription(state.incarnation, topic_filter, *options, retained_due=retained_due)
