"""What a server says at each level: bytes by hand from the standards, and read back as a client does."""

import pytest

from actors.wire.mqtt import encode
from actors.wire.mqtt.answers import (
    Acknowledgement,
    Answer,
    AnswerReader,
    Connack,
    Pingresp,
    ServerDisconnect,
    Suback,
    Unsuback,
)
from actors.wire.mqtt.cursor import MalformedError
from actors.wire.mqtt.dialect import PINGRESP, Dialect, dialect_of
from actors.wire.mqtt.packets import MQTT_3_1, MQTT_3_1_1, MQTT_5, Publish
from actors.wire.mqtt.properties import ConnackProperties, Properties
from actors.wire.mqtt.reasons import Reason

USER = (("name", "a"), ("name", "b"))
LEVELS = [MQTT_3_1, MQTT_3_1_1, MQTT_5]


def heard(data: bytes, level: int = MQTT_5) -> list[Answer]:
    return AnswerReader(level).feed(data)


# --- CONNACK ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.SUCCESS, 0),
        (Reason.UNSUPPORTED_PROTOCOL_VERSION, 1),
        (Reason.CLIENT_IDENTIFIER_NOT_VALID, 2),
        (Reason.SERVER_UNAVAILABLE, 3),
        (Reason.SERVER_BUSY, 3),
        (Reason.QUOTA_EXCEEDED, 3),
        (Reason.CONNECTION_RATE_EXCEEDED, 3),
        (Reason.MALFORMED_PACKET, 3),
        (Reason.BAD_USER_NAME_OR_PASSWORD, 4),
        (Reason.NOT_AUTHORIZED, 5),
        (Reason.BANNED, 5),
        (Reason.BAD_AUTHENTICATION_METHOD, 5),
    ],
)
def test_mqtt_3_has_return_codes(reason: Reason, code: int) -> None:
    """CONNACK says the one of six codes that comes closest to the reason (MQTT 3.1.1, table 3.1)."""
    assert dialect_of(MQTT_3_1_1).connack(reason) == bytes((0x20, 2, 0, code))
    assert dialect_of(MQTT_3_1).connack(reason) == bytes((0x20, 2, 0, code))


def test_session_present() -> None:
    """CONNACK says that the session was there and has no other flag [MQTT5-3.2.2-1]; MQTT 3.1 has not even this."""
    assert dialect_of(MQTT_5).connack(0, session_present=True) == b"\x20\x03\x01\x00\x00"
    assert dialect_of(MQTT_3_1_1).connack(0, session_present=True) == b"\x20\x02\x01\x00"
    assert dialect_of(MQTT_3_1).connack(0, session_present=True) == b"\x20\x02\x00\x00"


def test_a_refusal_never_has_a_session() -> None:
    """CONNACK of a failure says that no session is present [MQTT-3.2.2-4, MQTT5-3.2.2-6]."""
    for level in LEVELS:
        assert dialect_of(level).connack(Reason.NOT_AUTHORIZED, session_present=True)[2] == 0


def test_a_level_that_is_not_supported_is_answered_as_mqtt_3_1_1() -> None:
    """Code 1 in the form that the standard has for it [MQTT-3.1.2-2]."""
    assert dialect_of(9).connack(Reason.UNSUPPORTED_PROTOCOL_VERSION) == b"\x20\x02\x00\x01"


def test_connack_with_every_property() -> None:
    """Each property of CONNACK is written and read as it was meant (MQTT 5, 3.2.2.3)."""
    properties = ConnackProperties(
        session_expiry=3600,
        receive_maximum=20,
        maximum_qos=1,
        retain_available=False,
        max_packet_bytes=1_048_576,
        assigned_client_id="auto-1",
        topic_alias_maximum=16,
        reason_string="because",
        user=USER,
        wildcards_available=False,
        subscription_ids_available=False,
        shared_available=False,
        server_keep_alive=30,
        response_information="answers/",
        server_reference="other:1883",
        authentication_method="SCRAM",
        authentication_data=b"\x00",
    )
    data = dialect_of(MQTT_5).connack(0, session_present=True, properties=properties)
    assert heard(data) == [Connack(session_present=True, reason=0, properties=properties)]
    assert dialect_of(MQTT_3_1_1).connack(0, properties=properties) == b"\x20\x02\x00\x00"


def test_what_is_the_default_is_not_sent() -> None:
    """A CONNACK that has nothing to say has an empty property block [MQTT5-2.2.2-1]."""
    assert dialect_of(MQTT_5).connack(Reason.NOT_AUTHORIZED) == b"\x20\x03\x00\x87\x00"
    zero = ConnackProperties(session_expiry=0, server_keep_alive=0, topic_alias_maximum=0)
    assert heard(dialect_of(MQTT_5).connack(0, properties=zero)) == [
        Connack(session_present=False, reason=0, properties=zero)
    ]


# --- Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_success_is_the_same_at_every_level(level: int) -> None:
    """Acknowledgements carry the id that they answer [MQTT-2.3.1-6, MQTT5-2.2.1-5], in order, as one piece.

    PUBREL has its reserved flags [MQTT-3.6.1-1, MQTT5-3.6.1-1].
    """
    dialect = dialect_of(level)
    assert dialect.pubacks([1, 0xFFFF]) == b"\x40\x02\x00\x01\x40\x02\xff\xff"
    assert dialect.pubrecs(iter([1])) == dialect.pubrec(1) == b"\x50\x02\x00\x01"
    assert dialect.pubrels([1]) == dialect.pubrel(1) == b"\x62\x02\x00\x01"
    assert dialect.pubcomps([1]) == dialect.pubcomp(1) == b"\x70\x02\x00\x01"
    assert dialect.puback(1) == b"\x40\x02\x00\x01"
    assert PINGRESP == b"\xd0\x00"


@pytest.mark.parametrize("kind", ["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"])
def test_a_reason_and_its_text(kind: str) -> None:
    """MQTT 5 says why, with one of its codes [MQTT5-3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1]; MQTT 3 cannot."""
    reason = Reason.QUOTA_EXCEEDED if kind in ("PUBACK", "PUBREC") else Reason.PACKET_IDENTIFIER_NOT_FOUND
    for level in LEVELS:
        dialect = dialect_of(level)
        write = getattr(dialect, kind.lower())
        assert dialect.can_refuse == (level == MQTT_5)
        said = level == MQTT_5
        assert heard(write(7, reason), level) == [Acknowledgement(kind, 7, reason if said else 0)]
        full = write(7, reason, "the topic is full")
        assert heard(full, level) == [
            Acknowledgement(kind, 7, reason if said else 0, "the topic is full" if said else None)
        ]


def test_suback() -> None:
    """A reason for each filter, in order, as the level has it [MQTT-3.9.3-1, 3.9.3-2; MQTT5-3.9.3-1, 3.9.3-2]."""
    reasons = [0, 1, 2, Reason.NOT_AUTHORIZED]
    assert dialect_of(MQTT_5).suback(10, reasons) == b"\x90\x07\x00\x0a\x00\x00\x01\x02\x87"
    assert dialect_of(MQTT_3_1_1).suback(10, reasons) == b"\x90\x06\x00\x0a\x00\x01\x02\x80"
    assert dialect_of(MQTT_3_1).suback(10, reasons) == b"\x90\x06\x00\x0a\x00\x01\x02\x00"
    assert heard(dialect_of(MQTT_5).suback(10, reasons, "not yours")) == [Suback(10, (0, 1, 2, 0x87), "not yours")]
    assert heard(dialect_of(MQTT_5).suback(10, [1], "not yours")) == [Suback(10, (1,))]


def test_unsuback() -> None:
    """A reason for each filter at MQTT 5 [MQTT5-3.11.3-1, MQTT5-3.11.3-2], the id alone before [MQTT-3.10.4-4]."""
    reasons = [0, Reason.NO_SUBSCRIPTION_EXISTED, Reason.NOT_AUTHORIZED]
    assert dialect_of(MQTT_3_1_1).unsuback(0x1234, reasons, "x") == b"\xb0\x02\x12\x34"
    assert dialect_of(MQTT_5).unsuback(0x1234, reasons) == b"\xb0\x06\x12\x34\x00\x00\x11\x87"
    assert heard(dialect_of(MQTT_5).unsuback(1, reasons, "x")) == [Unsuback(1, (0, 0x11, 0x87), "x")]
    assert heard(dialect_of(MQTT_3_1_1).unsuback(1, reasons), MQTT_3_1_1) == [Unsuback(1)]


def test_disconnect() -> None:
    """MQTT 5 says why it closes [MQTT5-3.14.2-1]; before it a server only closes."""
    dialect = dialect_of(MQTT_5)
    assert dialect.disconnect(0) == b"\xe0\x00"
    assert dialect.disconnect(Reason.SESSION_TAKEN_OVER) == b"\xe0\x01\x8e"
    assert heard(dialect.disconnect(Reason.SERVER_MOVED, "moved", server_reference="b:1883")) == [
        ServerDisconnect(0x9D, "moved", "b:1883")
    ]
    assert dialect_of(MQTT_3_1_1).disconnect(Reason.SESSION_TAKEN_OVER, "x") == b""


# --- Text that is left out --------------------------------------------------------------------------------------------


def small(limit: int) -> Dialect:
    return dialect_of(MQTT_5, max_packet_bytes=limit)


def test_text_is_left_out_where_the_packet_would_be_too_large() -> None:
    """Reason strings and user properties never make a packet larger than the client takes.

    [MQTT5-3.2.2-19, 3.2.2-20, 3.4.2-2, 3.5.2-2, 3.6.2-2, 3.7.2-2, 3.9.2-1, 3.11.2-1, 3.14.2-3]
    """
    text = "x" * 50
    assert small(20).puback(1, 0x97, text) == b"\x40\x03\x00\x01\x97"
    assert small(20).pubrec(1, 0x97, text) == b"\x50\x03\x00\x01\x97"
    assert small(20).pubrel(1, 0x92, text) == b"\x62\x03\x00\x01\x92"
    assert small(20).pubcomp(1, 0x92, text) == b"\x70\x03\x00\x01\x92"
    assert small(20).suback(1, [0x87], text) == b"\x90\x04\x00\x01\x00\x87"
    assert small(20).unsuback(1, [0x87], text) == b"\xb0\x04\x00\x01\x00\x87"
    assert small(20).disconnect(0x8E, text) == b"\xe0\x01\x8e"
    assert heard(small(20).disconnect(0x9D, text, server_reference="b:1883")) == [
        ServerDisconnect(0x9D, None, "b:1883")
    ]
    properties = ConnackProperties(reason_string=text, user=USER, server_keep_alive=5)
    assert heard(small(20).connack(0x87, properties=properties)) == [
        Connack(session_present=False, reason=0x87, properties=ConnackProperties(server_keep_alive=5))
    ]
    assert heard(small(60).puback(1, 0x97, text)) == [Acknowledgement("PUBACK", 1, 0x97, text)]


def test_text_is_left_out_where_nobody_wants_it() -> None:
    """Without request problem information only CONNACK, PUBLISH and DISCONNECT explain themselves [MQTT5-3.1.2-29]."""
    dialect = dialect_of(MQTT_5, problem_information=False)
    assert dialect.puback(1, 0x97, "full") == b"\x40\x03\x00\x01\x97"
    assert dialect.pubrec(1, 0x97, "full") == b"\x50\x03\x00\x01\x97"
    assert dialect.suback(1, [0x87], "no") == b"\x90\x04\x00\x01\x00\x87"
    assert dialect.unsuback(1, [0x87], "no") == b"\xb0\x04\x00\x01\x00\x87"
    assert heard(dialect.disconnect(0x8E, "taken")) == [ServerDisconnect(0x8E, "taken")]
    properties = ConnackProperties(reason_string="no")
    assert heard(dialect.connack(0x87, properties=properties))[0] == Connack(
        session_present=False, reason=0x87, properties=properties
    )


# --- PUBLISH ----------------------------------------------------------------------------------------------------------


def test_publish_with_every_property() -> None:
    """Each property of a message is written and read as it was meant, user properties in their order."""
    properties = Properties(1, 60, 3, "answers/é", b"\x00", "text/plain", USER, (1, 268_435_455))
    data = dialect_of(MQTT_5).publish("t", b"hi", qos=1, packet_id=9, retain=True, dup=True, properties=properties)
    assert heard(data) == [Publish("t", b"hi", 1, 9, retain=True, dup=True, properties=properties)]
    old = dialect_of(MQTT_3_1_1).publish("t", b"hi", qos=1, packet_id=9, properties=properties)
    assert old == encode.publish("t", b"hi", qos=1, packet_id=9)


def test_publish_without_properties() -> None:
    """One zero byte stands for no properties [MQTT5-2.2.2-1], and no packet id for QoS 0 [MQTT5-2.2.1-2]."""
    dialect = dialect_of(MQTT_5)
    assert dialect.publish("t", b"hi") == b"\x30\x06\x00\x01t\x00hi"
    assert dialect.publish("t", b"hi", properties=Properties()) == dialect.publish("t", b"hi")
    assert dialect.publish("t", b"hi", qos=1, packet_id=10) == b"\x32\x08\x00\x01t\x00\x0a\x00hi"


@pytest.mark.parametrize("size", [127, 128, 16_383, 16_384])
def test_lengths_take_as_few_bytes_as_they_can(size: int) -> None:
    """A property block and a packet of every size are read back by who refuses padded lengths [MQTT5-1.5.5-1]."""
    properties = Properties(correlation_data=bytes(size - 3))
    data = dialect_of(MQTT_5).publish("t", b"", properties=properties)
    assert heard(data) == [Publish("t", b"", 0, 0, retain=False, dup=False, properties=properties)]


# --- The reader of answers --------------------------------------------------------------------------------------------


def test_answers_byte_by_byte() -> None:
    """Where the network cuts makes no difference to a client either."""
    dialect = dialect_of(MQTT_5)
    data = dialect.connack(0) + PINGRESP + dialect.publish("t", bytes(300)) + dialect.pubacks([1, 2])
    reader = AnswerReader()
    read = [answer for byte in data for answer in reader.feed(bytes((byte,)))]
    assert read == heard(data)
    assert read[1] == Pingresp()
    assert len(read) == 5


@pytest.mark.parametrize(
    ("data", "level", "rule"),
    [
        (b"\xc0\x00", MQTT_5, "type 12"),
        (b"\x20\x03\x02\x00\x00", MQTT_5, "reserved flags"),
        (b"\x20\x03\x00\x01\x00", MQTT_5, "no reason code"),
        (b"\x90\x03\x00\x01\x03", MQTT_3_1_1, "MQTT-3.9.3-2"),
        (b"\x90\x04\x00\x01\x00\x03", MQTT_5, "no reason code"),
        (b"\xe0\x00", MQTT_3_1_1, "below MQTT 5"),
        (b"\x60\x02\x00\x01", MQTT_5, "MQTT5-2.1.3-1"),
        (b"\x40\x02\x00\x00", MQTT_5, "packet id is 0"),
    ],
)
def test_what_no_server_says_raises(data: bytes, level: int, rule: str) -> None:
    """A client that tests a server notices what is wrong with its answers."""
    with pytest.raises(MalformedError, match=rule):
        heard(data, level)
