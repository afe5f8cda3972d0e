"""What a server sends to clients of MQTT 3.1 and 3.1.1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import MQTT_3_1
from actors.wire.mqtt.properties import NO_CONNACK_PROPERTIES, NO_PROPERTIES, ConnackProperties, Properties
from actors.wire.mqtt.reasons import FAILURE, Reason

# What is in neither of these is a server that cannot serve (MQTT 3.1.1, table 3.1).
_RETURN_CODES: Final[dict[int, int]] = {
    Reason.SUCCESS: encode.ACCEPTED,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: encode.UNACCEPTABLE_PROTOCOL_VERSION,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: encode.IDENTIFIER_REJECTED,
    Reason.BAD_USER_NAME_OR_PASSWORD: encode.BAD_USERNAME_OR_PASSWORD,
    Reason.NOT_AUTHORIZED: encode.NOT_AUTHORIZED,
    Reason.BANNED: encode.NOT_AUTHORIZED,
    Reason.BAD_AUTHENTICATION_METHOD: encode.NOT_AUTHORIZED,
}


class Dialect3:
    """`Dialect` at level 3 or 4."""

    __slots__ = ("level",)

    can_refuse = False

    def __init__(self, level: int) -> None:
        self.level = level

    def connack(
        self,
        reason: int,
        *,
        session_present: bool = False,
        properties: ConnackProperties = NO_CONNACK_PROPERTIES,  # noqa: ARG002 - not a word of this level
    ) -> bytes:
        """CONNACK with the return code for the reason; MQTT 3.1 has no session flag."""
        code = _RETURN_CODES.get(reason, encode.SERVER_UNAVAILABLE)
        return encode.connack(code, session_present=session_present and self.level != MQTT_3_1)

    def pubacks(self, packet_ids: Iterable[int]) -> bytes:
        """PUBACK for each packet id."""
        return encode.acknowledgements(encode.PUBACK, packet_ids)

    def pubrecs(self, packet_ids: Iterable[int]) -> bytes:
        """PUBREC for each packet id."""
        return encode.acknowledgements(encode.PUBREC, packet_ids)

    def pubrels(self, packet_ids: Iterable[int]) -> bytes:
        """PUBREL for each packet id."""
        return encode.acknowledgements(encode.PUBREL, packet_ids)

    def pubcomps(self, packet_ids: Iterable[int]) -> bytes:
        """PUBCOMP for each packet id."""
        return encode.acknowledgements(encode.PUBCOMP, packet_ids)

    def puback(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:  # noqa: ARG002 - likewise
        """PUBACK, whatever the reason."""
        return self.pubacks((packet_id,))

    def pubrec(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:  # noqa: ARG002 - likewise
        """PUBREC, whatever the reason."""
        return self.pubrecs((packet_id,))

    def pubrel(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:  # noqa: ARG002 - likewise
        """PUBREL, whatever the reason."""
        return self.pubrels((packet_id,))

    def pubcomp(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:  # noqa: ARG002 - likewise
        """PUBCOMP, whatever the reason."""
        return self.pubcomps((packet_id,))

    def suback(self, packet_id: int, reasons: Iterable[int], text: str = "") -> bytes:  # noqa: ARG002 - likewise
        """SUBACK: every failure is the one that the level has; MQTT 3.1 has none and says QoS 0."""
        failed = 0 if self.level == MQTT_3_1 else encode.SUBSCRIPTION_FAILED
        return encode.suback(packet_id, [reason if reason < FAILURE else failed for reason in reasons])

    def unsuback(self, packet_id: int, reasons: Iterable[int], text: str = "") -> bytes:  # noqa: ARG002 - likewise
        """UNSUBACK, which says nothing of each filter."""
        return encode.unsuback(packet_id)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        packet_id: int = 0,
        retain: bool = False,
        dup: bool = False,
        properties: Properties = NO_PROPERTIES,  # noqa: ARG002 - likewise
    ) -> bytes:
        """PUBLISH without its properties."""
        return encode.publish(topic, payload, qos=qos, packet_id=packet_id, retain=retain, dup=dup)

    def disconnect(self, reason: int, text: str = "", *, server_reference: str | None = None) -> bytes:  # noqa: ARG002 - likewise
        """Nothing: servers of this level just close."""
        return b""
