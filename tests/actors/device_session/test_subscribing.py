"""Subscribing and being delivered to, over connections."""

import math

import pytest
import trio
import trio.testing

from actors.device_session.broker import Broker
from actors.directory.entries import DeviceEntry
from actors.wire.mqtt import encode
from actors.wire.mqtt.answers import ServerDisconnect
from actors.wire.mqtt.packets import Subscribe, Subscription
from actors.wire.mqtt.reasons import Reason
from tests.actors.device_session.conftest import (
    APP,
    BAD,
    IN,
    OUT,
    Clients,
    FakePartition,
    digest,
    make_broker,
    publish,
    sweeping,
)


async def test_an_app_and_a_device_reach_one_another(broker: Broker, clients: Clients, reports: FakePartition) -> None:
    """[MQTT-3.8.4-1, 3.8.4-2, 3.8.4-6, 3.10.4-4, 3.10.4-5] Each hears the other, at the lower of both QoS."""
    app, device = await clients.app(broker), await clients.device(broker)
    assert await app.ask(encode.subscribe(1, [("sensor/out/+", 1)])) == encode.suback(1, [1])
    assert await device.ask(encode.subscribe(7, [(IN, 2)])) == encode.suback(7, [2])
    assert await device.ask(publish(1), publish(0, qos=0)) == encode.pubacks([1])
    assert await app.received() == publish(0, qos=0) + publish(1)
    assert await app.ask(encode.publish(IN, b"open", qos=1, packet_id=9)) == encode.pubacks([9])
    assert await device.received() == encode.publish(IN, b"open", qos=1, packet_id=1)
    assert len(reports.values) == 2
    assert broker.counters.delivered == 3
    assert await device.ask(encode.unsubscribe(8, [IN, "never"])) == encode.unsuback(8)
    await app.ask(encode.publish(IN, b"open", qos=1, packet_id=10))
    assert await device.received() == b""


async def test_rejected_reports_are_not_delivered_either(broker: Broker, clients: Clients) -> None:
    """What is not as the thing model says reaches nobody."""
    app, device = await clients.app(broker), await clients.device(broker)
    await app.ask(encode.subscribe(1, [("sensor/out/#", 1)]))
    await device.ask(publish(1, BAD))
    assert await app.received() == b""


@pytest.mark.parametrize(("level", "code"), [(3, 0), (4, 0x80)])
async def test_a_filter_without_right_is_not_granted(broker: Broker, clients: Clients, level: int, code: int) -> None:
    """MQTT 3.1.1 says 0x80; MQTT 3.1 has no word for it; the other filters of the packet are granted."""
    device = await clients.device(broker, level=level)
    asked = [("sensor/in/lot-2", 1), (IN, 1), ("#", 2), ("sensor/in/+", 1)]
    assert await device.ask(encode.subscribe(1, asked)) == encode.suback(1, [code, 1, code, code])
    app = await clients.app(broker)
    await app.ask(encode.publish("sensor/in/lot-2", b"x", qos=1, packet_id=1))
    assert await device.received() == b""


async def test_a_session_has_a_bounded_number_of_subscriptions(clients: Clients) -> None:
    """What is beyond the bound is refused in SUBACK; a filter that is there already can be renewed."""
    broker = make_broker(max_subscriptions=2)
    app = await clients.app(broker)
    asked = [(f"sensor/out/lot-{number}", 1) for number in (1, 2, 3, 1)]
    assert await app.ask(encode.subscribe(1, asked)) == encode.suback(1, [1, 1, 0x80, 1])


async def test_a_subscriber_that_acknowledges_nothing_holds_its_feeder_for_a_moment(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """Whoever feeds it is not read while it is crowded; it is let go with 0x97 after a second, and nobody waits longer.

    Nothing of QoS 1 is lost for those who do take what they get.
    """
    broker = make_broker(outbox_bytes=2_000)
    clients.nursery.start_soon(sweeping, broker)
    slow, _ = await clients.connect(broker, APP, client_id="slow", receive_maximum=10)
    app, device = await clients.app(broker), await clients.device(broker)
    await slow.say(Subscribe(1, (Subscription("sensor/out/+", 1),)))
    await app.ask(encode.subscribe(1, [("sensor/out/+", 1)]))
    delivered, acknowledged = b"", b""
    for number in range(1, 101):
        acknowledged += await device.ask(publish(number))
        delivered += await app.received()
        await app.send(encode.pubacks([number]))
    assert len(acknowledged) < 4 * 100
    assert broker.sessions.held == 1
    await trio.sleep(3)
    assert acknowledged + await device.received() == encode.pubacks(range(1, 101))
    assert delivered + await app.received() == b"".join(publish(number) for number in range(1, 101))
    *under_way, last = await slow.heard()
    assert len(under_way) == 10
    assert last == ServerDisconnect(Reason.QUOTA_EXCEEDED)
    assert await slow.is_closed()
    assert broker.counters.slow_subscribers == 1
    assert broker.sessions.held == 0


async def test_rights_that_are_lost_end_the_subscription(broker: Broker, clients: Clients) -> None:
    """An app whose product is gone hears nothing more of it, without having to reconnect."""
    app, device = await clients.app(broker), await clients.device(broker)
    await app.ask(encode.subscribe(1, [("sensor/out/+", 1)]))
    broker.directory.remove("product", "sensor")
    broker.sessions.recheck()
    assert not broker.subscriptions.match(OUT)
    assert await device.ask(publish(1)) == encode.pubacks([1])
    assert await app.ask(encode.PINGREQ) == encode.PINGRESP


async def test_rights_that_are_lost_end_the_session(broker: Broker, clients: Clients) -> None:
    """A device that was deleted or switched off does not go on by an old log-in."""
    device, other = await clients.device(broker), await clients.device(broker, 2)
    broker.directory.remove("device", "sensor/lot-1")
    broker.directory.put_device(DeviceEntry("sensor", "lot-2", "city", digest(b"secret-2"), enabled=False))
    broker.sessions.recheck()
    assert await device.is_closed()
    assert await other.is_closed()
    assert math.isfinite(broker.statuses.view("sensor/lot-2").since or math.inf)
