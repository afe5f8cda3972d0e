"""Every way in which bytes are not MQTT 5, what a DISCONNECT says of it, and the rule that the reason names."""

import pytest

from actors.wire.mqtt import client
from actors.wire.mqtt.packets import MQTT_5, Connect, Disconnect, Malformed, Publish, Subscribe, Unsubscribe, Will
from actors.wire.mqtt.reader import PacketReader
from actors.wire.mqtt.reasons import Reason

MALFORMED = Reason.MALFORMED_PACKET
PROTOCOL = Reason.PROTOCOL_ERROR
HEAD = b"\x00\x04MQTT\x05"


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((first, len(body))) + body


def connect(flags: int, properties: bytes, payload: bytes = b"\x00\x01c") -> bytes:
    return packet(0x10, HEAD + bytes((flags, 0, 0, len(properties))) + properties + payload)


def publish(properties: bytes, topic: bytes = b"\x00\x01t") -> bytes:
    return packet(0x30, topic + bytes((len(properties),)) + properties)


def subscribe(properties: bytes, filters: bytes = b"\x00\x01a\x00") -> bytes:
    return packet(0x82, b"\x00\x01" + bytes((len(properties),)) + properties + filters)


def will(properties: bytes, topic: bytes = b"\x00\x01w") -> bytes:
    return connect(0x06, b"", b"\x00\x01c" + bytes((len(properties),)) + properties + topic + b"\x00\x00")


REJECTED: list[tuple[str, bytes, Reason, str]] = [
    # Flags and payload of CONNECT
    ("CONNECT header flags", packet(0x11, HEAD + b"\x02\x00\x00\x00\x00\x00"), MALFORMED, "MQTT5-2.1.3-1"),
    ("CONNECT name", packet(0x10, b"\x00\x06MQIsdp\x05\x02\x00\x00\x00\x00\x00"), MALFORMED, "MQTT-3.1.2-1"),
    ("CONNECT reserved flag", connect(0x03, b""), MALFORMED, "MQTT5-3.1.2-3"),
    ("CONNECT will QoS without will", connect(0x0A, b""), MALFORMED, "MQTT5-3.1.2-11"),
    ("CONNECT will retain without will", connect(0x22, b""), MALFORMED, "MQTT5-3.1.2-13"),
    ("CONNECT will QoS 3", connect(0x1E, b""), MALFORMED, "MQTT5-3.1.2-12"),
    ("CONNECT no will", connect(0x06, b""), MALFORMED, "property length ends beyond"),
    ("CONNECT no user name", connect(0x82, b""), MALFORMED, "user name ends beyond"),
    ("CONNECT no password", connect(0x42, b""), MALFORMED, "password ends beyond"),
    ("CONNECT user name without its flag", connect(0x02, b"", b"\x00\x01c\x00\x01u"), MALFORMED, "left over"),
    ("CONNECT no client id", connect(0x02, b"", b""), MALFORMED, "client id ends beyond"),
    ("CONNECT client id not UTF-8", connect(0x02, b"", b"\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("CONNECT client id with NUL", connect(0x02, b"", b"\x00\x01\x00"), MALFORMED, "MQTT5-1.5.4-2"),
    ("CONNECT user name not UTF-8", connect(0x82, b"", b"\x00\x01c\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("CONNECT no property length", packet(0x10, HEAD + b"\x02\x00\x00"), MALFORMED, "property length ends beyond"),
    ("CONNECT properties cut", packet(0x10, HEAD + b"\x02\x00\x00\x7f\x00\x01c"), MALFORMED, "ends beyond"),
    # Properties of CONNECT
    ("CONNECT unknown property", connect(2, b"\x7f\x00"), MALFORMED, "there is no property 0x7f"),
    ("CONNECT property of others", connect(2, b"\x23\x00\x01"), MALFORMED, "Topic Alias is no property of it"),
    ("CONNECT property of CONNACK", connect(2, b"\x12\x00\x01a"), MALFORMED, "Assigned Client Identifier"),
    ("CONNECT padded identifier", connect(2, b"\x91\x00\x00\x00\x00\x01"), MALFORMED, "MQTT5-1.5.5-1"),
    ("CONNECT property cut", connect(2, b"\x11\x00\x00"), MALFORMED, "Session Expiry Interval ends beyond"),
    ("CONNECT expiry twice", connect(2, b"\x11\x00\x00\x00\x01" * 2), PROTOCOL, "comes twice"),
    ("CONNECT receive maximum twice", connect(2, b"\x21\x00\x01" * 2), PROTOCOL, "comes twice"),
    ("CONNECT receive maximum 0", connect(2, b"\x21\x00\x00"), PROTOCOL, "Receive Maximum is 0"),
    ("CONNECT maximum packet size 0", connect(2, b"\x27\x00\x00\x00\x00"), PROTOCOL, "Maximum Packet Size is 0"),
    ("CONNECT packet size twice", connect(2, b"\x27\x00\x00\x00\x09" * 2), PROTOCOL, "comes twice"),
    ("CONNECT alias maximum twice", connect(2, b"\x22\x00\x00" * 2), PROTOCOL, "comes twice"),
    ("CONNECT response information 2", connect(2, b"\x19\x02"), PROTOCOL, "neither 0 nor 1"),
    ("CONNECT response information twice", connect(2, b"\x19\x01" * 2), PROTOCOL, "comes twice"),
    ("CONNECT problem information 2", connect(2, b"\x17\x02"), PROTOCOL, "neither 0 nor 1"),
    ("CONNECT problem information twice", connect(2, b"\x17\x01" * 2), PROTOCOL, "comes twice"),
    ("CONNECT user property not UTF-8", connect(2, b"\x26\x00\x01\xff\x00\x01a"), MALFORMED, "MQTT5-1.5.4-1"),
    ("CONNECT user property value", connect(2, b"\x26\x00\x01a\x00\x01\x00"), MALFORMED, "MQTT5-1.5.4-2"),
    ("CONNECT user property half", connect(2, b"\x26\x00\x01a"), MALFORMED, "User Property ends beyond"),
    ("CONNECT method twice", connect(2, b"\x15\x00\x01a" * 2), PROTOCOL, "comes twice"),
    ("CONNECT data without method", connect(2, b"\x16\x00\x01a"), PROTOCOL, "without a method"),
    ("CONNECT data twice", connect(2, b"\x15\x00\x01a" + b"\x16\x00\x01a" * 2), PROTOCOL, "comes twice"),
    # The will within CONNECT
    ("will topic not UTF-8", will(b"", b"\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("will topic with a wildcard", will(b"", b"\x00\x01#"), Reason.TOPIC_NAME_INVALID, "MQTT5-4.7.0-1"),
    ("will topic empty", will(b"", b"\x00\x00"), Reason.TOPIC_NAME_INVALID, "MQTT5-4.7.3-1"),
    ("will delay twice", will(b"\x18\x00\x00\x00\x01" * 2), PROTOCOL, "comes twice"),
    ("will delay in CONNECT", connect(2, b"\x18\x00\x00\x00\x01"), MALFORMED, "Will Delay Interval is no property"),
    ("will topic alias", will(b"\x23\x00\x01"), MALFORMED, "Topic Alias is no property"),
    ("will payload format 2", will(b"\x01\x02"), PROTOCOL, "neither 0 nor 1"),
    ("will response topic", will(b"\x08\x00\x01+"), PROTOCOL, "MQTT5-3.3.2-14"),
    # PUBLISH
    ("PUBLISH QoS 3", packet(0x36, b"\x00\x01t\x00\x01\x00"), MALFORMED, "MQTT5-3.3.1-4"),
    ("PUBLISH DUP with QoS 0", packet(0x38, b"\x00\x01t\x00"), MALFORMED, "MQTT5-3.3.1-2"),
    ("PUBLISH packet id 0", packet(0x32, b"\x00\x01t\x00\x00\x00"), PROTOCOL, "MQTT5-2.2.1-3"),
    ("PUBLISH no topic", publish(b"", b"\x00\x00"), PROTOCOL, "MQTT5-4.7.3-1"),
    ("PUBLISH topic with a wildcard", publish(b"", b"\x00\x03a/+"), Reason.TOPIC_NAME_INVALID, "MQTT5-3.3.2-2"),
    ("PUBLISH topic not UTF-8", publish(b"", b"\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("PUBLISH topic with a surrogate", publish(b"", b"\x00\x03\xed\xa0\x80"), MALFORMED, "MQTT5-1.5.4-1"),
    ("PUBLISH topic with NUL", publish(b"", b"\x00\x01\x00"), MALFORMED, "MQTT5-1.5.4-2"),
    ("PUBLISH no property length", packet(0x30, b"\x00\x01t"), MALFORMED, "property length ends beyond"),
    ("PUBLISH QoS 1 no property length", packet(0x32, b"\x00\x01t\x00\x01"), MALFORMED, "property length ends beyond"),
    ("PUBLISH properties cut", packet(0x30, b"\x00\x01t\x05\x23\x00"), MALFORMED, "properties end beyond"),
    ("PUBLISH length never ends", packet(0x30, b"\x00\x01t\xff\xff\xff\xff\x01"), MALFORMED, "more than four bytes"),
    ("PUBLISH padded property length", packet(0x30, b"\x00\x01t\x80\x00"), MALFORMED, "MQTT5-1.5.5-1"),
    ("PUBLISH unknown property", publish(b"\x00\x00"), MALFORMED, "0x0 is no property"),
    ("PUBLISH property of CONNECT", publish(b"\x11\x00\x00\x00\x00"), MALFORMED, "0x11 is no property"),
    ("PUBLISH alias 0", publish(b"\x23\x00\x00"), Reason.TOPIC_ALIAS_INVALID, "MQTT5-3.3.2-8"),
    ("PUBLISH alias twice", publish(b"\x23\x00\x01" * 2), PROTOCOL, "comes twice"),
    ("PUBLISH alias cut", publish(b"\x23\x00"), MALFORMED, "ends beyond the properties"),
    ("PUBLISH format 2", publish(b"\x01\x02"), PROTOCOL, "neither 0 nor 1"),
    ("PUBLISH format twice", publish(b"\x01\x01" * 2), PROTOCOL, "comes twice"),
    ("PUBLISH expiry twice", publish(b"\x02\x00\x00\x00\x01" * 2), PROTOCOL, "comes twice"),
    ("PUBLISH response topic twice", publish(b"\x08\x00\x01a" * 2), PROTOCOL, "comes twice"),
    ("PUBLISH response topic +", publish(b"\x08\x00\x01+"), PROTOCOL, "MQTT5-3.3.2-14"),
    ("PUBLISH response topic empty", publish(b"\x08\x00\x00"), PROTOCOL, "MQTT5-3.3.2-14"),
    ("PUBLISH response topic not UTF-8", publish(b"\x08\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("PUBLISH correlation data twice", publish(b"\x09\x00\x01a" * 2), PROTOCOL, "comes twice"),
    ("PUBLISH correlation data cut", publish(b"\x09\x00\x09a"), MALFORMED, "ends beyond the properties"),
    ("PUBLISH content type twice", publish(b"\x03\x00\x01a" * 2), PROTOCOL, "comes twice"),
    ("PUBLISH content type not UTF-8", publish(b"\x03\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("PUBLISH subscription id", publish(b"\x0b\x01"), PROTOCOL, "MQTT5-3.3.4-6"),
    ("PUBLISH subscription id 0", publish(b"\x0b\x00"), PROTOCOL, "identifier is 0"),
    ("PUBLISH user property cut", publish(b"\x26\x00\x01a\x00\x09"), MALFORMED, "ends beyond the properties"),
    ("PUBLISH user property not UTF-8", publish(b"\x26\x00\x01a\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    # PUBACK, PUBREC, PUBREL, PUBCOMP
    ("PUBACK empty", b"\x40\x00", MALFORMED, "packet id ends beyond"),
    ("PUBACK packet id 0", packet(0x40, b"\x00\x00"), PROTOCOL, "packet id is 0"),
    ("PUBACK flags", packet(0x41, b"\x00\x01"), MALFORMED, "MQTT5-2.1.3-1"),
    ("PUBACK reason", packet(0x40, b"\x00\x01\x92"), PROTOCOL, "0x92 is no reason code of it"),
    ("PUBACK unknown reason", packet(0x40, b"\x00\x01\x77"), PROTOCOL, "0x77 is no reason code"),
    ("PUBACK property", packet(0x40, b"\x00\x01\x00\x03\x21\x00\x01"), MALFORMED, "Receive Maximum is no property"),
    ("PUBACK text twice", packet(0x40, b"\x00\x01\x80\x08" + b"\x1f\x00\x01a" * 2), PROTOCOL, "comes twice"),
    ("PUBACK leftovers", packet(0x40, b"\x00\x01\x00\x00!"), MALFORMED, "left over"),
    ("PUBREC reason", packet(0x50, b"\x00\x01\x92"), PROTOCOL, "no reason code of it"),
    ("PUBREL reason", packet(0x62, b"\x00\x01\x80"), PROTOCOL, "no reason code of it"),
    ("PUBREL flags", packet(0x60, b"\x00\x01"), MALFORMED, "MQTT5-2.1.3-1"),
    ("PUBREL packet id 0", packet(0x62, b"\x00\x00\x00"), PROTOCOL, "packet id is 0"),
    ("PUBCOMP reason", packet(0x70, b"\x00\x01\x80"), PROTOCOL, "no reason code of it"),
    # SUBSCRIBE, UNSUBSCRIBE
    ("SUBSCRIBE flags", packet(0x80, b"\x00\x01\x00\x00\x01a\x00"), MALFORMED, "MQTT5-2.1.3-1"),
    ("SUBSCRIBE packet id 0", packet(0x82, b"\x00\x00\x00\x00\x01a\x00"), PROTOCOL, "MQTT5-2.2.1-3"),
    ("SUBSCRIBE no filter", subscribe(b"", b""), PROTOCOL, "MQTT5-3.8.3-2"),
    ("SUBSCRIBE no options", subscribe(b"", b"\x00\x01a"), MALFORMED, "subscription options ends beyond"),
    ("SUBSCRIBE QoS 3", subscribe(b"", b"\x00\x01a\x03"), PROTOCOL, "requested QoS is 3"),
    ("SUBSCRIBE retain handling 3", subscribe(b"", b"\x00\x01a\x30"), PROTOCOL, "retain handling is 3"),
    ("SUBSCRIBE reserved bit 6", subscribe(b"", b"\x00\x01a\x40"), MALFORMED, "MQTT5-3.8.3-5"),
    ("SUBSCRIBE reserved bit 7", subscribe(b"", b"\x00\x01a\x80"), MALFORMED, "MQTT5-3.8.3-5"),
    ("SUBSCRIBE filter not UTF-8", subscribe(b"", b"\x00\x01\xff\x00"), MALFORMED, "MQTT5-1.5.4-1"),
    ("SUBSCRIBE filter empty", subscribe(b"", b"\x00\x00\x00"), MALFORMED, "MQTT5-4.7.3-1"),
    ("SUBSCRIBE # not last", subscribe(b"", b"\x00\x03#/a\x00"), MALFORMED, "MQTT5-4.7.1-1"),
    ("SUBSCRIBE + within a level", subscribe(b"", b"\x00\x02a+\x00"), MALFORMED, "MQTT5-4.7.1-2"),
    ("SUBSCRIBE identifier 0", subscribe(b"\x0b\x00"), PROTOCOL, "Subscription Identifier is 0"),
    ("SUBSCRIBE identifier twice", subscribe(b"\x0b\x01\x0b\x02"), PROTOCOL, "comes twice"),
    ("SUBSCRIBE identifier of five bytes", subscribe(b"\x0b\xff\xff\xff\xff\x7f"), MALFORMED, "more than four bytes"),
    ("SUBSCRIBE identifier padded", subscribe(b"\x0b\x81\x00"), MALFORMED, "MQTT5-1.5.5-1"),
    ("SUBSCRIBE property of others", subscribe(b"\x1f\x00\x01a"), MALFORMED, "Reason String is no property"),
    ("SUBSCRIBE shared, no local", subscribe(b"", b"\x00\x0a$share/g/t\x04"), PROTOCOL, "MQTT5-3.8.3-4"),
    ("SUBSCRIBE shared, no group", subscribe(b"", b"\x00\x09$share//t\x00"), Reason.TOPIC_FILTER_INVALID, "4.8.2-1"),
    ("SUBSCRIBE shared, group +", subscribe(b"", b"\x00\x0a$share/+/t\x00"), Reason.TOPIC_FILTER_INVALID, "4.8.2-2"),
    ("SUBSCRIBE shared, no filter", subscribe(b"", b"\x00\x08$share/g\x00"), Reason.TOPIC_FILTER_INVALID, "4.8.2-2"),
    ("UNSUBSCRIBE flags", packet(0xA0, b"\x00\x01\x00\x00\x01a"), MALFORMED, "MQTT5-2.1.3-1"),
    ("UNSUBSCRIBE packet id 0", packet(0xA2, b"\x00\x00\x00\x00\x01a"), PROTOCOL, "MQTT5-2.2.1-3"),
    ("UNSUBSCRIBE no filter", packet(0xA2, b"\x00\x01\x00"), PROTOCOL, "MQTT5-3.10.3-2"),
    ("UNSUBSCRIBE filter not UTF-8", packet(0xA2, b"\x00\x01\x00\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("UNSUBSCRIBE identifier", packet(0xA2, b"\x00\x01\x02\x0b\x01\x00\x01a"), MALFORMED, "Identifier is no property"),
    # PINGREQ, DISCONNECT, AUTH, and what is none of a client's
    ("PINGREQ flags", b"\xc1\x00", MALFORMED, "MQTT5-2.1.3-1"),
    ("PINGREQ with a body", packet(0xC0, b"\x00"), MALFORMED, "PINGREQ: a body"),
    ("DISCONNECT flags", b"\xe1\x00", MALFORMED, "MQTT5-2.1.3-1"),
    ("DISCONNECT reason", packet(0xE0, b"\x01"), PROTOCOL, "0x1 is no reason code of it"),
    ("DISCONNECT reason of CONNACK", packet(0xE0, b"\x84"), PROTOCOL, "0x84 is no reason code of it"),
    ("DISCONNECT server reference", packet(0xE0, b"\x00\x04\x1c\x00\x01a"), PROTOCOL, "server reference from a client"),
    ("DISCONNECT expiry twice", packet(0xE0, b"\x00\x0a" + b"\x11\x00\x00\x00\x01" * 2), PROTOCOL, "comes twice"),
    ("DISCONNECT property", packet(0xE0, b"\x00\x03\x21\x00\x01"), MALFORMED, "Receive Maximum is no property"),
    ("DISCONNECT leftovers", packet(0xE0, b"\x00\x00!"), MALFORMED, "left over"),
    ("AUTH flags", b"\xf1\x00", MALFORMED, "MQTT5-2.1.3-1"),
    ("AUTH reason", packet(0xF0, b"\x01"), PROTOCOL, "0x1 is no reason code of it"),
    ("AUTH without method", packet(0xF0, b"\x18\x03\x16\x00\x00"), PROTOCOL, "no authentication method"),
    ("AUTH method not UTF-8", packet(0xF0, b"\x18\x04\x15\x00\x01\xff"), MALFORMED, "MQTT5-1.5.4-1"),
    ("AUTH leftovers", packet(0xF0, b"\x18\x04\x15\x00\x01a!"), MALFORMED, "left over"),
    ("reserved type 0", b"\x00\x00", MALFORMED, "type 0 is reserved"),
    ("CONNACK", b"\x20\x03\x00\x00\x00", PROTOCOL, "CONNACK is for servers"),
    ("SUBACK", b"\x90\x04\x00\x01\x00\x00", PROTOCOL, "SUBACK is for servers"),
    ("padded remaining length", b"\xc0\x80\x00", MALFORMED, "MQTT5-1.5.5-1"),
    ("length of five bytes", b"\x30\x80\x80\x80\x80\x01", MALFORMED, "more than four bytes"),
    ("too large", b"\x30\xff\x7f", Reason.PACKET_TOO_LARGE, "at most 1000"),
]


@pytest.mark.parametrize(
    ("data", "code", "rule"), [pytest.param(data, code, rule, id=name) for name, data, code, rule in REJECTED]
)
def test_what_breaks_a_rule_is_malformed(data: bytes, code: Reason, rule: str) -> None:
    """Each breach ends the list with Malformed, its reason code and the rule; fed whole and byte by byte.

    Strings: [MQTT5-1.5.4-1, 1.5.4-2, 1.5.5-1, 1.5.7-1, 3.1.3-4, 3.1.3-11, 3.1.3-12, 3.3.2-1, 3.3.2-13, 3.3.2-19,
    3.8.3-1, 3.10.3-1]. Headers and ids: [MQTT5-2.1.3-1, 2.2.1-3, 3.6.1-1, 3.8.1-1, 3.10.1-1, 3.14.1-1, 3.15.1-1].
    CONNECT: [MQTT5-3.1.2-1, 3.1.2-3, 3.1.2-9, 3.1.2-11, 3.1.2-12, 3.1.2-13, 3.1.2-16, 3.1.2-17, 3.1.2-18, 3.1.2-19,
    3.1.3-3, 3.1.4-1]. PUBLISH: [MQTT5-3.3.1-2, 3.3.1-4, 3.3.2-2, 3.3.2-8, 3.3.2-14, 3.3.4-6].
    SUBSCRIBE and UNSUBSCRIBE: [MQTT5-3.8.3-2, 3.8.3-4, 3.8.3-5, 3.10.3-2, 4.7.0-1, 4.7.1-1, 4.7.1-2, 4.7.3-1, 4.7.3-2,
    4.8.2-1, 4.8.2-2]. Reason codes: [MQTT5-3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1, 3.14.2-1, 3.15.2-1].
    """
    (whole,) = PacketReader(1000, level=MQTT_5).feed(data)
    assert isinstance(whole, Malformed)
    assert rule in whole.reason
    assert whole.code == code
    reader = PacketReader(1000, level=MQTT_5)
    assert [read for byte in data for read in reader.feed(bytes((byte,)))] == [whole]


@pytest.mark.parametrize(
    "data", [data for name, data, _, _ in REJECTED if data[0] >> 4 == 1], ids=lambda data: data.hex()
)
def test_a_broken_connect_tells_its_level(data: bytes) -> None:
    """Who answers a CONNECT that says 5 and breaks a rule knows the words to answer in (MQTT 5, 4.13.1)."""
    reader = PacketReader(1000)
    (broken,) = reader.feed(data)
    assert isinstance(broken, Malformed)
    assert reader.level == MQTT_5 or data[0] != 0x10 or b"MQIsdp" in data


# --- What is allowed --------------------------------------------------------------------------------------------------


def test_a_password_needs_no_user_name() -> None:
    """MQTT 5 lets a client send a password alone (3.1.2.9)."""
    data = client.write(Connect(MQTT_5, "c", password=b"token"))
    assert PacketReader(1000).feed(data) == [Connect(MQTT_5, "c", password=b"token")]


def test_a_byte_order_mark_stays() -> None:
    """U+FEFF is a character like any other, in every string, properties among them [MQTT5-1.5.4-3]."""
    mark = (("\ufeffname", "\ufeff"),)
    packets = [
        Connect(MQTT_5, "\ufeff", username="\ufeff", will=Will("\ufeff", b""), user=mark),
        Publish("\ufeff", b"", 0, 0, retain=False, dup=False),
        Unsubscribe(1, ("\ufeff",), mark),
        Disconnect(0, reason_string="\ufeff"),
    ]
    assert PacketReader(1000).feed(b"".join(map(client.write, packets))) == packets


def test_a_client_may_take_packets_larger_than_there_are() -> None:
    """A maximum packet size beyond what MQTT can say is no error (MQTT 5, 3.1.2.11.4)."""
    (packet_,) = PacketReader(1000).feed(connect(0x02, b"\x27\xff\xff\xff\xff"))
    assert isinstance(packet_, Connect)
    assert packet_.max_packet_bytes == 0xFFFF_FFFF


def test_what_may_be_left_out() -> None:
    """Reason 0 and empty properties may be left out, in steps (MQTT 5, 3.4.2.1, 3.14.2.1)."""
    data = b"\xe0\x00", b"\xe0\x01\x00", b"\xe0\x02\x00\x00"
    assert [PacketReader(1000, level=MQTT_5).feed(one) for one in data] == [[Disconnect()]] * 3
    acknowledged = b"\x40\x02\x00\x01", b"\x40\x03\x00\x01\x00", b"\x40\x04\x00\x01\x00\x00"
    assert [PacketReader(1000, level=MQTT_5).feed(one) for one in acknowledged] == [[(1, 0)]] * 3


def test_an_alias_stands_for_an_empty_topic() -> None:
    """An empty topic is no error where an alias comes with it; the first time and the next (MQTT 5, 3.3.2.3.4)."""
    reader = PacketReader(1000, level=MQTT_5)
    data = packet(0x32, b"\x00\x00\x00\x01\x03\x23\x00\x05hi")
    (first,), (second,) = reader.feed(data), reader.feed(data)
    assert isinstance(first, Publish)
    assert (first.topic, first.payload, first.properties.topic_alias) == ("", b"hi", 5)
    assert second == first
    # The block is known now, yet without it there is no alias.
    (broken,) = reader.feed(packet(0x32, b"\x00\x00\x00\x01\x00hi"))
    assert isinstance(broken, Malformed)


def test_a_block_that_came_before_is_no_excuse() -> None:
    """What a reader remembers of properties never stands in for bytes that are not there, or for a bad topic."""
    known = packet(0x32, b"\x00\x01t\x00\x01\x03\x23\x00\x05")
    for broken in (
        packet(0x32, b"\x00\x01t\x00\x01\x03\x23\x00") + b"\x05",
        packet(0x32, b"\x00\x01#\x00\x01\x03\x23\x00\x05"),
        packet(0x32, b"\x00\x03t\x00\x00\x00\x01\x03\x23\x00\x05"),
        packet(0x32, b"\x00\x01t\x00\x00\x03\x23\x00\x05"),
    ):
        reader = PacketReader(1000, level=MQTT_5)
        assert len(reader.feed(known + known)) == 2
        assert isinstance(reader.feed(broken)[0], Malformed)


def test_the_memory_for_blocks_is_bounded() -> None:
    """A client that sends ever new properties does not make the reader grow."""
    reader = PacketReader(100_000, level=MQTT_5)
    for i in range(1000):
        value = str(i).encode()
        data = packet(0x32, b"\x00\x01t\x00\x01" + bytes((len(value) + 3, 9, 0, len(value))) + value)
        (read,) = reader.feed(data)
        assert isinstance(read, Publish)
        assert read.properties.correlation_data == value
    reader.feed(b"\x32\x96\x02\x00\x01t\x00\x01\x8e\x02\x09\x01\x0b" + bytes(267))
    assert 0 < len(reader._blocks) <= 16
    assert max(map(len, reader._blocks)) <= 128


def test_properties_of_a_packet_are_bounded() -> None:
    """A packet full of user properties is refused as more than the server takes, before it takes memory and time."""
    pair = b"\x26\x00\x00\x00\x00"
    for count, wanted in ((1024, Publish), (1025, Malformed)):
        block = pair * count
        length = bytes((len(block) & 0x7F | 0x80, len(block) >> 7))
        body = b"\x00\x01t" + length + block
        size = bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
        (read,) = PacketReader(100_000, level=MQTT_5).feed(b"\x30" + size + body)
        assert type(read) is wanted
    body = b"\x00\x01" + length + block + b"\x00\x01a\x00"
    size = bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
    (refused,) = PacketReader(100_000, level=MQTT_5).feed(b"\x82" + size + body)
    assert refused == Malformed("SUBSCRIBE: more than 1024 user properties in one packet", Reason.QUOTA_EXCEEDED)


def test_subscription_options() -> None:
    """Each option is its own bits (MQTT 5, figure 3-21)."""
    (read,) = PacketReader(1000, level=MQTT_5).feed(subscribe(b"", b"\x00\x01a\x2e"))
    assert isinstance(read, Subscribe)
    assert read.subscriptions == (("a", 2, True, True, 2),)


def test_the_level_of_a_connection_is_that_of_its_connect() -> None:
    """The same bytes are read as the CONNECT before them says; AUTH is there only at level 5."""
    bytes_of_5 = b"\x32\x08\x00\x01t\x00\x0a\x00hi"
    for level, payload in ((4, b"\x00hi"), (5, b"hi")):
        _, read = PacketReader(1000).feed(client.write(Connect(level, "c")) + bytes_of_5)
        assert isinstance(read, Publish)
        assert read.payload == payload
        assert read[5:] == (False, ((None,) * 6 + ((), ())))
    _, broken = PacketReader(1000).feed(client.write(Connect(4, "c")) + b"\xf0\x00")
    assert broken == Malformed("packet type 15 is reserved")
