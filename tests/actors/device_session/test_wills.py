"""The last will: published on every end but one, at once or later, as any message of its client."""

from dataclasses import replace

import pytest
import trio
import trio.testing

from actors.device_session.broker import Broker
from actors.device_session.registry.expiry import expire
from actors.topic_partition.gate import GateState
from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import (
    MQTT_3_1_1,
    MQTT_5,
    Connect,
    Disconnect,
    Publish,
    Subscribe,
    Subscription,
    Will,
)
from actors.wire.mqtt.properties import Properties
from actors.wire.mqtt.reasons import Reason
from tests.actors.device_session.conftest import (
    APP,
    BAD,
    LOT_1,
    OUT,
    Client,
    Clients,
    FakePartition,
    sweeping,
)

LAST = b'{"status":"1"}'
WILL = Will(OUT, LAST, 1)
MORTAL = replace(LOT_1, will=WILL)
LEVELS = pytest.mark.parametrize("level", [MQTT_3_1_1, MQTT_5])


class Wall:
    """The wall clock of the sessions that wait: an hour passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> Wall:
    wall = Wall()
    for module in ("actors.device_session.connection.entry.time", "actors.device_session.registry.expiry.time"):
        monkeypatch.setattr(f"{module}.time", wall.time)
    monkeypatch.setattr(broker.states, "_clock", wall.time)
    return wall


async def vanish(client: Client) -> None:
    await client.stream.aclose()
    await client.settle()


@LEVELS
async def test_a_client_that_vanishes_leaves_its_will(
    broker: Broker, clients: Clients, reports: FakePartition, level: int
) -> None:
    """[MQTT-3.1.2-8; MQTT5-3.1.2-7, 3.1.2-8] Through its rights and rules, to topics and subscribers."""
    app, _ = await clients.connect(broker, APP)
    await app.say(Subscribe(1, (Subscription("sensor/out/+", 2),)))
    client, _ = await clients.connect(broker, MORTAL, level=level)
    assert reports.values == []
    await vanish(client)
    assert reports.values == [LAST]
    (got,) = await app.heard()
    assert (got.topic, got.payload, got.qos, got.retain) == (OUT, LAST, 1, False)
    assert broker.counters.wills == 1


@LEVELS
async def test_a_normal_disconnect_withdraws_the_will(
    broker: Broker, clients: Clients, reports: FakePartition, level: int
) -> None:
    """[MQTT-3.1.2-10, 3.14.4-3; MQTT5-3.1.2-10, 3.14.4-3] It is forgotten."""
    client, _ = await clients.connect(broker, MORTAL, level=level)
    await client.say(Disconnect())
    assert await client.is_closed()
    assert reports.values == []


async def test_without_a_will_none_is_published(broker: Broker, clients: Clients, reports: FakePartition) -> None:
    """[MQTT-3.1.2-12] And the will of an earlier connection is not that of a later one."""
    client, _ = await clients.connect(broker, MORTAL)
    await client.say(Disconnect())
    again, _ = await clients.connect(broker, LOT_1)
    await vanish(again)
    assert reports.values == []
    assert broker.counters.wills == 0


@pytest.mark.parametrize(
    "end",
    [
        lambda client: client.say(Disconnect(Reason.DISCONNECT_WITH_WILL_MESSAGE)),
        lambda client: client.say(Disconnect(Reason.UNSPECIFIED_ERROR)),
        lambda client: client.send(b"\x00\x00"),
        lambda client: client.say(Connect(MQTT_5, "again")),
    ],
)
async def test_other_ends_publish_the_will(
    broker: Broker, clients: Clients, reports: FakePartition, end: object
) -> None:
    """[MQTT-3.1.2-8; MQTT5-3.1.2-8] DISCONNECT 0x04, a failure, malformed packets, protocol errors."""
    client, _ = await clients.connect(broker, MORTAL)
    await end(client)
    await client.settle()
    assert reports.values == [LAST]


async def test_silence_and_shutdown_publish_the_will(
    broker: Broker, clients: Clients, reports: FakePartition, autojump_clock: trio.testing.MockClock
) -> None:
    """Once, whatever else ends then."""
    clients.nursery.start_soon(sweeping, broker)
    await clients.connect(broker, MORTAL, keep_alive=5)
    await trio.sleep(20)
    assert reports.values == [LAST]
    await clients.connect(broker, MORTAL)
    await broker.sessions.drain()
    assert reports.values == [LAST, LAST]


async def test_a_takeover_publishes_the_will_of_the_old_connection(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """[MQTT-3.1.4-2; MQTT5-3.1.4-3] That connection has ended without DISCONNECT."""
    await clients.connect(broker, MORTAL)
    new, _ = await clients.connect(broker, LOT_1)
    assert reports.values == [LAST]
    await new.say(Disconnect())
    assert reports.values == [LAST]


@pytest.mark.parametrize("retain", [False, True])
async def test_a_will_is_retained_if_it_says_so(broker: Broker, clients: Clients, retain: bool) -> None:  # noqa: FBT001
    """[MQTT-3.1.2-16, 3.1.2-17; MQTT5-3.1.2-14, 3.1.2-15] Who subscribes later hears of it, or not."""
    client, _ = await clients.connect(broker, LOT_1, will=replace(WILL, retain=retain))
    await vanish(client)
    app, _ = await clients.connect(broker, APP)
    _, *retained = await app.say(Subscribe(1, (Subscription("sensor/out/+", 1),)))
    assert [(got.payload, got.retain) for got in retained] == ([(LAST, True)] if retain else [])


async def test_a_will_has_its_properties(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.3-10] In their order; the delay is not among them."""
    said = Properties(payload_format=1, content_type="json", user=(("b", "2"), ("a", "1"), ("b", "3")))
    app, _ = await clients.connect(broker, APP)
    await app.say(Subscribe(1, (Subscription("sensor/out/+", 2),)))
    client, _ = await clients.connect(broker, LOT_1, will=replace(WILL, qos=2, properties=said))
    await vanish(client)
    (got,) = await app.heard()
    assert (got.qos, got.properties) == (2, said)


@pytest.mark.parametrize(
    ("will", "counter"),
    [(replace(WILL, topic="sensor/out/lot-2"), "dropped_no_right"), (replace(WILL, payload=BAD), "rejected_payloads")],
)
async def test_a_will_has_no_more_rights_than_its_client(
    broker: Broker, clients: Clients, reports: FakePartition, will: Will, counter: str
) -> None:
    """Rights and the thing model count for it as for every report."""
    client, _ = await clients.connect(broker, LOT_1, will=will)
    await vanish(client)
    assert reports.values == []
    assert getattr(broker.counters, counter) == 1


async def test_a_will_that_its_topic_refuses_harms_nobody(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """There is nobody to be told: it is counted, and the session ends as ever."""
    broker.topics.topics["reports"].gate.set(GateState.REJECTING, "too much waits")
    client, _ = await clients.connect(broker, MORTAL)
    await vanish(client)
    assert reports.values == []
    assert len(broker.sessions) == 0
    assert broker.counters.crashes == 0


# --- later ------------------------------------------------------------------------------------------------------------

LATER = replace(LOT_1, clean_start=False, session_expiry=3_600, will=replace(WILL, delay=60))


async def test_a_delayed_will_comes_when_its_delay_is_over(
    broker: Broker, clients: Clients, reports: FakePartition, wall: Wall
) -> None:
    """[MQTT5-3.1.2-8] Not before, and once."""
    client, _ = await clients.connect(broker, LATER)
    await vanish(client)
    wall.now += 59
    await expire(broker)
    assert reports.values == []
    wall.now += 1
    await expire(broker)
    await expire(broker)
    assert reports.values == [LAST]


async def test_who_comes_back_in_time_keeps_its_will(
    broker: Broker, clients: Clients, reports: FakePartition, wall: Wall
) -> None:
    """[MQTT5-3.1.3-9] The session goes on: nothing is published, also when the delay would be over."""
    client, _ = await clients.connect(broker, LATER)
    await vanish(client)
    wall.now += 59
    _, connack = await clients.connect(broker, LATER)
    assert connack.session_present
    wall.now += 600
    await expire(broker)
    assert reports.values == []


async def test_a_delayed_will_comes_at_the_end_of_its_session(
    broker: Broker, clients: Clients, reports: FakePartition, wall: Wall
) -> None:
    """[MQTT5-3.1.2-8, 3.1.2-10] Whichever is sooner: an expiry, or somebody who starts anew."""
    client, _ = await clients.connect(broker, LATER, session_expiry=10)
    await vanish(client)
    wall.now += 10
    await expire(broker)
    assert reports.values == [LAST]
    client, _ = await clients.connect(broker, LATER)
    await vanish(client)
    await clients.connect(broker, LATER, clean_start=True, will=None)
    assert reports.values == [LAST, LAST]


async def test_a_session_that_ends_with_its_connection_delays_nothing(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """[MQTT5-3.1.2-8] The session is over, so the will is published."""
    client, _ = await clients.connect(broker, LOT_1, will=replace(WILL, delay=60))
    await vanish(client)
    assert reports.values == [LAST]


async def test_what_is_delivered_of_a_will_is_a_message_like_others(broker: Broker, clients: Clients) -> None:
    """A subscriber of MQTT 3.1.1 gets it without any of the properties."""
    app = await clients.app(broker)
    await app.ask(encode.subscribe(1, [("sensor/out/+", 1)]))
    client, _ = await clients.connect(broker, LOT_1, will=replace(WILL, properties=Properties(content_type="x")))
    await vanish(client)
    assert await app.heard() == [Publish(OUT, LAST, 1, 1, retain=False, dup=False)]
