import pytest

from actors.device_session.broker import Broker
from actors.device_session.delivery.fan_out import FanOut, Feeding
from actors.device_session.delivery.message import Delivery
from actors.wire.mqtt.dialect import dialect_of
from actors.wire.mqtt.packets import MQTT_3_1, MQTT_3_1_1, MQTT_5
from actors.wire.mqtt.properties import Properties
from actors.wire.mqtt.reasons import Reason
from tests.actors.device_session.conftest import OUT
from tests.actors.device_session.disk import Disk
from tests.actors.device_session.receiving_world import Subscriber, message, publish, world


class Feeder:
    """A session that publishes, as far as holding it goes."""

    def __init__(self) -> None:
        self.released = 0
        self.feeding = Feeding(self._release)

    def _release(self) -> None:
        self.released += 1

    def publish(self, broker: Broker, count: int, *, qos: int = 1) -> FanOut:
        fan_out = publish(broker, *(message(b"%d" % number, qos) for number in range(count)))
        self.feeding.add(fan_out.crowded)
        return fan_out


@pytest.fixture
def broker() -> Broker:
    return world(outbox_bytes=2000)


def subscribed(broker: Broker, name: str = "app", qos: int = 1, expiry: int = 0) -> Subscriber:
    subscriber = Subscriber(broker, name, expiry).connect()
    subscriber.subscribe(OUT, qos=qos)
    return subscriber


def test_whoever_feeds_a_crowded_subscriber_is_held_until_it_has_room(broker: Broker) -> None:
    """QoS 1 and 2 stop the reading of who feeds them, and lose nothing."""
    subscriber, feeder, other = subscribed(broker), Feeder(), Feeder()
    feeder.publish(broker, 10)
    assert not feeder.feeding.holds(None)
    feeder.publish(broker, 130)
    other.publish(broker, 1)
    assert feeder.feeding.holds(None)
    assert other.feeding.holds(None)
    received = 0
    while got := subscriber.got():
        received += len(got)
        subscriber.acknowledge(got)
    assert received == 141
    assert not feeder.feeding.holds(None)
    assert not other.feeding.holds(None)
    assert (feeder.released, other.released) == (1, 1)


def test_qos_0_holds_nobody(broker: Broker) -> None:
    """The oldest is dropped instead."""
    subscribed(broker)
    feeder = Feeder()
    assert not feeder.publish(broker, 1000, qos=0).crowded
    assert not feeder.feeding.holds(None)
    assert broker.counters.dropped_deliveries_qos0 > 900


def test_a_subscriber_that_is_gone_holds_nobody(broker: Broker) -> None:
    """Its end, or the end of its connection, lets its feeders go."""
    for expiry in (0, 600):
        subscriber, feeder = subscribed(broker, f"s{expiry}", expiry=expiry), Feeder()
        feeder.publish(broker, 1200)
        assert feeder.feeding.holds(None)
        if expiry:
            subscriber.receiver.detach()
        else:
            subscriber.receiver.close()
        assert not feeder.feeding.holds(None)
        assert feeder.released == 1


def test_a_feeder_that_is_gone_is_not_told_any_more(broker: Broker) -> None:
    """Nothing of it is left with those that it fed."""
    subscriber, feeder = subscribed(broker), Feeder()
    feeder.publish(broker, 130)
    feeder.feeding.close()
    while got := subscriber.got():
        subscriber.acknowledge(got)
    assert feeder.released == 0


def test_two_that_feed_one_another_do_not_wait_for_one_another(broker: Broker) -> None:
    """One that is crowded itself is read all the same: its acknowledgements are what everybody waits for."""
    one, two = subscribed(broker, "one"), subscribed(broker, "two")
    feeders = [Feeder(), Feeder()]
    for feeder in feeders:
        feeder.publish(broker, 130)
    assert one.receiver.is_crowded
    assert two.receiver.is_crowded
    assert not feeders[0].feeding.holds(one.receiver)
    assert not feeders[1].feeding.holds(two.receiver)


def test_a_crowded_subscriber_that_takes_nothing_is_stalled(broker: Broker) -> None:
    """Any progress gives it its time anew; no holding lasts longer than that."""
    subscriber = subscribed(broker)
    assert not subscriber.receiver.is_stalled(0)
    Feeder().publish(broker, 150)
    got = subscriber.got()
    assert not subscriber.receiver.is_stalled(10.0)
    assert not subscriber.receiver.is_stalled(10.9)
    subscriber.acknowledge(got[:1])
    assert not subscriber.receiver.is_stalled(11.1)
    assert not subscriber.receiver.is_stalled(12.0)
    assert subscriber.receiver.is_stalled(12.1)
    while got:
        subscriber.acknowledge(got)
        got = subscriber.got()
    assert not subscriber.receiver.is_stalled(100)


def test_a_subscriber_that_stood_still_before_it_was_crowded_holds_nobody_for_long(broker: Broker) -> None:
    """Its time runs from when it last took something, however long the filling of its outbox takes."""
    subscriber, feeder = subscribed(broker), Feeder()
    feeder.publish(broker, 102)
    subscriber.got()
    for now in (0.0, 1.0, 2.0):
        assert not subscriber.receiver.is_stalled(now)
    assert not subscriber.closed
    feeder.publish(broker, 40)
    assert set(subscriber.closed) == {Reason.QUOTA_EXCEEDED}
    assert broker.counters.slow_subscribers == 1


def test_past_the_hard_cap_the_subscriber_is_disconnected(broker: Broker) -> None:
    """[MQTT5-4.13.2-1]: with QUOTA_EXCEEDED; memory is bounded however many feed it."""
    subscriber = subscribed(broker)
    for _ in range(30):
        Feeder().publish(broker, 10)
    assert subscriber.closed
    assert set(subscriber.closed) == {Reason.QUOTA_EXCEEDED}
    assert broker.counters.slow_subscribers > 0


def test_a_session_that_is_kept_never_takes_more_memory_than_its_bound() -> None:
    """What does not fit is on disk."""
    disk = Disk()
    broker = world(disk, outbox_bytes=2000, offline_queue_messages=10)
    subscriber = subscribed(broker, expiry=600)
    for _ in range(50):
        Feeder().publish(broker, 10)
    sender = subscriber.receiver._sender
    assert sender is not None
    assert sender._queue.size <= 2000
    assert not subscriber.closed
    assert len(disk.queues["app"]) == 500


# --- encoding ---------------------------------------------------------------------------------------------------------


def test_a_message_is_encoded_once_for_all_who_get_the_same_bytes() -> None:
    """A thousand subscribers cost one encoding."""
    one = Delivery(message("x", 1), 1)
    first = one.pieces(dialect_of(MQTT_3_1_1), 0)
    assert one.pieces(dialect_of(MQTT_3_1_1), 5) is first
    assert one.pieces(dialect_of(MQTT_5), 0) is not first
    assert one.pieces(dialect_of(MQTT_5), 0) is one.pieces(dialect_of(MQTT_5), 9)


@pytest.mark.parametrize("level", [MQTT_3_1, MQTT_3_1_1, MQTT_5])
@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_383, 16_384, 100_000])
def test_a_packet_id_stands_where_the_packet_was_cut(level: int, size: int) -> None:
    """[MQTT-3.3.2-1, MQTT5-2.2.1-3]: put together, the pieces are the packet."""
    dialect = dialect_of(level)
    properties = Properties(content_type="t" * 200) if size % 2 else Properties(user=(("a", "b"),))
    one = Delivery(message(b"x" * size, 2, topic="é/ü", properties=properties), 2, retain=True)
    head, tail, length = one.pieces(dialect, 0)
    packet = head + (0xABCD).to_bytes(2, "big") + tail
    expected = dialect.publish("é/ü", b"x" * size, qos=2, packet_id=0xABCD, retain=True, properties=properties)
    assert packet == expected
    assert length == len(packet)


def test_the_forms_that_are_kept_are_bounded() -> None:
    """A message that waits for many clients with aliases of their own does not grow with them."""
    one = Delivery(message("x", 0), 0)
    for alias in range(1, 200):
        one.pieces(dialect_of(MQTT_5), 0, alias=alias)
    assert one._forms is not None
    assert len(one._forms) <= 16
