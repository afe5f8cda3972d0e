"""The words for what is answered, and what of them is on the wire."""

import pytest

from actors.device_session.errors import ProtocolViolationError
from actors.device_session.intake import answers
from actors.device_session.intake.aliases import TopicAliases
from actors.wire.mqtt.answers import Acknowledgement, AnswerReader
from actors.wire.mqtt.dialect import dialect_of
from actors.wire.mqtt.packets import MQTT_3_1_1, MQTT_5
from actors.wire.mqtt.reasons import Reason


def test_answers_are_encoded_in_their_order() -> None:
    """[MQTT-4.6.0-2, 4.6.0-3; MQTT5-4.6.0-2, 4.6.0-3] Whatever stands beside one another."""
    said = [
        answers.puback(1),
        answers.puback(2),
        answers.pubrec(3),
        answers.pubrec(4, Reason.QUOTA_EXCEEDED),
        answers.pubrec(5, Reason.QUOTA_EXCEEDED),
        answers.pubcomp(65_535),
        answers.puback(6, Reason.NO_MATCHING_SUBSCRIBERS),
    ]
    data = answers.encode(dialect_of(MQTT_5), said)
    assert AnswerReader(MQTT_5).feed(data) == [
        Acknowledgement("PUBACK", 1),
        Acknowledgement("PUBACK", 2),
        Acknowledgement("PUBREC", 3),
        Acknowledgement("PUBREC", 4, 0x97),
        Acknowledgement("PUBREC", 5, 0x97),
        Acknowledgement("PUBCOMP", 65_535),
        Acknowledgement("PUBACK", 6, 0x10),
    ]
    assert answers.encode(dialect_of(MQTT_5), []) == b""


def test_plain_acknowledgements_are_plain_packet_ids() -> None:
    """Nearly all answers are these: they cost nothing more than before there were others."""
    assert answers.puback(7) == 7
    assert answers.encode(dialect_of(MQTT_3_1_1), [7, 8]) == b"\x40\x02\x00\x07\x40\x02\x00\x08"


@pytest.mark.parametrize(
    ("said", "finished"),
    [
        ([], 0),
        ([1, 2, 3], 3),
        ([answers.pubrec(1), 2], 1),
        ([answers.pubrec(1, 0x10), answers.pubrec(2, 0x97), answers.pubcomp(3)], 2),
    ],
)
def test_what_finishes_a_message(said: list[int], finished: int) -> None:
    """[MQTT5-4.9.0-2] PUBACK, PUBCOMP and a PUBREC that refuses; after any other PUBREC it is still open."""
    assert answers.finished(said) == finished


def test_another_reason_leaves_the_rest_of_an_answer() -> None:
    """Whom it answers, and with which packet."""
    assert answers.refused(answers.pubrec(9), 0x97) == answers.pubrec(9, 0x97)
    assert answers.refused(answers.puback(9, 0x10), 0x97) == answers.puback(9, 0x97)
    assert answers.packet_id_of(answers.pubcomp(9, 0x92)) == 9


def test_aliases_take_a_bounded_part_of_the_memory() -> None:
    """However many there may be, and however long their topics are."""
    aliases = TopicAliases(65_535)
    for alias in (1, 2, 3, 4, 5, 6, 1):
        aliases.resolve("x" * 10_000, alias)
    with pytest.raises(ProtocolViolationError) as caught:
        aliases.resolve("x" * 10_000, 7)
    assert caught.value.code == Reason.QUOTA_EXCEEDED
