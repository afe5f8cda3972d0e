"""What one session has subscribed to, and what waits to be delivered to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from actors.device_session.core import grant, refusal_code
from actors.device_session.outbox import Delivery, Outbox
from actors.directory.identities import Identity
from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import Subscription

if TYPE_CHECKING:
    from actors.device_session.broker import Broker

_FILTER_SHOWN: Final = 200


class Receiver:
    """The receiving side of one session; `wake` is called when something may be sent.

    Registered in `broker.subscriptions` under each of its filters, until `close`.
    """

    __slots__ = ("_broker", "_filters", "_identity", "_level", "_outbox", "_wake")

    def __init__(self, broker: Broker, identity: Identity, level: int, wake: Callable[[], None]) -> None:
        self._broker = broker
        self._identity = identity
        self._level = level
        self._wake = wake
        self._filters: tuple[str, ...] = ()
        self._outbox: Outbox | None = None

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[int]:
        """Subscribe to each filter with the QoS asked for; returns the codes for SUBACK, in order (MQTT-3.8.4-5)."""
        codes: list[int] = []
        refused: list[str] = []
        for topic_filter, wanted, *_ in subscriptions:
            granted = self._grant(topic_filter, wanted)
            if granted is None:
                refused.append(topic_filter)
                codes.append(refusal_code(self._level, wanted))
            else:
                codes.append(granted)
        if refused:
            self._tell_refused(refused)
        return codes

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Deliver nothing more for these filters; those not subscribed to are passed over (MQTT-3.10.4-5)."""
        for topic_filter in filters:
            if topic_filter in self._filters:
                self._filters = tuple(other for other in self._filters if other != topic_filter)
                self._broker.subscriptions.remove(topic_filter, self)

    def recheck(self) -> None:
        """End the subscriptions that the client has no right to any more."""
        lost = [name for name in self._filters if grant(self._identity, name, 0, self._broker.directory) is None]
        if lost:
            self.unsubscribe(lost)
            self._tell_refused(lost)

    def close(self) -> None:
        """End every subscription."""
        self.unsubscribe(self._filters)

    def deliver(self, delivery: Delivery, qos: int) -> None:
        """Take a delivery without waiting; what does not fit is dropped and counted."""
        if self._outbox is None:
            self._outbox = Outbox(self._broker.settings.outbox_bytes)
        dropped_qos0, dropped_qos1 = self._outbox.offer(delivery, qos)
        if dropped_qos0 or dropped_qos1:
            self._broker.counters.dropped_deliveries_qos0 += dropped_qos0
            self._broker.counters.dropped_deliveries_qos1 += dropped_qos1
            self._broker.log.warning("Deliveries dropped: the subscriber is too slow", client=str(self._identity))
        self._wake()

    def acknowledge(self, packet_id: int) -> None:
        """The client has a delivery of QoS 1; the next one may leave."""
        if self._outbox is not None and self._outbox.acknowledge(packet_id) and self._outbox.is_ready():
            self._wake()

    def collect(self) -> list[bytes]:
        """The PUBLISH packets that may leave now, about one write's worth."""
        if self._outbox is None or not self._outbox.is_ready():
            return []
        packets, numbered = self._outbox.take()
        packets += [
            encode.publish(delivery.topic, delivery.payload, qos=1, packet_id=packet_id)
            for delivery, packet_id in numbered
        ]
        self._broker.counters.delivered += len(packets)
        return packets

    def _grant(self, topic_filter: str, wanted: int) -> int | None:
        if topic_filter not in self._filters and len(self._filters) >= self._broker.settings.max_subscriptions:
            return None
        granted = grant(self._identity, topic_filter, wanted, self._broker.directory)
        if granted is not None:
            if topic_filter not in self._filters:
                self._filters = (*self._filters, topic_filter)
            self._broker.subscriptions.add(topic_filter, self, granted)
        return granted

    def _tell_refused(self, filters: Sequence[str]) -> None:
        self._broker.log.warning(
            "Subscription refused: no right to it, or mqtt.max_subscriptions reached",
            client=str(self._identity),
            filter=filters[0][:_FILTER_SHOWN],
            count=len(filters),
        )
