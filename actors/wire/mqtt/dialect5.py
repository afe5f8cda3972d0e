"""What a server sends to clients of MQTT 5.

Properties go through paho-mqtt's `Properties`, but for those of PUBLISH, which are written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from paho.mqtt.packettypes import PacketTypes

from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import MQTT_5
from actors.wire.mqtt.properties import NO_CONNACK_PROPERTIES, NO_PROPERTIES, ConnackProperties, Properties
from actors.wire.mqtt.property_blocks import pack, publish_block
from actors.wire.mqtt.reasons import FAILURE

_NONE: Final = b"\0"


class Dialect5:
    """`Dialect` at level 5.

    `problem_information` is whether the client wants to hear more than a reason; `max_packet_bytes` is the largest
    packet that it takes, None for any.
    """

    __slots__ = ("max_packet_bytes", "problem_information")

    level = MQTT_5
    can_refuse = True

    def __init__(self, *, problem_information: bool = True, max_packet_bytes: int | None = None) -> None:
        self.problem_information = problem_information
        self.max_packet_bytes = max_packet_bytes

    def connack(
        self, reason: int, *, session_present: bool = False, properties: ConnackProperties = NO_CONNACK_PROPERTIES
    ) -> bytes:
        """CONNACK; without reason string and user properties where it would be too large [MQTT5-3.2.2-19, 20]."""
        head = bytes((session_present and reason == 0, reason))
        data = encode.packet(0x20, head + _connack_block(properties))
        if self._fits(data):
            return data
        return encode.packet(0x20, head + _connack_block(properties, explained=False))

    def pubacks(self, packet_ids: Iterable[int]) -> bytes:
        """PUBACK of success for each packet id."""
        return encode.acknowledgements(encode.PUBACK, packet_ids)

    def pubrecs(self, packet_ids: Iterable[int]) -> bytes:
        """PUBREC of success for each packet id."""
        return encode.acknowledgements(encode.PUBREC, packet_ids)

    def pubrels(self, packet_ids: Iterable[int]) -> bytes:
        """PUBREL of success for each packet id."""
        return encode.acknowledgements(encode.PUBREL, packet_ids)

    def pubcomps(self, packet_ids: Iterable[int]) -> bytes:
        """PUBCOMP of success for each packet id."""
        return encode.acknowledgements(encode.PUBCOMP, packet_ids)

    def puback(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBACK."""
        return self._acknowledgement(0x40, PacketTypes.PUBACK, packet_id, reason, text)

    def pubrec(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBREC."""
        return self._acknowledgement(0x50, PacketTypes.PUBREC, packet_id, reason, text)

    def pubrel(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBREL."""
        return self._acknowledgement(0x62, PacketTypes.PUBREL, packet_id, reason, text)

    def pubcomp(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBCOMP."""
        return self._acknowledgement(0x70, PacketTypes.PUBCOMP, packet_id, reason, text)

    def suback(self, packet_id: int, reasons: Iterable[int], text: str = "") -> bytes:
        """SUBACK."""
        return self._explained(0x90, PacketTypes.SUBACK, packet_id.to_bytes(2, "big"), text, bytes(reasons))

    def unsuback(self, packet_id: int, reasons: Iterable[int], text: str = "") -> bytes:
        """UNSUBACK."""
        return self._explained(0xB0, PacketTypes.UNSUBACK, packet_id.to_bytes(2, "big"), text, bytes(reasons))

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        packet_id: int = 0,
        retain: bool = False,
        dup: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> bytes:
        """PUBLISH; never left out, however large it is: who delivers asks for the client's maximum."""
        first = 0x30 | dup << 3 | qos << 1 | retain
        identifier = packet_id.to_bytes(2, "big") if qos else b""
        block = publish_block(properties) if properties is not NO_PROPERTIES else _NONE
        return encode.packet(first, b"".join((encode.text(topic), identifier, block, payload)))

    def disconnect(self, reason: int, text: str = "", *, server_reference: str | None = None) -> bytes:
        """DISCONNECT; its text goes also to who wants no problem information (3.1.2.11.7)."""
        for string in (text or None, None):
            block = pack(PacketTypes.DISCONNECT, ReasonString=string, ServerReference=server_reference)
            data = encode.packet(0xE0, bytes((reason,)) + block)
            if block != _NONE and self._fits(data):
                return data
        return bytes((0xE0, 1, reason)) if reason else encode.DISCONNECT

    def _acknowledgement(self, first: int, kind: int, packet_id: int, reason: int, text: str) -> bytes:
        identifier = packet_id.to_bytes(2, "big")
        if text and self.problem_information:
            data = encode.packet(first, identifier + bytes((reason,)) + pack(kind, ReasonString=text))
            if self._fits(data):
                return data
        return encode.packet(first, identifier + bytes((reason,)) if reason else identifier)

    def _explained(self, first: int, kind: int, head: bytes, text: str, reasons: bytes) -> bytes:
        if text and self.problem_information and any(reason >= FAILURE for reason in reasons):
            data = encode.packet(first, head + pack(kind, ReasonString=text) + reasons)
            if self._fits(data):
                return data
        return encode.packet(first, head + _NONE + reasons)

    def _fits(self, data: bytes) -> bool:
        return self.max_packet_bytes is None or len(data) <= self.max_packet_bytes


# A listener says the same to nearly all of its clients, and paho takes its time.
@lru_cache(maxsize=64)
def _connack_block(properties: ConnackProperties, *, explained: bool = True) -> bytes:
    return pack(
        PacketTypes.CONNACK,
        SessionExpiryInterval=properties.session_expiry,
        ReceiveMaximum=properties.receive_maximum,
        MaximumQoS=properties.maximum_qos,
        RetainAvailable=None if properties.retain_available else 0,
        MaximumPacketSize=properties.max_packet_bytes,
        AssignedClientIdentifier=properties.assigned_client_id,
        TopicAliasMaximum=properties.topic_alias_maximum,
        ReasonString=properties.reason_string if explained else None,
        UserProperty=list(properties.user) if explained and properties.user else None,
        WildcardSubscriptionAvailable=None if properties.wildcards_available else 0,
        SubscriptionIdentifierAvailable=None if properties.subscription_ids_available else 0,
        SharedSubscriptionAvailable=None if properties.shared_available else 0,
        ServerKeepAlive=properties.server_keep_alive,
        ResponseInformation=properties.response_information,
        ServerReference=properties.server_reference,
        AuthenticationMethod=properties.authentication_method,
        AuthenticationData=properties.authentication_data,
    )
