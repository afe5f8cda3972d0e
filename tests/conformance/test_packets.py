"""Chapters 2 and 3: packets of a live daemon, as a client gets them."""

from __future__ import annotations

import itertools

import pytest

from actors.wire.mqtt.answers import Acknowledgement, Connack, Suback, Unsuback
from actors.wire.mqtt.client import write
from actors.wire.mqtt.packets import (
    MQTT_3_1,
    MQTT_3_1_1,
    MQTT_5,
    Connect,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.reasons import Reason
from tests.conformance.conftest import Connected
from tests.conformance.live import Peer
from tests.fakes.daemon import ChildDaemon

LEVELS = pytest.mark.parametrize("level", [MQTT_3_1, MQTT_3_1_1, MQTT_5])
FAR = 65_535


@LEVELS
def test_answers_have_the_id_of_what_they_answer(connected: Connected, level: int) -> None:
    """[MQTT-2.3.1-7; MQTT5-2.2.1-6] SUBACK and UNSUBACK, whichever ids the client takes, in whichever order."""
    client = connected("a", level)
    for packet_id in (FAR, 1, 300):
        client.send(Subscribe(packet_id, (Subscription(f"ids/{packet_id}", 1),)))
    assert [client.expect(Suback).packet_id for _ in range(3)] == [FAR, 1, 300]
    for packet_id in (300, FAR):
        client.send(Unsubscribe(packet_id, (f"ids/{packet_id}",)))
    assert [client.expect(Unsuback).packet_id for _ in range(2)] == [300, FAR]


def test_a_packet_that_no_code_fits_is_not_answered(daemon: ChildDaemon) -> None:
    """[MQTT-3.2.2-6] A CONNECT of MQTT 3.1.1 whose flags contradict one another just ends the connection."""
    connect = bytearray(write(Connect(MQTT_3_1_1, "a", keep_alive=60)))
    connect[9] |= 0x40  # a password without a user name
    with Peer(daemon.mqtt(), MQTT_3_1_1) as client:
        client.send(bytes(connect))
        client.wait_closed()
        assert client.others == []


def test_a_connect_of_mqtt_5_that_breaks_a_rule_is_told_so(daemon: ChildDaemon) -> None:
    """[MQTT5-3.1.4-1, MQTT5-3.14.0-1] CONNACK may say why; no DISCONNECT follows, the connection is closed."""
    connect = write(Connect(MQTT_5, "a", keep_alive=60, receive_maximum=2)).replace(b"\x21\0\2", b"\x21\0\0")
    with Peer(daemon.mqtt()) as client:
        client.send(connect)
        client.wait_closed()
        assert [answer.reason for answer in client.others if isinstance(answer, Connack)] == [Reason.PROTOCOL_ERROR]
        assert len(client.others) == 1


@LEVELS
def test_ping(connected: Connected, level: int) -> None:
    """[MQTT-3.12.4-1; MQTT5-3.12.4-1] Each PINGREQ is answered with PINGRESP."""
    client = connected("a", level)
    for _ in range(3):
        client.ping()


@LEVELS
@pytest.mark.parametrize("qos", [1, 2])
def test_dup_is_each_hand_shakes_own(connected: Connected, level: int, qos: int) -> None:
    """[MQTT-3.3.1-3; MQTT5-3.3.1-3] What came with DUP is delivered without, as it is sent for the first time."""
    client, other = connected("a", level), connected("b", level)
    other.subscribe("dup")
    client.send(Publish("dup", b"again", qos, 5, retain=False, dup=True))
    assert client.expect(Acknowledgement).packet_id == 5
    assert [message.dup for message in other.hear()] == [False]


@LEVELS
def test_what_is_retained_is_nobodys_sessions(connected: Connected, level: int) -> None:
    """[MQTT-3.1.2-7] The session of its publisher, and of those who heard it, end; the message stays."""
    publisher = connected("a", level)
    publisher.publish("retained/stays", b"here", 1, retain=True)
    publisher.disconnect()
    for _ in range(2):
        late = connected("b", level)
        late.subscribe("retained/stays")
        assert [(message.payload, message.retain) for message in late.hear()] == [(b"here", True)]
        late.disconnect()
    connected("a", level).publish("retained/stays", b"", 1, retain=True)


@LEVELS
def test_a_message_without_retain_leaves_what_is_retained_alone(connected: Connected, level: int) -> None:
    """[MQTT-3.3.1-12; MQTT5-3.3.1-8] Neither replaced by one with a payload nor removed by an empty one."""
    client = connected("a", level)
    client.publish("retained/kept", b"first", 1, retain=True)
    for payload in (b"second", b""):
        client.publish("retained/kept", payload, 1)
    client.subscribe("retained/kept")
    assert [(message.payload, message.retain) for message in client.hear()] == [(b"first", True)]
    client.publish("retained/kept", b"", 1, retain=True)


@LEVELS
def test_only_what_matches_is_delivered(connected: Connected, level: int) -> None:
    """[MQTT-3.3.2-3; MQTT5-3.3.2-3] Each filter gets the topics that it covers, by their own name."""
    topics = ("m", "m/a", "m/a/b", "m/b/b", "/m", "M/a", "n/a")
    covered = {"m/+": {"m/a"}, "m/#": {"m", "m/a", "m/a/b", "m/b/b"}, "+/+/b": {"m/a/b", "m/b/b"}, "/+": {"/m"}}
    publisher = connected("a", level)
    for number, (filter_, expected) in enumerate(covered.items()):
        client = connected(f"b{number}", level)
        client.subscribe(filter_)
        for topic, qos in itertools.product(topics, (0, 1)):
            publisher.publish(topic, b"x", qos)
        assert {message.topic for message in client.hear(2 * len(expected))} == expected
        client.silence()
        client.disconnect()


def test_unsubscribing_goes_by_the_very_same_text(connected: Connected) -> None:
    """[MQTT5-3.10.4-1, 3.10.4-2] Another filter that covers the same ends nothing; its own one ends it at once."""
    client = connected("a")
    client.subscribe("u/+")
    assert client.unsubscribe("u/#", "u/a", "u/+/") == (Reason.NO_SUBSCRIPTION_EXISTED,) * 3
    client.publish("u/a", b"1", 1)
    assert len(client.hear()) == 1
    assert client.unsubscribe("u/+") == (Reason.SUCCESS,)
    for qos in (0, 1, 2):
        client.publish("u/a", b"2", qos)
    client.silence()


@LEVELS
def test_a_refused_client_is_not_listened_to(daemon: ChildDaemon, connected: Connected, level: int) -> None:
    """[MQTT-3.1.4-5, 3.2.2-5; MQTT5-3.1.4-6, 3.2.2-7] What it sent behind its CONNECT is published to nobody."""
    listener = connected("a", level)
    listener.subscribe("refused")
    refused = Connect(level, "b", keep_alive=60, username="tests-key", password=b"wrong")
    with Peer(daemon.mqtt(), level) as client:
        client.send(refused, Publish("refused", b"x", 0, 0, retain=False, dup=False))
        assert client.expect(Connack).reason != 0
        client.wait_closed()
        assert client.others == []
    listener.silence()


@LEVELS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_empty_retained_message_is_a_message(connected: Connected, level: int, qos: int) -> None:
    """[MQTT-3.3.1-10, 3.3.1-11; MQTT5-3.3.1-6, 3.3.1-7] Who subscribed gets it; who comes later gets nothing at all."""
    client, late = connected("a", level), connected("b", level)
    client.publish("retained/gone", b"here", 1, retain=True)
    client.subscribe("retained/gone")
    client.hear()
    client.publish("retained/gone", b"", qos, retain=True)
    assert [(message.payload, message.retain, message.qos) for message in client.hear()] == [(b"", False, qos)]
    late.subscribe("retained/gone")
    late.silence()


@LEVELS
def test_the_last_retained_message_counts(connected: Connected, level: int) -> None:
    """[MQTT-3.3.1-5, 3.3.1-7; MQTT5-3.3.1-5] With its own QoS, be that above or below that of the one before."""
    client = connected("a", level)
    for qos in (1, 0, 2):
        client.publish("retained/last", b"%d" % qos, qos, retain=True)
        client.subscribe("retained/last")
        assert [(message.payload, message.qos) for message in client.hear()] == [(b"%d" % qos, qos)]
        client.unsubscribe("retained/last")
    client.publish("retained/last", b"", 1, retain=True)


@LEVELS
def test_subscribing_again_replaces(connected: Connected, level: int) -> None:
    """[MQTT-3.8.4-3; MQTT5-3.8.4-3, 3.8.4-4] The QoS is the new one, what is retained comes again, nothing is lost."""
    client, publisher = connected("a", level), connected("b", level)
    client.publish("again", b"retained", 1, retain=True)
    client.subscribe("again", qos=2)
    assert [(message.payload, message.qos) for message in client.hear()] == [(b"retained", 1)]
    publisher.publish("again", b"1", 2)
    # 1 is on its way, and not answered, while the subscription is replaced.
    client.subscribe("again", qos=0)
    publisher.publish("again", b"2", 2)
    heard = {message.payload: (message.qos, message.retain) for message in client.hear(3)}
    assert heard == {b"1": (2, False), b"retained": (0, True), b"2": (0, False)}
    client.silence()
    client.publish("again", b"", 1, retain=True)


@LEVELS
def test_overlapping_subscriptions_are_one_message(connected: Connected, level: int) -> None:
    """[MQTT-3.3.5-1; MQTT5-3.3.4-2] At the highest of their QoS, and never more than the message's own."""
    client = connected("a", level)
    client.subscribe(Subscription("o/#", 2), Subscription("o/+", 1), Subscription("o/p", 0))
    for qos in (0, 1, 2):
        client.publish("o/p", b"x", qos)
    assert [message.qos for message in client.hear(3)] == [0, 1, 2]
    client.silence()


@LEVELS
def test_a_will_is_that_of_one_connection(connected: Connected, level: int) -> None:
    """[MQTT-3.1.2-10, 3.1.2-12; MQTT5-3.1.2-10] Once published it is forgotten, although the session goes on."""
    listener = connected("a", level)
    listener.subscribe("wills/b")
    kept = {"clean": False, "session_expiry": 60}
    connected("b", level, **kept, will=Will("wills/b", b"gone", 1)).connection.close()
    assert [message.payload for message in listener.hear()] == [b"gone"]
    connected("b", level, **kept).connection.close()
    again = connected("b", level, **kept)
    again.disconnect()
    listener.silence()
