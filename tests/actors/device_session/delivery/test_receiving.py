import pytest

from actors.device_session.delivery.window import WINDOW
from actors.device_session.journal import DropSubscription, SaveSubscription
from actors.wire.mqtt.packets import MQTT_5
from actors.wire.mqtt.properties import Properties
from actors.wire.mqtt.reasons import Reason
from tests.actors.device_session.conftest import IN, OUT
from tests.actors.device_session.disk import Disk
from tests.actors.device_session.receiving_world import Got, Subscriber, message, publish, publish_all, world

ALL = "sensor/out/#"


# --- subscribing ------------------------------------------------------------------------------------------------------


def test_each_filter_has_its_answer_in_order() -> None:
    """[MQTT-3.8.4-5, MQTT-3.9.3-1, MQTT5-3.8.4-6, MQTT5-3.9.3-1]: the granted QoS, or why not."""
    subscriber = Subscriber(world(max_subscriptions=3)).connect()
    answer = subscriber.subscribe(OUT, "sensor/in/lot-2", "$share//x", ALL, "sensor/out/+", "sensor/out/lot-2", qos=1)
    assert answer.reasons == [1, Reason.NOT_AUTHORIZED, Reason.TOPIC_FILTER_INVALID, 1, 1, Reason.QUOTA_EXCEEDED]
    assert subscriber.subscribe(OUT, qos=2).reasons == [2]
    assert answer.changes == []


def test_no_more_than_the_listeners_highest_qos_is_granted() -> None:
    """[MQTT5-3.2.2-9, MQTT5-3.8.4-8]."""
    subscriber = Subscriber(world()).connect()
    from actors.wire.mqtt.packets import Subscribe, Subscription  # noqa: PLC0415 - only here are they made by hand

    assert subscriber.receiver.subscribe(Subscribe(1, (Subscription(OUT, 2),)), maximum_qos=1).reasons == [1]
    publish(subscriber.broker, message("x", 2))
    assert [one.qos for one in subscriber.got()] == [1]


def test_unsubscribing_says_what_was_there_and_what_waits_is_still_sent() -> None:
    """[MQTT-3.10.4-2, MQTT-3.10.4-3, MQTT5-3.10.4-3, MQTT5-3.10.4-4, MQTT5-3.11.3-1]."""
    subscriber = Subscriber(world()).connect()
    subscriber.subscribe(OUT)
    publish_all(subscriber.broker, "a")
    answer = subscriber.receiver.unsubscribe([OUT, "never"])
    assert answer.reasons == [Reason.SUCCESS, Reason.NO_SUBSCRIPTION_EXISTED]
    publish_all(subscriber.broker, "b")
    assert subscriber.payloads() == [b"a"]


def test_subscriptions_of_a_session_that_is_kept_are_written_down() -> None:
    """SUBACK leaves once they are on disk; a session that ends with its connection writes nothing."""
    disk = Disk()
    subscriber = Subscriber(world(disk), expiry=60).connect()
    answer = subscriber.subscribe(OUT, qos=1, identifier=7, no_local=True, retain_as_published=True, retain_handling=2)
    assert answer.changes == [SaveSubscription("app", OUT, 1, no_local=True, retain_as_published=True, identifier=7)]
    assert subscriber.receiver.unsubscribe([OUT]).changes == [DropSubscription("app", OUT)]


# --- sending ----------------------------------------------------------------------------------------------------------


def test_deliveries_leave_in_order_and_with_ids_of_their_own() -> None:
    """[MQTT-4.6.0-6, MQTT-2.3.1-1, MQTT-2.3.1-4, MQTT-2.3.1-5, MQTT5-4.6.0-5, MQTT5-2.2.1-3, MQTT5-2.2.1-4]."""
    subscriber = Subscriber(world()).connect()
    subscriber.subscribe(ALL)
    publish_all(subscriber.broker, "abc", 1)
    publish_all(subscriber.broker, "xy", 2)
    publish_all(subscriber.broker, "0", 0)
    got = subscriber.got()
    assert [(one.payload, one.qos, one.packet_id, one.dup) for one in got] == [
        (b"0", 0, 0, False),
        (b"a", 1, 1, False),
        (b"b", 1, 2, False),
        (b"c", 1, 3, False),
        (b"x", 2, 4, False),
        (b"y", 2, 5, False),
    ]
    assert subscriber.wakes > 0


@pytest.mark.parametrize(("wanted", "most"), [(3, 3), (65_535, WINDOW)])
def test_no_more_is_under_way_than_the_client_takes(wanted: int, most: int) -> None:
    """[MQTT5-3.3.4-7, MQTT5-3.3.4-9, MQTT5-4.9.0-2]: PUBACK and PUBCOMP let the next one out."""
    subscriber = Subscriber(world(), level=MQTT_5).connect(receive_maximum=wanted)
    subscriber.subscribe(ALL)
    publish(subscriber.broker, *(message(b"%d" % number, 1 + number % 2) for number in range(most + 2)))
    got = subscriber.got()
    assert len(got) == most
    subscriber.receiver.acknowledged(got[0].packet_id)
    assert subscriber.payloads() == [b"%d" % most]
    release = cut_release(subscriber.receiver.received(got[1].packet_id))
    assert release == got[1].packet_id
    assert subscriber.payloads() == []
    subscriber.receiver.completed(got[1].packet_id)
    assert subscriber.payloads() == [b"%d" % (most + 1)]


def cut_release(packet: bytes) -> int:
    assert packet[0] == 0x62
    return int.from_bytes(packet[2:4], "big")


def test_a_message_of_qos_2_is_not_sent_again_once_pubrec_came() -> None:
    """[MQTT-4.3.3-1, MQTT5-4.3.3-5, MQTT5-4.3.3-6]: PUBREC is answered with PUBREL, however often it comes."""
    subscriber = Subscriber(world(), level=MQTT_5).connect()
    subscriber.subscribe(ALL)
    publish_all(subscriber.broker, "x", 2)
    [sent] = subscriber.got()
    for _ in range(2):
        assert subscriber.receiver.received(sent.packet_id) == b"\x62\x02" + sent.packet_id.to_bytes(2, "big")
    subscriber.receiver.completed(sent.packet_id)
    stray = subscriber.receiver.received(sent.packet_id)
    assert stray[4] == Reason.PACKET_IDENTIFIER_NOT_FOUND
    assert subscriber.got() == []


def test_a_failure_in_pubrec_finishes_the_message() -> None:
    """[MQTT5-4.3.3-4, MQTT5-4.8.2-6]: its packet id is free again, and no PUBREL is sent."""
    subscriber = Subscriber(world(), level=MQTT_5).connect(receive_maximum=1)
    subscriber.subscribe(ALL)
    publish_all(subscriber.broker, "xy", 2)
    [sent] = subscriber.got()
    assert subscriber.receiver.received(sent.packet_id, Reason.QUOTA_EXCEEDED) == b""
    assert subscriber.payloads() == [b"y"]


def test_stray_acknowledgements_do_no_harm() -> None:
    """A client that acknowledges what was not sent, or as the wrong QoS, changes nothing."""
    subscriber = Subscriber(world()).connect(receive_maximum=2)
    subscriber.subscribe(ALL)
    for packet_id in (1, 9):
        subscriber.receiver.acknowledged(packet_id)
        subscriber.receiver.completed(packet_id)
    publish(subscriber.broker, message("a", 1), message("b", 2), message("c", 1))
    one, two = subscriber.got()
    subscriber.receiver.acknowledged(two.packet_id)
    subscriber.receiver.completed(two.packet_id)
    subscriber.receiver.received(one.packet_id)
    assert subscriber.got() == []


def test_what_the_client_would_not_take_is_not_sent_to_it() -> None:
    """[MQTT5-3.1.2-24, MQTT5-3.1.2-25]: it counts as delivered, and others get theirs."""
    broker = world()
    small = Subscriber(broker, "small", level=MQTT_5).connect(max_packet_bytes=100, receive_maximum=1)
    large = Subscriber(broker, "large", level=MQTT_5).connect()
    for subscriber in (small, large):
        subscriber.subscribe(ALL)
    for qos in (0, 1, 2):
        publish(broker, message(b"x" * 100, qos), message(b"%d" % qos, qos))
    got = small.got()
    assert [one.payload for one in got] == [b"0", b"1"]
    small.acknowledge(got)
    assert small.payloads() == [b"2"]
    assert len(large.got()) == 6
    assert broker.counters.dropped_deliveries_too_large == 3


def test_topic_aliases_are_set_once_and_only_as_far_as_the_client_allows() -> None:
    """[MQTT5-3.1.2-26, MQTT5-3.1.2-27, MQTT5-3.3.2-8, MQTT5-3.3.2-11]: the first use sets, later ones have no topic."""
    broker = world()
    subscriber = Subscriber(broker, level=MQTT_5).connect(topic_alias_maximum=1)
    subscriber.subscribe(ALL)
    topics = [OUT, "sensor/out/lot-2", OUT]
    publish(broker, *(message("x", qos, topic=topic) for qos in (0, 1) for topic in topics))
    got = subscriber.got()
    assert [(one.topic, one.rest) for one in got] == [
        (OUT, b"\x23\x00\x01"),
        ("sensor/out/lot-2", b""),
        ("", b"\x23\x00\x01"),
        ("", b"\x23\x00\x01"),
        ("sensor/out/lot-2", b""),
        ("", b"\x23\x00\x01"),
    ]
    subscriber.connect(topic_alias_maximum=1)
    publish(broker, message("x", 0))
    assert [one.topic for one in subscriber.got()] == [OUT]


def test_an_alias_is_not_set_by_a_packet_that_is_not_sent() -> None:
    """[MQTT5-3.3.2-7]: what was too large for the client has told it nothing."""
    broker = world()
    subscriber = Subscriber(broker, level=MQTT_5).connect(topic_alias_maximum=4, max_packet_bytes=60)
    subscriber.subscribe(ALL)
    publish(broker, message(b"x" * 60, 0), message("y", 0))
    assert [(one.topic, one.payload) for one in subscriber.got()] == [(OUT, b"y")]


def test_subscription_identifiers_go_with_the_message() -> None:
    """[MQTT5-3.3.4-3, MQTT5-3.3.4-4, MQTT5-3.3.4-5]; clients of MQTT 3 get none."""
    broker = world()
    subscriber = Subscriber(broker, level=MQTT_5).connect()
    subscriber.subscribe(ALL, identifier=3)
    subscriber.subscribe(OUT, identifier=5)
    publish(broker, message("x", 1))
    [one] = subscriber.got()
    assert sorted((one.rest[:2], one.rest[2:])) == [b"\x0b\x03", b"\x0b\x05"]


def test_what_expires_is_not_sent_and_what_does_not_says_what_is_left() -> None:
    """[MQTT5-3.3.2-5, MQTT5-3.3.2-6]."""
    broker = world()
    subscriber = Subscriber(broker, level=MQTT_5).connect()
    subscriber.subscribe(ALL)
    old = message("old", 1, properties=Properties(message_expiry=10))
    late = message("late", 0, properties=Properties(message_expiry=10))
    for one in (old, late):
        one.expires_at = one.published_at - 1
    waited = message("waited", 1, properties=Properties(message_expiry=100))
    waited.expires_at = waited.published_at + 40_000
    publish(broker, old, late, waited)
    [one] = subscriber.got()
    assert one.payload == b"waited"
    assert one.rest[0] == 2
    assert 38 <= int.from_bytes(one.rest[1:], "big") <= 40
    assert broker.counters.dropped_deliveries_expired == 2


def test_properties_of_a_message_are_forwarded() -> None:
    """[MQTT5-3.3.2-4, MQTT5-3.3.2-15, MQTT5-3.3.2-16, MQTT5-3.3.2-17, MQTT5-3.3.2-18, MQTT5-3.3.2-20]: unaltered."""
    broker = world()
    five, three = Subscriber(broker, "5", level=MQTT_5).connect(), Subscriber(broker, "3").connect()
    for subscriber in (five, three):
        subscriber.subscribe(ALL)
    properties = Properties(
        payload_format=1,
        response_topic="r",
        correlation_data=b"c",
        content_type="t",
        user=(("b", "1"), ("a", "2"), ("b", "3")),
        topic_alias=9,
    )
    publish(broker, message("x", 1, properties=properties))
    [one] = five.got()
    expected = [b"\x01\x01", b"\x08\x00\x01r", b"\x09\x00\x01c", b"\x03\x00\x01t"]
    users = b"".join(
        b"\x26\x00\x01" + name + b"\x00\x01" + value for name, value in ((b"b", b"1"), (b"a", b"2"), (b"b", b"3"))
    )
    assert users in one.rest
    assert all(part in one.rest for part in expected)
    assert len(one.rest) == len(users) + sum(map(len, expected))
    assert three.payloads() == [b"x"]


def test_qos_0_is_only_for_who_is_connected() -> None:
    """[MQTT-3.1.2-5]: a queue on disk is for what was promised at least once."""
    subscriber = Subscriber(world(), expiry=60).connect()
    subscriber.subscribe(ALL)
    subscriber.receiver.detach()
    publish_all(subscriber.broker, "0", 0)
    publish_all(subscriber.broker, "1", 1)
    subscriber.connect()
    assert subscriber.payloads() == [b"1"]


def test_a_session_that_ends_leaves_nothing() -> None:
    """[MQTT-3.1.2-6, MQTT5-4.1.0-2]: it is off every list."""
    subscriber = Subscriber(world()).connect()
    subscriber.subscribe(ALL, "$share/g/sensor/out/+", OUT)
    subscriber.receiver.close()
    assert subscriber.broker.subscriptions.is_empty()
    assert subscriber.receiver.collect() == []


# --- rights -----------------------------------------------------------------------------------------------------------


def test_a_right_that_is_lost_ends_subscriptions_and_drops_what_waits() -> None:
    """It counts at once, for subscriptions, for what waits in memory, and for what waits on disk."""
    disk = Disk()
    broker = world(disk)
    live, kept = Subscriber(broker, "live").connect(), Subscriber(broker, "kept", expiry=60).connect()
    for subscriber in (live, kept):
        subscriber.subscribe(ALL)
    kept.receiver.detach()
    publish_all(broker, "a", 1)
    publish_all(broker, "b", 0)
    broker.directory.remove("product", "sensor")
    for subscriber in (live, kept):
        subscriber.receiver.recheck()
    assert broker.subscriptions.is_empty()
    assert disk.subscriptions == {}
    assert live.got() == kept.connect().got() == []
    assert broker.counters.dropped_deliveries_no_right == 3
    assert disk.queues == {"kept": {}}


def test_what_is_not_the_clients_right_is_not_sent_to_it_retained_either() -> None:
    """A retained message whose topic another app owns by now is asked about when it is sent."""
    broker = world()
    subscriber = Subscriber(broker).connect()
    retain(broker, message("a", 0, retain=True))
    subscriber.subscribe(ALL)
    broker.directory.remove("product", "sensor")
    assert subscriber.got() == []


# --- retained messages ------------------------------------------------------------------------------------------------


def retain(broker: object, *messages: object) -> None:
    for one in messages:
        broker.retained.keep(one, one.published_at)  # type: ignore[attr-defined]


def test_retained_messages_are_sent_to_who_subscribes_with_the_flag_set() -> None:
    """[MQTT-3.3.1-6, MQTT-3.3.1-8, MQTT5-3.3.1-9, MQTT5-3.8.4-4], at the lower QoS, with the identifier."""
    broker = world()
    retain(broker, message("a", 2, retain=True), message("b", 0, topic="sensor/out/lot-2", retain=True))
    retain(broker, message("c", 1, topic=IN, retain=True))
    subscriber = Subscriber(broker, level=MQTT_5).connect()
    subscriber.subscribe(ALL, qos=1, identifier=4)
    got = sorted(subscriber.got(), key=lambda one: one.payload)
    assert [(one.payload, one.qos, one.retain, one.rest) for one in got] == [
        (b"a", 1, True, b"\x0b\x04"),
        (b"b", 0, True, b"\x0b\x04"),
    ]


@pytest.mark.parametrize(("handling", "first", "again"), [(0, 1, 1), (1, 1, 0), (2, 0, 0)])
def test_retain_handling_says_when_retained_messages_are_sent(handling: int, first: int, again: int) -> None:
    """[MQTT5-3.3.1-9, MQTT5-3.3.1-10, MQTT5-3.3.1-11]."""
    broker = world()
    retain(broker, message("a", 1, retain=True))
    subscriber = Subscriber(broker, level=MQTT_5).connect()
    for expected in (first, again):
        subscriber.subscribe(ALL, retain_handling=handling)
        assert len(subscriber.got()) == expected


def test_a_shared_subscription_gets_no_retained_messages() -> None:
    """MQTT 5, 4.8.2: what is retained is not for a group."""
    broker = world()
    retain(broker, message("a", 1, retain=True))
    subscriber = Subscriber(broker, level=MQTT_5).connect()
    subscriber.subscribe("$share/g/" + ALL)
    assert subscriber.got() == []


def test_many_retained_messages_come_as_there_is_room() -> None:
    """However many there are, what waits for one subscriber stays bounded, and all of them arrive."""
    broker = world(outbox_bytes=2000)
    for number in range(1000):
        retain(broker, message(b"%d" % number, 1 + number % 2, topic=f"sensor/out/{number}", retain=True))
    subscriber = Subscriber(broker).connect()
    subscriber.subscribe("sensor/out/+")
    got: list[Got] = []
    while packets := subscriber.got():
        subscriber.acknowledge(packets)
        got += packets
        assert not subscriber.receiver.is_crowded
    assert sorted(int(one.payload) for one in got) == list(range(1000))
    assert broker.counters.dropped_deliveries_qos0 == 0


def test_unsubscribing_ends_retained_messages_as_well() -> None:
    """[MQTT-3.10.4-2, MQTT5-3.10.4-2]: nothing is put into the queue any more."""
    broker = world(outbox_bytes=2000)
    for number in range(100):
        retain(broker, message(b"%d" % number, 1, topic=f"sensor/out/{number}", retain=True))
    subscriber = Subscriber(broker, level=MQTT_5).connect(receive_maximum=1)
    subscriber.subscribe("sensor/out/+")
    got = subscriber.got()
    subscriber.receiver.unsubscribe(["sensor/out/+"])
    subscriber.acknowledge(got)
    while packets := subscriber.got():
        subscriber.acknowledge(packets)
        got += packets
    assert len(got) < 50


def test_retained_messages_that_cannot_be_written_are_sent_again() -> None:
    """The connection ends, and the next one gets all of them."""
    disk = Disk()
    broker = world(disk)
    for number in range(3):
        retain(broker, message(b"%d" % number, 1, topic=f"sensor/out/{number}", retain=True))
    subscriber = Subscriber(broker, expiry=60).connect()
    subscriber.subscribe("sensor/out/+")
    assert [one.retained_due for one in disk.subscriptions.values()] == [True]
    disk.fails = True
    subscriber.receiver.collect()
    assert subscriber.closed == [Reason.IMPLEMENTATION_SPECIFIC_ERROR]
    subscriber.receiver.detach()
    disk.fails = False
    assert sorted({one.payload for one in subscriber.connect().got()}) == [b"0", b"1", b"2"]
    assert [one.retained_due for one in disk.subscriptions.values()] == [False]


def test_retained_messages_that_are_too_large_hide_nothing() -> None:
    """A client that takes small packets alone gets those, however many larger ones stand before them."""
    broker = world(outbox_bytes=2000)
    for number in range(100):
        retain(broker, message(b"x" * 500, number % 3, topic=f"sensor/out/{number}", retain=True))
    retain(broker, message(b"small", 1, topic="sensor/out/small", retain=True))
    subscriber = Subscriber(broker, level=MQTT_5).connect(max_packet_bytes=100)
    subscriber.subscribe("sensor/out/+")
    got, woken = list[Got](), 0
    while subscriber.wakes > woken:
        woken = subscriber.wakes
        got += subscriber.got()
    assert [one.payload for one in got] == [b"small"]
