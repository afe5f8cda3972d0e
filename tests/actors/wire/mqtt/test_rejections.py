"""Every way in which bytes are not MQTT, and the rule that its reason names."""

import pytest

from actors.wire.mqtt.packets import Malformed
from actors.wire.mqtt.reader import PacketReader
from actors.wire.mqtt.reasons import Reason

HEAD = b"\x00\x04MQTT\x04"


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((first, len(body))) + body


REJECTED: list[tuple[str, bytes, str]] = [
    ("reserved type 0", b"\x00\x00", "type 0 is reserved"),
    ("reserved type 15", b"\xf0\x00", "type 15 is reserved"),
    ("CONNACK", b"\x20\x02\x00\x00", "CONNACK is for servers"),
    ("SUBACK", b"\x90\x03\x00\x01\x00", "SUBACK is for servers"),
    ("UNSUBACK", b"\xb0\x02\x00\x01", "UNSUBACK is for servers"),
    ("PINGRESP", b"\xd0\x00", "PINGRESP is for servers"),
    ("length of five bytes", b"\x30\x80\x80\x80\x80\x01", "more than four bytes"),
    ("length of four bytes that goes on", b"\x30\xff\xff\xff\xff", "more than four bytes"),
    # CONNECT
    ("CONNECT flags", packet(0x11, HEAD + b"\x02\x00\x00\x00\x01c"), "MQTT-2.2.2-1"),
    ("CONNECT empty", b"\x10\x00", "protocol name ends beyond"),
    ("CONNECT other protocol", packet(0x10, b"\x00\x04HTTP\x04\x02\x00\x00\x00\x01c"), "MQTT-3.1.2-1"),
    ("CONNECT name in lower case", packet(0x10, b"\x00\x04mqtt\x04\x02\x00\x00\x00\x01c"), "MQTT-3.1.2-1"),
    ("CONNECT 3.1 with the name of 3.1.1", packet(0x10, b"\x00\x04MQTT\x03\x02\x00\x00\x00\x01c"), "MQIsdp"),
    ("CONNECT 3.1.1 with the name of 3.1", packet(0x10, b"\x00\x06MQIsdp\x04\x02\x00\x00\x00\x01c"), "MQTT-3.1.2-1"),
    ("CONNECT without level", packet(0x10, b"\x00\x04MQTT"), "protocol level ends beyond"),
    ("CONNECT without flags", packet(0x10, HEAD), "connect flags ends beyond"),
    ("CONNECT half a keep alive", packet(0x10, HEAD + b"\x02\x00"), "keep alive ends beyond"),
    ("CONNECT without client id", packet(0x10, HEAD + b"\x02\x00\x00"), "client id ends beyond"),
    ("CONNECT client id cut", packet(0x10, HEAD + b"\x02\x00\x00\x00\x05c"), "client id ends beyond"),
    ("CONNECT client id not UTF-8", packet(0x10, HEAD + b"\x02\x00\x00\x00\x01\xff"), "MQTT-1.5.3-1"),
    ("CONNECT client id with NUL", packet(0x10, HEAD + b"\x02\x00\x00\x00\x01\x00"), "MQTT-1.5.3-2"),
    ("CONNECT reserved flag", packet(0x10, HEAD + b"\x03\x00\x00\x00\x01c"), "MQTT-3.1.2-3"),
    ("CONNECT will QoS without will", packet(0x10, HEAD + b"\x0a\x00\x00\x00\x01c"), "MQTT-3.1.2-13"),
    ("CONNECT will retain without will", packet(0x10, HEAD + b"\x22\x00\x00\x00\x01c"), "MQTT-3.1.2-15"),
    ("CONNECT will QoS 3", packet(0x10, HEAD + b"\x1e\x00\x00\x00\x01c\x00\x01t\x00\x00"), "MQTT-3.1.2-14"),
    ("CONNECT will topic missing", packet(0x10, HEAD + b"\x06\x00\x00\x00\x01c"), "will topic ends beyond"),
    ("CONNECT will topic wildcard", packet(0x10, HEAD + b"\x06\x00\x00\x00\x01c\x00\x01#\x00\x00"), "MQTT-4.7.1-1"),
    ("CONNECT will topic empty", packet(0x10, HEAD + b"\x06\x00\x00\x00\x01c\x00\x00\x00\x00"), "MQTT-4.7.1-1"),
    ("CONNECT will topic not UTF-8", packet(0x10, HEAD + b"\x06\x00\x00\x00\x01c\x00\x01\xff\x00\x00"), "MQTT-1.5.3-1"),
    ("CONNECT will message missing", packet(0x10, HEAD + b"\x06\x00\x00\x00\x01c\x00\x01t"), "will message ends"),
    ("CONNECT password alone", packet(0x10, HEAD + b"\x42\x00\x00\x00\x01c\x00\x01p"), "MQTT-3.1.2-22"),
    ("CONNECT user name missing", packet(0x10, HEAD + b"\x82\x00\x00\x00\x01c"), "user name ends beyond"),
    ("CONNECT user name not UTF-8", packet(0x10, HEAD + b"\x82\x00\x00\x00\x01c\x00\x02\xc3("), "MQTT-1.5.3-1"),
    ("CONNECT password missing", packet(0x10, HEAD + b"\xc2\x00\x00\x00\x01c\x00\x01u"), "password ends beyond"),
    ("CONNECT leftovers", packet(0x10, HEAD + b"\x02\x00\x00\x00\x01c!"), "1 bytes left over"),
    # PUBLISH
    ("PUBLISH QoS 3", packet(0x36, b"\x00\x01t\x00\x01"), "MQTT-3.3.1-4"),
    ("PUBLISH DUP with QoS 0", packet(0x38, b"\x00\x01t"), "MQTT-3.3.1-2"),
    ("PUBLISH empty body", b"\x30\x00", "ends beyond the packet"),
    ("PUBLISH half a topic length", packet(0x30, b"\x00"), "ends beyond the packet"),
    ("PUBLISH topic cut", packet(0x30, b"\x00\x05t"), "ends beyond the packet"),
    ("PUBLISH QoS 1 topic cut", packet(0x32, b"\x00\x05t\x00\x01"), "ends beyond the packet"),
    ("PUBLISH half a packet id", packet(0x32, b"\x00\x01t\x00"), "ends beyond the packet"),
    ("PUBLISH QoS 1 packet id 0", packet(0x32, b"\x00\x01t\x00\x00hi"), "MQTT-2.3.1-1"),
    ("PUBLISH QoS 2 packet id 0", packet(0x34, b"\x00\x01t\x00\x00hi"), "MQTT-2.3.1-1"),
    ("PUBLISH empty topic", packet(0x30, b"\x00\x00hi"), "MQTT-4.7.3-1"),
    ("PUBLISH topic with +", packet(0x30, b"\x00\x03a/+"), "MQTT-3.3.2-2"),
    ("PUBLISH topic with #", packet(0x32, b"\x00\x03a/#\x00\x01"), "MQTT-3.3.2-2"),
    ("PUBLISH topic with NUL", packet(0x30, b"\x00\x02a\x00"), "MQTT-1.5.3-2"),
    ("PUBLISH topic not UTF-8", packet(0x32, b"\x00\x02a\xff\x00\x01"), "MQTT-1.5.3-1"),
    ("PUBLISH topic with a surrogate", packet(0x30, b"\x00\x03\xed\xa0\x80"), "MQTT-1.5.3-1"),
    ("PUBLISH topic overlong", packet(0x30, b"\x00\x02\xc0\xaf"), "MQTT-1.5.3-1"),
    # SUBSCRIBE, UNSUBSCRIBE
    ("SUBSCRIBE flags", packet(0x80, b"\x00\x01\x00\x01a\x00"), "MQTT-2.2.2-1"),
    ("SUBSCRIBE packet id 0", packet(0x82, b"\x00\x00\x00\x01a\x00"), "MQTT-2.3.1-1"),
    ("SUBSCRIBE empty", b"\x82\x00", "packet id ends beyond"),
    ("SUBSCRIBE no filter", packet(0x82, b"\x00\x01"), "MQTT-3.8.3-3"),
    ("SUBSCRIBE filter cut", packet(0x82, b"\x00\x01\x00\x09a"), "topic filter ends beyond"),
    ("SUBSCRIBE no QoS", packet(0x82, b"\x00\x01\x00\x01a"), "requested QoS ends beyond"),
    ("SUBSCRIBE QoS 3", packet(0x82, b"\x00\x01\x00\x01a\x03"), "MQTT-3.8.3-4"),
    ("SUBSCRIBE reserved QoS bits", packet(0x82, b"\x00\x01\x00\x01a\x81"), "MQTT-3.8.3-4"),
    ("SUBSCRIBE empty filter", packet(0x82, b"\x00\x01\x00\x00\x01"), "MQTT-4.7.3-1"),
    ("SUBSCRIBE # not last", packet(0x82, b"\x00\x01\x00\x03#/a\x00"), "MQTT-4.7.1-2"),
    ("SUBSCRIBE # within a level", packet(0x82, b"\x00\x01\x00\x02a#\x00"), "MQTT-4.7.1-2"),
    ("SUBSCRIBE + within a level", packet(0x82, b"\x00\x01\x00\x02a+\x00"), "MQTT-4.7.1-3"),
    ("SUBSCRIBE second filter bad", packet(0x82, b"\x00\x01\x00\x01a\x00\x00\x01\xff\x00"), "MQTT-1.5.3-1"),
    ("UNSUBSCRIBE flags", packet(0xA0, b"\x00\x01\x00\x01a"), "MQTT-2.2.2-1"),
    ("UNSUBSCRIBE packet id 0", packet(0xA2, b"\x00\x00\x00\x01a"), "MQTT-2.3.1-1"),
    ("UNSUBSCRIBE no filter", packet(0xA2, b"\x00\x01"), "MQTT-3.10.3-2"),
    ("UNSUBSCRIBE filter not UTF-8", packet(0xA2, b"\x00\x01\x00\x01\xff"), "MQTT-1.5.3-1"),
    ("UNSUBSCRIBE filter with NUL", packet(0xA2, b"\x00\x01\x00\x01\x00"), "MQTT-1.5.3-2"),
    ("UNSUBSCRIBE bad filter", packet(0xA2, b"\x00\x01\x00\x02#a"), "MQTT-4.7.1-2"),
    # Packets that are an id, and those that are nothing
    ("PUBACK flags", packet(0x42, b"\x00\x01"), "MQTT-2.2.2-1"),
    ("PUBACK packet id 0", packet(0x40, b"\x00\x00"), "MQTT-2.3.1-1"),
    ("PUBACK too long", packet(0x40, b"\x00\x01\x00"), "3 bytes instead of 2"),
    ("PUBACK too short", packet(0x40, b"\x00"), "1 bytes instead of 2"),
    ("PUBREL flags", packet(0x60, b"\x00\x01"), "MQTT-2.2.2-1"),
    ("PUBREC flags", packet(0x51, b"\x00\x01"), "MQTT-2.2.2-1"),
    ("PUBCOMP packet id 0", packet(0x70, b"\x00\x00"), "MQTT-2.3.1-1"),
    ("PINGREQ with a body", packet(0xC0, b"x"), "PINGREQ: a body of 1 bytes"),
    ("PINGREQ flags", b"\xc1\x00", "MQTT-2.2.2-1"),
    ("DISCONNECT with a body", packet(0xE0, b"x"), "DISCONNECT: a body of 1 bytes"),
    ("DISCONNECT flags", b"\xe4\x00", "MQTT-2.2.2-1"),
]


@pytest.mark.parametrize(("data", "rule"), [pytest.param(data, rule, id=name) for name, data, rule in REJECTED])
def test_what_breaks_a_rule_is_malformed(data: bytes, rule: str) -> None:
    """Each breach ends the list with Malformed, whose reason names the rule; fed whole and byte by byte.

    Strings: [MQTT-1.5.3-1, 1.5.3-2, 3.1.3-4, 3.1.3-10, 3.1.3-11, 3.3.2-1, 3.8.3-1, 3.10.3-1].
    Headers and ids: [MQTT-2.2.2-1, 2.2.2-2, 2.3.1-1, 3.6.1-1, 3.8.1-1, 3.10.1-1, 3.14.1-1].
    CONNECT: [MQTT-3.1.2-1, 3.1.2-3, 3.1.2-9, 3.1.2-11, 3.1.2-13, 3.1.2-14, 3.1.2-15, 3.1.2-18, 3.1.2-19, 3.1.2-20,
    3.1.2-21, 3.1.2-22, 3.1.3-3]. PUBLISH: [MQTT-3.3.1-2, 3.3.1-4, 3.3.2-2].
    SUBSCRIBE and UNSUBSCRIBE: [MQTT-3.8.3-3, 3.8.3-4, 3.10.3-2, 4.7.1-1, 4.7.1-2, 4.7.1-3, 4.7.3-1, 4.7.3-2].
    """
    (whole,) = PacketReader(1000).feed(data)
    assert isinstance(whole, Malformed)
    assert rule in whole.reason
    reader = PacketReader(1000)
    assert [packet for byte in data for packet in reader.feed(bytes((byte,)))] == [whole]


def test_reasons_never_show_passwords() -> None:
    """The reason of a broken CONNECT does not quote what the client sent."""
    (packet,) = PacketReader(1000).feed(b"\x10\x19" + HEAD + b"\xc2\x00\x00\x00\x01c\x00\x01u\x00\x06secret!")
    assert isinstance(packet, Malformed)
    assert "secret" not in packet.reason


def test_a_packet_full_of_filters_is_refused() -> None:
    """One packet cannot make the server decode hundreds of thousands of filters while others wait."""
    filters = b"\x00\x01a\x00"
    body = b"\x00\x01" + filters * 1025
    length = bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
    (packet,) = PacketReader(1_000_000).feed(b"\x82" + length + body)
    assert packet == Malformed("SUBSCRIBE: more than 1024 topic filters in one packet", Reason.QUOTA_EXCEEDED)
    allowed = b"\x00\x01" + filters * 1024
    length = bytes((len(allowed) & 0x7F | 0x80, len(allowed) >> 7))
    (packet,) = PacketReader(1_000_000).feed(b"\x82" + length + allowed)
    assert not isinstance(packet, Malformed)
