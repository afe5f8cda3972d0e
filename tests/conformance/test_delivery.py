"""Chapter 4: hand-shakes, order and shared subscriptions of a live daemon, as a client sees them."""

from __future__ import annotations

import time

import pytest

from actors.wire.mqtt.packets import MQTT_3_1, MQTT_3_1_1, MQTT_5, Puback, Pubcomp, Publish, Pubrec, Pubrel
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties
from actors.wire.mqtt.reasons import Reason
from tests.conformance.conftest import Connected

LEVELS = pytest.mark.parametrize("level", [MQTT_3_1, MQTT_3_1_1, MQTT_5])
KEPT = {"clean": False, "session_expiry": 60}


def sent(packet_id: int, payload: bytes, qos: int, properties: Properties = NO_PROPERTIES) -> Publish:
    return Publish("hand/shake", payload, qos, packet_id, retain=False, dup=False, properties=properties)


@LEVELS
def test_qos_0_is_sent_as_such(connected: Connected, level: int) -> None:
    """[MQTT-4.3.1-1; MQTT5-4.3.1-1] QoS 0 and DUP 0, to subscribers of any QoS, once and for all."""
    client = connected("a", level, **KEPT)
    client.subscribe("zero", qos=2)
    client.publish("zero", b"x", 0)
    message = client.next_message()
    assert (message.qos, message.dup, message.packet_id) == (0, False, 0)
    client.connection.close()
    connected("a", level, **KEPT).silence()


@LEVELS
@pytest.mark.parametrize("qos", [1, 2])
def test_each_message_takes_a_free_id_and_waits_for_its_answer(connected: Connected, level: int, qos: int) -> None:
    """[MQTT-4.3.2-1; MQTT5-4.3.2-1, 4.3.2-2, 4.3.2-3, 4.3.3-1, 4.3.3-2, 4.3.3-3].

    No two that are outstanding have the same id, none has DUP the first time; after the connection was lost, those and
    only those that were not answered come again, with DUP and their ids.
    """
    client = connected("a", level, **KEPT)
    client.subscribe("out", qos=qos)
    publisher = connected("b", level)
    for number in range(10):
        publisher.publish("out", b"%d" % number, qos)
    messages = [client.next_message() for _ in range(10)]
    assert {message.dup for message in messages} == {False}
    assert len({message.packet_id for message in messages} - {0}) == 10
    for message in messages[::2]:
        client.acknowledge(message)
    client.ping()
    client.connection.close()
    again = connected("a", level, **KEPT).hear(5)
    expected = [(message.payload, message.packet_id, True) for message in messages[1::2]]
    assert [(message.payload, message.packet_id, message.dup) for message in again] == expected


@LEVELS
@pytest.mark.parametrize("kept", [False, True])
def test_an_id_is_free_again_once_its_message_is_answered(connected: Connected, level: int, kept: bool) -> None:  # noqa: FBT001 - a case
    """[MQTT5-4.3.2-4, 4.3.2-5, 4.3.3-8] What was answered is delivered; from then on the id is a new message's."""
    client = connected("a", level, **(KEPT if kept else {}))
    listener = connected("b", level)
    listener.subscribe("hand/shake")
    for payload in (b"1", b"2", b"3"):
        client.send(sent(7, payload, 1))
        assert client.expect_acknowledgement("PUBACK", 7) == Reason.SUCCESS
        client.send(sent(7, payload * 2, 2))
        assert client.expect_acknowledgement("PUBREC", 7) == Reason.SUCCESS
        client.send(Pubrel(7))
        client.expect_acknowledgement("PUBCOMP", 7)
    assert [message.payload for message in listener.hear(6)] == [b"1", b"11", b"2", b"22", b"3", b"33"]


def test_what_was_sent_expires_no_more(connected: Connected) -> None:
    """[MQTT5-4.3.3-5, 4.3.3-6, 4.3.3-7, 4.3.3-13, 4.4.0-1] What began goes on, also on a new connection."""
    client = connected("a", **KEPT)
    client.subscribe("hand/shake", qos=2)
    publisher = connected("b")
    for payload, qos in ((b"1", 2), (b"2", 2), (b"3", 1)):
        publisher.publish("hand/shake", payload, qos, properties=Properties(message_expiry=1))
    first, second, third = (client.next_message() for _ in range(3))
    client.send(Pubrec(second.packet_id))
    client.expect_acknowledgement("PUBREL", second.packet_id)
    time.sleep(2.2)
    client.connection.close()
    client = connected("a", **KEPT)
    again = [client.next_message(), client.next_message()]
    expected = [(message.payload, message.packet_id, True) for message in (first, third)]
    assert [(message.payload, message.packet_id, message.dup) for message in again] == expected
    client.expect_acknowledgement("PUBREL", second.packet_id)
    client.send(Pubcomp(second.packet_id))
    for message in again:
        client.acknowledge(message)
    client.silence()


@pytest.mark.parametrize("qos", [1, 2])
def test_a_refusal_acknowledges(connected: Connected, qos: int) -> None:
    """[MQTT5-4.4.0-2] What a subscriber answers with a failure is not sent again, not even on its next connection."""
    client = connected("a", **KEPT)
    client.subscribe("hand/shake", qos=qos)
    connected("b").publish("hand/shake", b"x", qos)
    packet_id = client.next_message().packet_id
    client.send((Puback if qos == 1 else Pubrec)(packet_id, Reason.QUOTA_EXCEEDED))
    client.silence()
    client.connection.close()
    connected("a", **KEPT).silence()


@LEVELS
def test_a_topic_keeps_its_order_for_each_subscription(connected: Connected, level: int) -> None:
    """[MQTT5-4.6.0-6] Of one publisher, topic and QoS, for two subscribers that take it at different paces."""
    quick, slow = connected("a", level), connected("b", level, **KEPT)
    publisher = connected("c", level)
    for client in (quick, slow):
        client.subscribe("order/#")
    payloads = [b"%d" % number for number in range(30)]
    for number, payload in enumerate(payloads):
        for qos in (1, 2):
            publisher.publish("order/of", b"%d %s" % (qos, payload), qos)
        if number == 15:
            slow.connection.close()
    slow = connected("b", level, **KEPT)
    for client in (quick, slow):
        # What the lost connection got and did not answer comes again, from the first one on.
        heard = [message.payload for message in client.hear(2 * len(payloads))]
        for qos in (b"1", b"2"):
            assert [payload[2:] for payload in heard if payload.startswith(qos)] == payloads


def test_a_shared_delivery_that_was_cut_off_waits_for_that_member(connected: Connected) -> None:
    """[MQTT5-4.8.2-4] Of QoS 2, and once it was sent: it is completed when its member comes back; the other goes on."""
    members = {name: connected(name, **KEPT) for name in ("a", "b")}
    for member in members.values():
        member.subscribe("$share/pair/work")
    publisher = connected("c")
    for number in range(2):
        publisher.publish("work", b"%d" % number, 2)
    lost = members["a"].next_message()
    members["a"].connection.close()
    assert len(members["b"].hear()) == 1
    members["b"].silence()
    back = connected("a", **KEPT)
    again = back.hear()[0]
    assert (again.payload, again.packet_id, again.dup) == (lost.payload, lost.packet_id, True)
    members["b"].silence()


def test_a_shared_delivery_dies_with_the_session_of_its_member(connected: Connected) -> None:
    """[MQTT5-4.8.2-5] What was sent to a member with QoS 2 is sent to no other when that member's session ends."""
    other = connected("b")
    gone = connected("a")
    for member in (gone, other):
        member.subscribe("$share/pair/work")
    publisher = connected("c")
    for number in range(2):
        publisher.publish("work", b"%d" % number, 2)
    gone.next_message()
    gone.connection.close()
    assert len(other.hear()) == 1
    other.silence()
    publisher.publish("work", b"next", 2)
    assert [message.payload for message in other.hear()] == [b"next"]


def test_who_is_at_its_receive_maximum_is_still_answered(connected: Connected) -> None:
    """[MQTT5-3.3.4-9, 3.3.4-10, 4.9.0-2, 4.9.0-3] Only PUBLISH of QoS 1 and 2 waits for its acknowledgement."""
    client = connected("a", receive_maximum=1)
    client.subscribe("quota/#")
    for payload, qos in ((b"1", 2), (b"2", 1), (b"0", 0)):
        client.publish("quota/a", payload, qos)
    first, unbounded = client.next_message(), client.next_message()
    assert {first.payload, unbounded.payload} == {b"1", b"0"}
    held = first if first.qos else unbounded
    assert client.subscribe("other") == (2,)
    assert client.unsubscribe("other") == (Reason.SUCCESS,)
    client.silence()
    client.send(Pubrec(held.packet_id))
    client.expect_acknowledgement("PUBREL", held.packet_id)
    client.silence()
    client.send(Pubcomp(held.packet_id))
    assert [message.payload for message in client.hear()] == [b"2"]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_a_member_refuses_goes_to_no_other(connected: Connected, qos: int) -> None:
    """[MQTT5-4.8.2-6] A failure in PUBACK or PUBREC ends the delivery for the whole group."""
    members = [connected(name) for name in ("a", "b")]
    for member in members:
        member.subscribe("$share/refusers/work", qos=qos)
    publisher = connected("c")
    for _ in members:
        publisher.publish("work", b"x", qos)
    for member in members:
        packet_id = member.next_message().packet_id
        member.send((Puback if qos == 1 else Pubrec)(packet_id, Reason.NOT_AUTHORIZED))
    for member in members:
        member.silence()
