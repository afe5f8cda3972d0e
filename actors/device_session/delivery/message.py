"""An application message inside the broker, and how it goes to those who get it on the same terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from actors.wire.mqtt.properties import NO_PROPERTIES, Properties

if TYPE_CHECKING:
    from actors.wire.mqtt.dialect import Dialect

# What a message weighs in a queue beside its topic, payload and properties.
OVERHEAD: Final = 64
# A message is encoded once for all subscribers that get the same bytes; past so many different forms it is not kept.
_FORMS: Final = 16
_PROPERTY: Final = 8


class Message:
    """What was published, once for all who get it; not changed after it is made.

    `qos` and `retain` are the publisher's. Times are in milliseconds since the epoch; `expires_at` is None for a
    message that never expires [MQTT5-3.3.2-5]. `size` is its weight in bytes, in memory and in a queue on disk.
    """

    __slots__ = ("expires_at", "payload", "properties", "published_at", "qos", "retain", "size", "topic")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        published_at: int,
        *,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
        expires_at: int | None = None,
    ) -> None:
        """`expires_at` left out is found from `properties.message_expiry`."""
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.published_at = published_at
        self.properties = properties
        self.expires_at = expires_at
        self.size = len(topic) + len(payload) + OVERHEAD
        if properties is not NO_PROPERTIES:
            self.size += _weight(properties)
            if expires_at is None and properties.message_expiry is not None:
                self.expires_at = published_at + properties.message_expiry * 1000

    def is_expired(self, now: int) -> bool:
        """Whether nobody may get it any more (`now` in milliseconds since the epoch)."""
        return self.expires_at is not None and now >= self.expires_at

    def remaining(self, now: int) -> int | None:
        """The seconds that are left of its expiry interval, rounded up [MQTT5-3.3.2-6]; None where it has none."""
        return None if self.expires_at is None else max(0, -(-(self.expires_at - now) // 1000))


class Pieces(NamedTuple):
    """An encoded PUBLISH, cut where the packet id stands; `tail` is empty for QoS 0, `length` in bytes with the id."""

    head: bytes
    tail: bytes
    length: int


class Delivery:
    """A message at one QoS, with one retain flag and the same subscription identifiers: shared by all who get it so.

    Not changed after it is made. Its encoded form is kept, so that a thousand subscribers cost one encoding.
    """

    __slots__ = ("_forms", "message", "qos", "retain", "size", "subscription_ids")

    def __init__(
        self, message: Message, qos: int, *, retain: bool = False, subscription_ids: tuple[int, ...] = ()
    ) -> None:
        self.message = message
        self.qos = qos
        self.retain = retain
        self.subscription_ids = subscription_ids
        self.size = message.size
        self._forms: dict[tuple[int, int | None, int, bool], Pieces] | None = None

    def pieces(self, dialect: Dialect, now: int, *, alias: int = 0, first: bool = False) -> Pieces:
        """The packet for a client of this dialect at this time (milliseconds since the epoch), without DUP.

        With an `alias` the topic is left out, unless it is the `first` packet with it, which sets it.
        """
        remaining = self.message.remaining(now)
        key = (dialect.level, remaining, alias, first)
        forms = self._forms
        if forms is None:
            forms = self._forms = {}
        found = forms.get(key)
        if found is None:
            found = self._encode(dialect, remaining, alias, first=first)
            if len(forms) >= _FORMS:
                forms.clear()
            forms[key] = found
        return found

    def _encode(self, dialect: Dialect, remaining: int | None, alias: int, *, first: bool) -> Pieces:
        message = self.message
        properties = message.properties
        if properties is not NO_PROPERTIES or alias or self.subscription_ids:
            properties = properties._replace(
                message_expiry=remaining, topic_alias=alias or None, subscription_ids=self.subscription_ids
            )
        topic = "" if alias and not first else message.topic
        packet = dialect.publish(
            topic, message.payload, qos=self.qos, packet_id=1, retain=self.retain, properties=properties
        )
        if not self.qos:
            return Pieces(packet, b"", len(packet))
        place = _after_topic(packet)
        return Pieces(packet[:place], packet[place + 2 :], len(packet))


def _after_topic(packet: bytes) -> int:
    """Where the packet id of a PUBLISH stands: after the fixed header and the topic (MQTT 3.1.1, 3.3.2)."""
    place = 1
    while packet[place] & 0x80:
        place += 1
    place += 1
    return place + 2 + int.from_bytes(packet[place : place + 2], "big")


def _weight(properties: Properties) -> int:
    text = (properties.response_topic, properties.correlation_data, properties.content_type)
    size = _PROPERTY + sum(len(value) for value in text if value is not None)
    return size + sum(len(name) + len(value) + _PROPERTY for name, value in properties.user)
