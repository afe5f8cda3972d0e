"""Whole packets out of a buffer: vectors written by hand from the tables of MQTT 3.1.1."""

import pytest

from actors.wire.mqtt.packets import (
    NEVER_EXPIRES,
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
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.reader import PacketReader

MIB = 1024 * 1024

VECTORS: list[tuple[str, bytes, Packet]] = [
    (
        "CONNECT 3.1.1 with user name and password",
        b"\x10\x19\x00\x04MQTT\x04\xc2\x00\x3c\x00\x04lot1\x00\x03p/d\x00\x02pw",
        Connect(4, "lot1", clean_start=True, keep_alive=60, username="p/d", password=b"pw"),
    ),
    (
        "CONNECT 3.1, whose protocol has another name",
        b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x0a\x00\x02c1",
        Connect(3, "c1", clean_start=True, keep_alive=10),
    ),
    (
        "CONNECT 3.1, which does not reserve the lowest flag",
        b"\x10\x10\x00\x06MQIsdp\x03\x03\x00\x0a\x00\x02c1",
        Connect(3, "c1", clean_start=True, keep_alive=10),
    ),
    (
        "CONNECT with a will (QoS 1, retained) and a persistent session",
        b"\x10\x14\x00\x04MQTT\x04\x2c\x00\x00\x00\x01c\x00\x01t\x00\x02ok",
        Connect(4, "c", clean_start=False, will=Will("t", b"ok", 1, retain=True), session_expiry=NEVER_EXPIRES),
    ),
    (
        "CONNECT with an empty client id, which is left empty",
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
        Connect(4, "", clean_start=True),
    ),
    (
        "CONNECT with a password that is no text",
        b"\x10\x14\x00\x04MQTT\x04\xc2\x00\x00\x00\x01c\x00\x01u\x00\x02\xff\x00",
        Connect(4, "c", username="u", password=b"\xff\x00"),
    ),
    ("CONNECT of a level to come, told by it", b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01c", Connect(6)),
    ("CONNECT of a mosquitto bridge", b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01c", Connect(0x84)),
    ("PUBLISH QoS 0", b"\x30\x05\x00\x01thi", Publish("t", b"hi", 0, 0, retain=False, dup=False)),
    ("PUBLISH QoS 1", b"\x32\x07\x00\x01t\x00\x0ahi", Publish("t", b"hi", 1, 10, retain=False, dup=False)),
    (
        "PUBLISH QoS 1, empty payload",
        b"\x32\x05\x00\x01t\xff\xff",
        Publish("t", b"", 1, 65535, retain=False, dup=False),
    ),
    ("PUBLISH QoS 1 sent again", b"\x3a\x05\x00\x01t\x00\x01", Publish("t", b"", 1, 1, retain=False, dup=True)),
    ("PUBLISH QoS 2 retained", b"\x35\x05\x00\x01t\x00\x01", Publish("t", b"", 2, 1, retain=True, dup=False)),
    ("PUBLISH to a topic beyond ASCII", b"\x30\x04\x00\x02\xc3\xa9", Publish("é", b"", 0, 0, retain=False, dup=False)),
    (
        "PUBLISH to a topic with a byte order mark, which stays",
        b"\x30\x05\x00\x03\xef\xbb\xbf",
        Publish("\ufeff", b"", 0, 0, retain=False, dup=False),
    ),
    (
        "PUBLISH whose length is written longer than needed",
        b"\x30\x83\x00\x00\x01t",
        Publish("t", b"", 0, 0, retain=False, dup=False),
    ),
    ("PUBACK", b"\x40\x02\x12\x34", Puback(0x1234)),
    ("PUBREC", b"\x50\x02\x00\x01", Pubrec(1)),
    ("PUBREL", b"\x62\x02\x00\x01", Pubrel(1)),
    ("PUBCOMP", b"\x70\x02\x00\x01", Pubcomp(1)),
    (
        "SUBSCRIBE",
        b"\x82\x0c\x00\x05\x00\x03a/+\x01\x00\x01#\x02",
        Subscribe(5, (Subscription("a/+", 1), Subscription("#", 2))),
    ),
    ("UNSUBSCRIBE", b"\xa2\x0a\x00\x06\x00\x03a/+\x00\x01#", Unsubscribe(6, ("a/+", "#"))),
    ("PINGREQ", b"\xc0\x00", Pingreq()),
    ("DISCONNECT", b"\xe0\x00", Disconnect()),
]


def test_every_packet_that_a_client_may_send() -> None:
    """Each packet of MQTT 3.1 and 3.1.1 is read as the standard writes it, on a fresh connection and again.

    [MQTT-1.5.3-3, 2.3.1-5, 3.1.2-2, 3.1.3-1]
    """
    for name, data, expected in VECTORS:
        reader = PacketReader(MIB)
        assert reader.feed(data) == [expected], name
        if not isinstance(expected, Connect):
            assert reader.feed(data + data) == [expected, expected], name


def test_packets_are_told_apart_by_type() -> None:
    """Packets that are tuples are still told apart by their type."""
    packets = PacketReader(MIB).feed(b"\x40\x02\x00\x01\x32\x07\x00\x01t\x00\x0ahi")
    assert [type(packet) for packet in packets] == [Puback, Publish]


def test_byte_by_byte() -> None:
    """Where the network cuts makes no difference."""
    for name, data, expected in VECTORS:
        reader = PacketReader(MIB)
        packets = [packet for byte in data for packet in reader.feed(bytes((byte,)))]
        assert packets == [expected], name


def test_many_packets_at_once_and_the_beginning_of_one_more() -> None:
    """Whole packets are handed out in order, and the rest waits for its end."""
    reader = PacketReader(MIB)
    publish = b"\x32\x07\x00\x01t\x00\x01hi"
    assert reader.feed(b"\xc0\x00" + publish + b"\x40\x02\x00\x09" + publish[:4]) == [
        Pingreq(),
        Publish("t", b"hi", 1, 1, retain=False, dup=False),
        Puback(9),
    ]
    assert reader.feed(b"") == []
    assert reader.feed(publish[4:] + b"\xc0") == [Publish("t", b"hi", 1, 1, retain=False, dup=False)]
    assert reader.feed(b"\x00") == [Pingreq()]


@pytest.mark.parametrize("size", [127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_remaining_lengths_at_their_borders(size: int) -> None:
    """Remaining lengths take one to four bytes, seven bits each (MQTT 3.1.1, table 2.4)."""
    length = {127: b"\x7f", 128: b"\x80\x01", 16_383: b"\xff\x7f", 16_384: b"\x80\x80\x01"}
    length |= {2_097_151: b"\xff\xff\x7f", 2_097_152: b"\x80\x80\x80\x01"}
    data = b"\x30" + length[size] + b"\x00\x01t" + bytes(size - 3)
    reader = PacketReader(4 * MIB)
    assert reader.feed(data[:2]) == []
    assert reader.feed(data[2:]) == [Publish("t", bytes(size - 3), 0, 0, retain=False, dup=False)]


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        (100, b"\x30\x63"),
        (100, b"\x30\xff\xff\xff\x7f"),
        (100, b"\x32\x63\x00\x01t\x00\x01" + bytes(94)),
        (1024, b"\x82\xff\x7f"),
    ],
)
def test_too_large_a_packet_is_refused_once_its_length_is_known(limit: int, data: bytes) -> None:
    """A packet over the limit is malformed at once; nothing of it is kept."""
    reader = PacketReader(limit)
    (last,) = reader.feed(data)
    assert isinstance(last, Malformed)
    assert f"at most {limit}" in last.reason
    assert reader.feed(bytes(1000)) == []
    assert len(reader._rest) == 0


def test_the_limit_counts_the_whole_packet() -> None:
    """A packet of exactly the limit is taken, one byte more is not, on the hot path too."""
    publish = b"\x32\x07\x00\x01t\x00\x01hi"
    longer = b"\x32\x08\x00\x01t\x00\x01hi!"
    reader = PacketReader(len(publish))
    assert len(reader.feed(publish + publish)) == 2
    assert [type(packet) for packet in reader.feed(publish + longer)] == [Publish, Malformed]


def test_nothing_is_taken_after_a_malformed_packet() -> None:
    """What came before a malformed packet is handed out, what comes after it never."""
    reader = PacketReader(MIB)
    first, second = reader.feed(b"\xc0\x00\xf0\x00\xc0\x00")
    assert first == Pingreq()
    assert isinstance(second, Malformed)
    assert reader.feed(b"\xc0\x00") == []


def test_nothing_is_taken_after_an_unsupported_level() -> None:
    """What follows a CONNECT of another protocol level is not read as though it were 3.1.1."""
    reader = PacketReader(MIB)
    assert reader.feed(b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01c\xc0\x00") == [Connect(6)]
    assert reader.feed(b"\xc0\x00") == []


def test_mqtt_3_1_does_not_use_header_flags() -> None:
    """A 3.1 client may send SUBSCRIBE again with DUP set (MQTT 3.1, 2.1); a 3.1.1 client may not."""
    subscribe_again = b"\x8a\x06\x00\x05\x00\x01a\x01"
    connect = b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x0a\x00\x02c1"
    assert PacketReader(MIB).feed(connect + subscribe_again)[1] == Subscribe(5, (Subscription("a", 1),))
    assert isinstance(PacketReader(MIB).feed(subscribe_again)[0], Malformed)


def test_the_topic_cache_is_bounded() -> None:
    """A client that publishes to ever new topics does not make the reader grow."""
    reader = PacketReader(MIB)
    for i in range(1000):
        topic = str(i).encode()
        (packet,) = reader.feed(bytes((0x30, len(topic) + 2, 0, len(topic))) + topic)
        assert isinstance(packet, Publish)
        assert packet.topic == str(i)
    long = b"x" * 300
    reader.feed(b"\x30\xae\x02\x01\x2c" + long)
    assert len(reader._topics) <= 64
    assert long not in reader._topics


def test_a_topic_that_reaches_into_the_next_packet_is_malformed() -> None:
    """A cached topic is not read out of bytes beyond the packet's end."""
    reader = PacketReader(MIB)
    following = b"\x32\x0d" + b"\x00\x05" + b"abc\x32\x0d" + b"\x00\x01" + b"data"
    (cached,) = reader.feed(following)
    assert isinstance(cached, Publish)
    assert cached.topic == "abc2\r"
    (packet,) = reader.feed(b"\x32\x05\x00\x05abc" + following)
    assert isinstance(packet, Malformed)
