"""What a server sends, at each level of MQTT: nobody else has to ask which level a client speaks to write bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from actors.wire.mqtt import encode
from actors.wire.mqtt.dialect3 import Dialect3
from actors.wire.mqtt.dialect5 import Dialect5
from actors.wire.mqtt.packets import MQTT_3_1, MQTT_3_1_1, MQTT_5
from actors.wire.mqtt.properties import NO_CONNACK_PROPERTIES, NO_PROPERTIES, ConnackProperties, Properties

PINGRESP: Final = encode.PINGRESP
_MQTT_3_1: Final = Dialect3(MQTT_3_1)
_MQTT_3_1_1: Final = Dialect3(MQTT_3_1_1)


class Dialect(Protocol):
    """The packets of a server, for one connection.

    A reason is said as well as the level can: MQTT 3 has return codes in CONNACK, one failure in SUBACK (3.1: none)
    and no word for anything else. `text` explains a reason to people; it is left out where the client does not want
    it [MQTT5-3.1.2-29] or would not take a packet so large [MQTT5-3.4.2-2].
    """

    @property
    def level(self) -> int:
        """MQTT_3_1, MQTT_3_1_1 or MQTT_5."""

    @property
    def can_refuse(self) -> bool:
        """Whether PUBACK, PUBREC and DISCONNECT can say a failure; where not, PUBACK and PUBREC say success."""

    def connack(
        self, reason: int, *, session_present: bool = False, properties: ConnackProperties = NO_CONNACK_PROPERTIES
    ) -> bytes:
        """CONNACK; a refusal never has a session [MQTT-3.2.2-4, MQTT5-3.2.2-6]."""

    def pubacks(self, packet_ids: Iterable[int]) -> bytes:
        """PUBACK of success for each packet id, in their order, as one piece."""

    def pubrecs(self, packet_ids: Iterable[int]) -> bytes:
        """PUBREC of success for each packet id, in their order, as one piece."""

    def pubrels(self, packet_ids: Iterable[int]) -> bytes:
        """PUBREL of success for each packet id, in their order, as one piece."""

    def pubcomps(self, packet_ids: Iterable[int]) -> bytes:
        """PUBCOMP of success for each packet id, in their order, as one piece."""

    def puback(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBACK."""

    def pubrec(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBREC."""

    def pubrel(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBREL."""

    def pubcomp(self, packet_id: int, reason: int = 0, text: str = "") -> bytes:
        """PUBCOMP."""

    def suback(self, packet_id: int, reasons: Iterable[int], text: str = "") -> bytes:
        """SUBACK: for each filter, in order, the granted QoS or a failure.

        MQTT 3.1.1 has one failure. MQTT 3.1 has none: its client hears QoS 0, and is delivered nothing.
        """

    def unsuback(self, packet_id: int, reasons: Iterable[int], text: str = "") -> bytes:
        """UNSUBACK: for each filter, in order, SUCCESS, NO_SUBSCRIPTION_EXISTED or a failure; MQTT 3 says none."""

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
        """PUBLISH; `packet_id` is not sent with QoS 0, nor properties with MQTT 3.

        Raises:
            ValueError: the packet would be larger than MQTT can say, or its topic or a property is.
        """

    def disconnect(self, reason: int, text: str = "", *, server_reference: str | None = None) -> bytes:
        """DISCONNECT; nothing below MQTT 5, where servers just close."""


def dialect_of(level: int, *, problem_information: bool = True, max_packet_bytes: int | None = None) -> Dialect:
    """The dialect of a client that speaks this level.

    `problem_information` and `max_packet_bytes` are what its CONNECT says of them (level 5). A level that is not
    supported is answered as MQTT 3.1.1, whose CONNACK every client can read.
    """
    if level == MQTT_5:
        return Dialect5(problem_information=problem_information, max_packet_bytes=max_packet_bytes)
    return _MQTT_3_1 if level == MQTT_3_1 else _MQTT_3_1_1
