"""What load generators and tests send: written and read back, at each level."""

import pytest

from actors.wire.mqtt import client, encode
from actors.wire.mqtt.packets import (
    MQTT_3_1,
    MQTT_3_1_1,
    MQTT_5,
    NEVER_EXPIRES,
    Auth,
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
from actors.wire.mqtt.properties import Properties
from actors.wire.mqtt.reader import PacketReader

USER = (("name", "a"), ("name", "b"), ("", ""))
MESSAGE = Properties(
    payload_format=1,
    message_expiry=60,
    response_topic="answers/é",
    correlation_data=b"\x00\xff",
    content_type="text/plain",
    user=USER,
)
FULL_CONNECT = Connect(
    MQTT_5,
    "c",
    clean_start=False,
    keep_alive=30,
    username="u",
    password=b"\xff",
    will=Will("w", b"gone", 2, retain=True, delay=5, properties=MESSAGE),
    session_expiry=NEVER_EXPIRES,
    receive_maximum=10,
    max_packet_bytes=4096,
    topic_alias_maximum=7,
    request_response_information=True,
    request_problem_information=False,
    user=USER,
    authentication_method="SCRAM",
    authentication_data=b"hi",
)
OF_MQTT_5: list[Packet] = [
    Connect(MQTT_5),
    FULL_CONNECT,
    Publish("t", b"hi", 0, 0, retain=False, dup=False),
    Publish("t", b"hi", 1, 9, retain=True, dup=True, properties=MESSAGE),
    Publish("", b"hi", 2, 9, retain=False, dup=False, properties=Properties(topic_alias=3)),
    Puback(1),
    Puback(1, 0x97),
    Pubrec(2, 0x10),
    Pubrel(3, 0x92),
    Pubcomp(4, 0x92),
    Subscribe(5, (Subscription("a/+", 1), Subscription("b", 2, True, True, 2)), 268_435_455, USER),  # noqa: FBT003 - as on the wire
    Unsubscribe(6, ("a/+", "b"), USER),
    Pingreq(),
    Disconnect(),
    Disconnect(4),
    Disconnect(0, session_expiry=0),
    Disconnect(0x80, 30, "tired", USER),
    Auth(),
    Auth(0x19, "SCRAM", b"", "again", USER),
]


@pytest.mark.parametrize("packet", OF_MQTT_5, ids=str)
def test_every_packet_of_mqtt_5_is_read_back(packet: Packet) -> None:
    """What the client writes with every property is what the server reads, whole, twice, and byte by byte.

    [MQTT5-2.2.2-1, 3.1.3-1]
    """
    data = client.write(packet)
    assert PacketReader(4096, level=MQTT_5).feed(data) == [packet]
    reader = PacketReader(4096, level=MQTT_5)
    assert [read for byte in data + data for read in reader.feed(bytes((byte,)))] == [packet, packet]


@pytest.mark.parametrize("level", [MQTT_3_1, MQTT_3_1_1])
def test_every_packet_of_mqtt_3_is_read_back(level: int) -> None:
    """What the client writes at the older levels is what the server reads."""
    packets: list[Packet] = [
        Connect(level, "c", keep_alive=5, username="u", password=b"p", will=Will("t", b"gone", 1, retain=True)),
        Publish("t", b"hi", 2, 9, retain=True, dup=True),
        Puback(1),
        Pubrec(2),
        Pubrel(3),
        Pubcomp(4),
        Subscribe(5, (Subscription("a/+", 1), Subscription("b", 2))),
        Unsubscribe(6, ("a/+",)),
        Pingreq(),
        Disconnect(),
    ]
    assert PacketReader(4096).feed(b"".join(client.write(packet, level) for packet in packets)) == packets


def test_both_ways_to_write_agree() -> None:
    """The short functions for MQTT 3 and the typed packets yield the same bytes."""
    assert client.write(Connect(4, "c", keep_alive=60, username="u", password=b"p")) == encode.connect(
        "c", username="u", password=b"p"
    )
    assert client.write(Subscribe(1, (Subscription("a", 2),)), MQTT_3_1_1) == encode.subscribe(1, [("a", 2)])
    assert client.write(Unsubscribe(1, ("a",)), MQTT_3_1_1) == encode.unsubscribe(1, ["a"])


def test_what_is_malformed_is_not_written() -> None:
    """There are no bytes for it."""
    with pytest.raises(ValueError, match="no packet: broken"):
        client.write(Malformed("broken"))
