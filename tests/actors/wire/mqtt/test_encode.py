"""What is sent, against bytes written by hand and against amqtt as an independent reader."""

import pytest

from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import NEVER_EXPIRES, Connect, Publish, Subscribe, Subscription, Unsubscribe
from actors.wire.mqtt.reader import PacketReader


def test_server_packets() -> None:
    """Each answer has the bytes of the standard's figures."""
    assert encode.connack(encode.ACCEPTED) == b"\x20\x02\x00\x00"
    assert encode.connack(encode.ACCEPTED, session_present=True) == b"\x20\x02\x01\x00"
    assert encode.connack(encode.NOT_AUTHORIZED) == b"\x20\x02\x00\x05"
    assert encode.suback(10, [0, 1, encode.SUBSCRIPTION_FAILED]) == b"\x90\x05\x00\x0a\x00\x01\x80"
    assert encode.unsuback(0x1234) == b"\xb0\x02\x12\x34"
    assert encode.PINGRESP == b"\xd0\x00"


def test_a_refusal_never_has_a_session() -> None:
    """CONNACK with another code than 0 says that no session is present [MQTT-3.2.2-4]."""
    assert encode.connack(encode.SERVER_UNAVAILABLE, session_present=True) == b"\x20\x02\x00\x03"


def test_pubacks_are_one_piece_in_order() -> None:
    """Acknowledgements of one group commit leave together, in the order in which the packets came."""
    assert encode.pubacks([1, 0xFFFF, 0x0102]) == b"\x40\x02\x00\x01\x40\x02\xff\xff\x40\x02\x01\x02"
    assert encode.pubacks(iter([7])) == b"\x40\x02\x00\x07"
    assert encode.pubacks([]) == b""


def test_publish() -> None:
    """PUBLISH carries its flags, a packet id only with QoS [MQTT-2.3.1-5], and topics beyond ASCII."""
    assert encode.publish("t", b"hi", qos=0, packet_id=0, retain=False, dup=False) == b"\x30\x05\x00\x01thi"
    assert encode.publish("t", b"hi", qos=1, packet_id=10, retain=True, dup=True) == b"\x3b\x07\x00\x01t\x00\x0ahi"
    assert encode.publish("é", b"") == b"\x30\x04\x00\x02\xc3\xa9"


@pytest.mark.parametrize("size", [0, 100, 124, 125, 16_380, 16_381, 2_097_149, 2_097_150])
def test_publish_of_every_size_is_read_back(size: int) -> None:
    """Remaining lengths of one to four bytes are written as they are read."""
    data = encode.publish("t", bytes(size))
    assert PacketReader(4_000_000).feed(data) == [Publish("t", bytes(size), 0, 0, retain=False, dup=False)]


def test_client_packets_are_read_back() -> None:
    """What the load generators send is what the server reads."""
    data = (
        encode.connect("c", username="u", password=b"p", keep_alive=5)
        + encode.subscribe(1, [("a/+", 1), ("b", 0)])
        + encode.unsubscribe(2, ["a/+"])
    )
    assert PacketReader(1000).feed(data) == [
        Connect(4, "c", clean_start=True, keep_alive=5, username="u", password=b"p"),
        Subscribe(1, (Subscription("a/+", 1), Subscription("b", 0))),
        Unsubscribe(2, ("a/+",)),
    ]
    assert PacketReader(1000).feed(encode.connect("c", level=3, clean_start=False)) == [
        Connect(3, "c", clean_start=False, keep_alive=60, session_expiry=NEVER_EXPIRES)
    ]


def test_what_mqtt_cannot_say_is_refused() -> None:
    """A topic over 65535 bytes is a mistake of the caller, told as such."""
    with pytest.raises(ValueError, match="65535"):
        encode.publish("x" * 65_536, b"")


def test_amqtt_agrees() -> None:
    """The packet classes of amqtt write the same bytes."""
    from amqtt.mqtt.puback import PubackPacket  # noqa: PLC0415 - only this test needs them
    from amqtt.mqtt.publish import PublishPacket  # noqa: PLC0415
    from amqtt.mqtt.suback import SubackPacket  # noqa: PLC0415

    assert (
        encode.publish("a/b", b"x" * 300, qos=1, packet_id=7)
        == PublishPacket.build("a/b", b"x" * 300, 7, dup_flag=False, qos=1, retain=False).to_bytes()
    )
    assert encode.pubacks([7]) == PubackPacket.build(7).to_bytes()
    assert encode.suback(7, [0, 1]) == SubackPacket.build(7, [0, 1]).to_bytes()
