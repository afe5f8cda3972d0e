"""What one read of a publisher gives to subscribers, and what has to be on disk before the read is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from actors.device_session.delivery.audience import Audience, Subscriber, Terms
from actors.device_session.delivery.message import Delivery, Message
from actors.device_session.journal import Change, SessionJournal
from actors.runtime.reply import Reply

if TYPE_CHECKING:
    from actors.device_session.delivery.receiving import Receiver
    from actors.device_session.delivery.retained import Retained
    from actors.device_session.delivery.sending import Sender


class FanOut:
    """Hands messages to subscribers and to the retained ones, and gathers what comes of it. Never waits.

    How one is used, for one read of a publisher:

    - `fan_out.give(messages, audience, publisher)` for each topic, `fan_out.retain(message, retained, now)` for each
      message with the retain flag. Without subscribers and retained messages none is made.
    - `reply = fan_out.write(journal, notify)`, before anything else gets its turn: None where nothing has to be
      written, otherwise the read is acknowledged once `reply` is there as well.
    - `feeding.add(fan_out.crowded)`: those subscribers are fed faster than they take it.
    """

    __slots__ = ("_queued", "changes", "crowded", "refused")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        """What has to be on disk."""
        self.crowded: list[Receiver] = []
        """Subscribers of QoS 1 and 2 with too much waiting for them: the publisher is to be held, see `Feeding`."""
        self.refused = 0
        """How much was not taken: by queues that refuse, and retained messages for which there is no room."""
        self._queued: dict[Sender, int] = {}

    def give(self, messages: Sequence[Message], audience: Audience, publisher: Subscriber | None = None) -> None:
        """Deliver messages of one topic, in order, at the lower of both QoS (MQTT-3.8.4-6, MQTT5-3.8.4-8).

        `publisher` is whose messages they are: No Local keeps them from it (MQTT5-3.8.3-3).
        """
        own = audience.own
        excluded = publisher if own is not None and publisher in own else None
        for terms, subscribers in audience.by_terms:
            at_most_once, otherwise = _deliveries(messages, terms)
            for subscriber in subscribers:
                if subscriber is not excluded:
                    subscriber.deliver(at_most_once, otherwise, self)
        if excluded is not None and own is not None and (terms_left := own[excluded]) is not None:
            excluded.deliver(*_deliveries(messages, terms_left), self)
        for group in audience.groups:
            for message in messages:
                chosen = group.choose(message.topic)
                if chosen is not None:
                    chosen[0].deliver(*_deliveries((message,), chosen[1]), self)

    def retain(self, message: Message, retained: Retained, now: int) -> bool:
        """Retain a message; False where there is no room for it."""
        before = retained.refused
        change = retained.keep(message, now)
        if change is not None:
            self.changes.append(change)
        if retained.refused == before:
            return True
        self.refused += 1
        return False

    def queued(self, sender: Sender, first: int) -> None:
        """Something is to be written of what that session has to send, from this sequence on."""
        self._queued.setdefault(sender, first)

    def write(self, journal: SessionJournal, notify: Callable[[], None]) -> Reply[None] | None:
        """Hand over what has to be on disk; `notify` is called when it is, or could not be written."""
        if not self.changes:
            return None
        spans = [(sender, first, sender.last) for sender, first in self._queued.items()]

        def answered() -> None:
            for sender, first, last in spans:
                sender.written(first, last, reply.error)
            notify()

        reply: Reply[None] = Reply(answered)
        journal.write(self.changes, reply)
        return reply


class Feeding:
    """Which crowded subscribers a session feeds: it is not read while there are any.

    A session that is itself crowded is read all the same, so that its acknowledgements come through: two that feed
    one another never wait for one another. How long a subscriber may be crowded is `Receiver.is_stalled`'s to say.
    """

    __slots__ = ("_crowded", "_wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called when `holds` may have become False."""
        self._wake = wake
        self._crowded: set[Receiver] = set()

    def add(self, crowded: Iterable[Receiver]) -> None:
        """These were just fed and are crowded."""
        for receiver in crowded:
            if receiver.is_crowded and receiver not in self._crowded:
                self._crowded.add(receiver)
                receiver.fed_by(self)

    def holds(self, own: Receiver | None) -> bool:
        """Whether the session, whose own receiving side that is, is not to be read now."""
        return bool(self._crowded) and not (own is not None and own.is_crowded)

    def relieved(self, receiver: Receiver) -> None:
        """That subscriber is not crowded any more, or is gone."""
        self._crowded.discard(receiver)
        if not self._crowded:
            self._wake()

    def close(self) -> None:
        """The session feeds nobody any more."""
        for receiver in self._crowded:
            receiver.not_fed_by(self)
        self._crowded.clear()


def _deliveries(messages: Sequence[Message], terms: Terms) -> tuple[list[Delivery], list[Delivery]]:
    """The messages as they are delivered on these terms: those of QoS 0, and those of QoS 1 and 2.

    They carry the retain flag only where Retain As Published asks for it (MQTT-3.3.1-9, MQTT5-3.3.1-12, -13).
    """
    at_most_once: list[Delivery] = []
    otherwise: list[Delivery] = []
    qos, _, retain_as_published, ids, _ = terms
    for message in messages:
        lower = min(message.qos, qos)
        retain = retain_as_published and message.retain
        (otherwise if lower else at_most_once).append(Delivery(message, lower, retain=retain, subscription_ids=ids))
    return at_most_once, otherwise
