"""Cuts packets out of what a client sends.

PUBLISH, PUBACK and PINGREQ are cut by hand on the buffer: nearly every packet is one of them. CONNECT, SUBSCRIBE and
UNSUBSCRIBE go through `model`, and what only MQTT 5 has in them through `model5`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actors.wire.mqtt import model, model5, publish_properties, validate
from actors.wire.mqtt.cursor import CONTINUED, MalformedError
from actors.wire.mqtt.packets import (
    MQTT_3_1_1,
    MQTT_5,
    SUPPORTED_LEVELS,
    Connect,
    Disconnect,
    Malformed,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
)
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties
from actors.wire.mqtt.reasons import Reason

_CONNECT: Final = 1
_PUBLISH: Final = 3
# The first byte of a PUBLISH with QoS 1 that is neither retained nor sent again: the hot path.
_PLAIN_PUBLISH: Final = 0x32
_MIN_QOS1_LENGTH: Final = 5  # topic length, one character, packet id
_NO_TOPIC: Final = 2  # where a topic ends that is empty

_Kinds = dict[int, tuple[str, int, Callable[[bytes], Packet]]]
# Every packet but PUBLISH and CONNECT that a client sends: its name, the flags of its header, how its body is decoded.
_KINDS: Final[_Kinds] = {
    4: ("PUBACK", 0, lambda body: Puback(validate.lone_packet_id("PUBACK", body))),
    5: ("PUBREC", 0, lambda body: Pubrec(validate.lone_packet_id("PUBREC", body))),
    6: ("PUBREL", 2, lambda body: Pubrel(validate.lone_packet_id("PUBREL", body))),
    7: ("PUBCOMP", 0, lambda body: Pubcomp(validate.lone_packet_id("PUBCOMP", body))),
    8: ("SUBSCRIBE", 2, model.subscribe),
    10: ("UNSUBSCRIBE", 2, model.unsubscribe),
    12: ("PINGREQ", 0, lambda body: validate.without_body("PINGREQ", body, Pingreq())),
    14: ("DISCONNECT", 0, lambda body: validate.without_body("DISCONNECT", body, Disconnect())),
}
_KINDS_5: Final[_Kinds] = {
    4: ("PUBACK", 0, model5.puback),
    5: ("PUBREC", 0, model5.pubrec),
    6: ("PUBREL", 2, model5.pubrel),
    7: ("PUBCOMP", 0, model5.pubcomp),
    8: ("SUBSCRIBE", 2, model5.subscribe),
    10: ("UNSUBSCRIBE", 2, model5.unsubscribe),
    12: _KINDS[12],
    14: ("DISCONNECT", 0, model5.disconnect),
    15: ("AUTH", 0, model5.auth),
}
_SERVER_KINDS: Final = {2: "CONNACK", 9: "SUBACK", 11: "UNSUBACK", 13: "PINGRESP"}

_LENGTH_BYTES: Final = 4
# A device publishes to one topic, an application to some more; past this the cache begins anew.
_CACHED_TOPICS: Final = 64
_CACHED_TOPIC_BYTES: Final = 256
# Nor do its properties change with each report: an alias, a content type. Their length is then one byte.
_CACHED_BLOCKS: Final = 16
_CACHED_BLOCK_BYTES: Final = 128

_new = tuple.__new__


class PacketReader:
    """The packets of one connection, in the order in which they came.

    After the first malformed packet, and after a CONNECT of a level that is not supported, nothing more is taken.
    `max_packet_bytes` is the size of the largest whole packet; a larger one is malformed once its length is known.
    """

    __slots__ = ("_blocks", "_ended", "_max_packet_bytes", "_needed", "_rest", "_topics", "level")

    def __init__(self, max_packet_bytes: int, *, level: int = MQTT_3_1_1) -> None:
        self.level = level
        """What the packets are read as: from CONNECT on the level that it says, even where the rest of it is broken."""
        self._max_packet_bytes = max_packet_bytes
        self._rest = bytearray()
        self._needed = 0
        self._ended = False
        self._topics: dict[bytes, str] = {}
        self._blocks: dict[bytes, Properties] = {}

    def feed(self, data: bytes) -> list[Packet]:
        """Take what the socket brought and return every packet that is whole now; keep the rest.

        Never raises for what a client sent: a malformed packet is the last one in the list, as `Malformed`.
        """
        if self._ended:
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        packets: list[Packet] = []
        try:
            position = self._cut(data, packets)
        except MalformedError as error:
            packets.append(Malformed(str(error), error.code))
            self._ended = True
            return packets
        if position < len(data) and not self._ended:
            self._rest += memoryview(data)[position:]
        return packets

    def _cut(self, data: bytes, packets: list[Packet]) -> int:
        """Append every whole packet, and return where the first one begins that is not whole."""
        position = 0
        end = len(data)
        append = packets.append
        topics = self._topics
        limit = self._max_packet_bytes
        properties = NO_PROPERTIES
        five = self.level == MQTT_5
        while end - position > 1:
            first = data[position]
            length = data[position + 1]
            body = position + 2
            if length & 0x80:
                length, body = _long_length(data, position + 1, least=five)
            stop = body + length
            if stop > end:
                self._check_size(stop - position)
                self._needed = stop - position
                return position
            if first == _PLAIN_PUBLISH and length >= _MIN_QOS1_LENGTH:
                payload = body + 4 + (data[body] << 8 | data[body + 1])
                topic = topics.get(data[body + 2 : payload - 2])
                packet_id = data[payload - 2] << 8 | data[payload - 1] if payload <= stop else 0
                if five and payload < stop and not data[payload]:
                    payload += 1
                    properties = NO_PROPERTIES
                elif five:
                    topic, properties, payload = self._known(data, body, payload, stop, topic)
                if topic is not None and packet_id and stop - position <= limit:
                    append(_new(Publish, (topic, data[payload:stop], 1, packet_id, False, False, properties)))
                    position = stop
                    continue
            self._check_size(stop - position)
            append(self._packet(first, data[body:stop]))
            position = stop
            if self._ended:
                break
            five = self.level == MQTT_5
        self._needed = 2
        return position

    def _check_size(self, size: int) -> None:
        if size > self._max_packet_bytes:
            what = f"a packet of {size} bytes, and at most {self._max_packet_bytes} are taken"
            raise MalformedError(what, Reason.PACKET_TOO_LARGE)

    def _packet(self, first: int, body: bytes) -> Packet:
        kind, flags = first >> 4, first & 0x0F
        if kind == _PUBLISH:
            return self._publish(flags, body)
        if kind == _CONNECT:
            return self._connect(flags, body)
        kinds = _KINDS_5 if self.level == MQTT_5 else _KINDS
        if kind not in kinds:
            what = _SERVER_KINDS.get(kind)
            reason = f"{what} is for servers to send" if what else f"packet type {kind} is reserved"
            raise MalformedError(reason, Reason.PROTOCOL_ERROR if what else Reason.MALFORMED_PACKET)
        name, expected_flags, decode = kinds[kind]
        validate.header_flags(name, flags, expected_flags, self.level)
        return decode(body)

    def _connect(self, flags: int, body: bytes) -> Connect:
        validate.header_flags("CONNECT", flags, 0, MQTT_3_1_1)
        level = validate.protocol_level(body)
        if level not in SUPPORTED_LEVELS:
            self._ended = True
            return Connect(level)
        self.level = level
        return model5.connect(body) if level == MQTT_5 else model.connect(body)

    def _publish(self, flags: int, body: bytes) -> Publish:
        qos = flags >> 1 & 3
        dup = bool(flags & validate.DUP_FLAG)
        validate.publish_flags(qos, dup=dup)
        topic_end = 2 + (body[0] << 8 | body[1]) if len(body) > 1 else 2
        begin = topic_end + 2 if qos else topic_end
        if begin > len(body):
            raise MalformedError("PUBLISH: topic or packet id ends beyond the packet")
        packet_id = body[topic_end] << 8 | body[topic_end + 1] if qos else 0
        if qos and not packet_id:
            validate.check_packet_id("PUBLISH", packet_id)
        properties = NO_PROPERTIES
        if self.level == MQTT_5:
            properties, begin = self._properties(body, begin)
        aliased = topic_end == _NO_TOPIC and properties.topic_alias is not None
        topic = "" if aliased else self._topic(body[2:topic_end])
        return Publish(topic, body[begin:], qos, packet_id, bool(flags & validate.RETAIN_FLAG), dup, properties)

    def _known(
        self, data: bytes, body: int, position: int, stop: int, topic: str | None
    ) -> tuple[str | None, Properties, int]:
        """Topic, properties and where the payload begins, if this very block came before; else no topic."""
        payload = position + 1 + data[position] if position < stop else stop + 1
        properties = self._blocks.get(data[position:payload])
        if properties is None or payload > stop:
            return None, NO_PROPERTIES, payload
        if position == body + _NO_TOPIC + 2 and properties.topic_alias is not None:
            topic = ""
        return topic, properties, payload

    def _properties(self, body: bytes, position: int) -> tuple[Properties, int]:
        properties, end = publish_properties.read_block(body, position)
        if properties is not NO_PROPERTIES and end - position <= _CACHED_BLOCK_BYTES:
            if len(self._blocks) >= _CACHED_BLOCKS:
                self._blocks.clear()
            self._blocks[body[position:end]] = properties
        return properties, end

    def _topic(self, name: bytes) -> str:
        topic = self._topics.get(name)
        if topic is None:
            topic = validate.topic_name(name)
            if len(self._topics) >= _CACHED_TOPICS:
                self._topics.clear()
            if len(name) <= _CACHED_TOPIC_BYTES:
                self._topics[name] = topic
        return topic


def _long_length(data: bytes, position: int, *, least: bool) -> tuple[int, int]:
    """The remaining length whose bytes begin at `position`, and where the body begins.

    Seven bits a byte, at most four bytes (MQTT 3.1.1, 2.2.3), `least` for no more than it takes (MQTT 5). While its
    last byte is not there yet: such a length and body that the packet is not whole before it is.
    """
    length = 0
    for shift in range(_LENGTH_BYTES):
        at = position + shift
        if at >= len(data):
            return 1, at
        length |= (data[at] & 0x7F) << 7 * shift
        if not data[at] & CONTINUED:
            if least and not data[at]:
                raise MalformedError("the remaining length takes more bytes than it needs [MQTT5-1.5.5-1]")
            return length, at + 1
    raise MalformedError("the remaining length takes more than four bytes [MQTT 3.1.1, 2.2.3]")
