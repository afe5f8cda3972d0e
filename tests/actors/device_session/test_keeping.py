"""Sessions that outlive their connections: who resumes what, when they end, what is on disk before it is promised."""

from dataclasses import replace

import pytest

from actors.device_session.broker import Broker, open_broker
from actors.device_session.journal import (
    Change,
    DropSession,
    Enqueue,
    SaveSession,
    SaveSubscription,
)
from actors.device_session.profile import ListenerProfile
from actors.device_session.registry.expiry import expire
from actors.device_session.registry.sessions import Account, ClientKey
from actors.device_session.registry.states import KEPT_PER_ACCOUNT, States
from actors.directory.directory import Directory
from actors.directory.entries import DeviceEntry
from actors.directory.identities import DeviceIdentity
from actors.wire.mqtt.answers import ServerDisconnect
from actors.wire.mqtt.packets import (
    MQTT_3_1,
    MQTT_3_1_1,
    MQTT_5,
    NEVER_EXPIRES,
    Disconnect,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.reasons import Reason
from config.settings import MqttSettings
from tests.actors.device_session.conftest import APP, IN, LOT_1, Client, Clients, FakeTopics, digest, fill
from tests.actors.device_session.disk import Disk

KEPT = replace(LOT_1, clean_start=False, session_expiry=3_600)
OLD = replace(KEPT, level=MQTT_3_1_1, session_expiry=NEVER_EXPIRES)
BOTH = pytest.mark.parametrize("asked", [OLD, KEPT])


class Store(Disk):
    """The disk of sessions, and what was written to it."""

    def of(self, kind: type) -> list[Change]:
        return [change for change in self.log if isinstance(change, kind)]

    def asked(self, kind: type) -> list[Change]:
        """What is to be written, and is not yet."""
        return [change for job in self._waiting for change in job[0] if isinstance(change, kind)]

    def hold(self) -> None:
        self.answers_at_once = False

    def go_on(self) -> None:
        self.answers_at_once = True
        self.answer()


class Wall:
    """The wall clock: an hour passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def broker(store: Store) -> Broker:
    return open_broker(MqttSettings(), fill(Directory(digest)), FakeTopics(), store)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> Wall:
    wall = Wall()
    monkeypatch.setattr("actors.device_session.registry.expiry.time.time", wall)
    monkeypatch.setattr("actors.device_session.connection.entry.time.time", wall)
    monkeypatch.setattr(broker.states, "_clock", wall)
    return wall


async def open_door(app: Client, packet_id: int, qos: int = 1, payload: bytes = b"open") -> None:
    await app.say(Publish(IN, payload, qos, packet_id, retain=False, dup=False))


async def subscribed(clients: Clients, broker: Broker, asked: object = KEPT, qos: int = 2) -> Client:
    client, connack = await clients.connect(broker, asked)
    assert connack.reason == 0
    (suback,) = await client.say(Subscribe(1, (Subscription(IN, qos),)))
    assert suback.reasons == (qos,)
    return client


# --- resuming ---------------------------------------------------------------------------------------------------------


@BOTH
async def test_a_session_goes_on_where_its_connection_ended(broker: Broker, clients: Clients, asked: object) -> None:
    """[MQTT-3.1.2-4, 3.1.2-5, 3.2.2-2; MQTT5-3.1.2-5, 3.1.2-23, 3.2.2-3] What came meanwhile is delivered, in order."""
    device = await subscribed(clients, broker, asked)
    app, _ = await clients.connect(broker, APP)
    await device.stream.aclose()
    await open_door(app, 1, payload=b"1")
    await open_door(app, 2, qos=0, payload=b"lost")
    await open_door(app, 3, payload=b"2")
    again = clients.open(broker, level=asked.level)
    connack, *got = await again.say(asked)
    assert connack.session_present
    assert [(one.payload, one.qos, one.dup) for one in got] == [(b"1", 1, False), (b"2", 1, False)]


@BOTH
async def test_what_was_under_way_is_sent_again(broker: Broker, clients: Clients, asked: object) -> None:
    """[MQTT-4.4.0-1; MQTT5-4.4.0-1] In the order in which it was sent, with its packet ids, and with DUP."""
    device = await subscribed(clients, broker, asked)
    app, _ = await clients.connect(broker, APP)
    await open_door(app, 1, payload=b"1")
    await open_door(app, 2, qos=2, payload=b"2")
    await open_door(app, 3, qos=2, payload=b"3")
    one, two, three = await device.heard()
    (pubrel,) = await device.say(Pubrec(two.packet_id))
    assert (pubrel.kind, pubrel.packet_id) == ("PUBREL", two.packet_id)
    await device.stream.aclose()
    again = clients.open(broker, level=asked.level)
    _, *got = await again.say(asked)
    pubrels = [one for one in got if not isinstance(one, Publish)]
    assert [(one.kind, one.packet_id) for one in pubrels] == [("PUBREL", two.packet_id)]
    assert [one for one in got if isinstance(one, Publish)] == [one._replace(dup=True), three._replace(dup=True)]
    assert await again.say(Puback(one.packet_id), Pubcomp(two.packet_id)) == []
    await again.stream.aclose()
    last = clients.open(broker, level=asked.level)
    _, *got = await last.say(asked)
    assert got == [three._replace(dup=True)]


@pytest.mark.parametrize("level", [MQTT_3_1, MQTT_3_1_1, MQTT_5])
async def test_a_clean_start_throws_the_session_away(
    broker: Broker, clients: Clients, store: Store, level: int
) -> None:
    """[MQTT-3.1.2-6, 3.1.4-3, 3.2.2-1; MQTT5-3.1.2-4, 3.1.4-4, 3.2.2-2] With its subscriptions and its queue."""
    asked = KEPT if level == MQTT_5 else replace(OLD, level=level)
    device = await subscribed(clients, broker, asked, qos=1)
    app, _ = await clients.connect(broker, APP)
    await device.stream.aclose()
    await open_door(app, 1)
    clean = replace(asked, clean_start=True, session_expiry=0)
    new = clients.open(broker, level=level)
    assert [answer.session_present for answer in await new.say(clean)] == [False]
    await open_door(app, 2)
    assert await new.heard() == []
    assert len(store.of(DropSession)) == 1
    assert len(broker.states) == 0
    await new.stream.aclose()
    _, connack = await clients.connect(broker, asked)
    assert not connack.session_present


async def test_a_first_connection_finds_no_session(broker: Broker, clients: Clients) -> None:
    """[MQTT-3.2.2-3; MQTT5-3.1.2-6, 3.2.2-3] And one of another client id, or of another account, is not its own."""
    await clients.connect(broker, KEPT)
    _, connack = await clients.connect(broker, KEPT, client_id="other")
    assert not connack.session_present
    _, connack = await clients.connect(broker, KEPT, username="sensor/lot-2", password=b"secret-2")
    assert not connack.session_present


async def test_a_session_changes_its_level(broker: Broker, clients: Clients) -> None:
    """A client that was updated goes on with the session that it had."""
    device = await subscribed(clients, broker, OLD)
    await device.stream.aclose()
    again, connack = await clients.connect(broker, KEPT)
    assert connack.session_present
    app, _ = await clients.connect(broker, APP)
    await open_door(app, 1)
    (got,) = await again.heard()
    assert got.payload == b"open"


async def test_a_takeover_hands_the_session_over(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.4-3] The old connection is told 0x8E; the new one has its subscriptions, and what was under way."""
    old = await subscribed(clients, broker)
    app, _ = await clients.connect(broker, APP)
    await open_door(app, 1)
    (under_way,) = await old.heard()
    new = clients.open(broker, level=MQTT_5)
    connack, got = await new.say(KEPT)
    assert connack.session_present
    assert got == under_way._replace(dup=True)
    (farewell,) = await old.heard()
    assert farewell.reason == Reason.SESSION_TAKEN_OVER
    await open_door(app, 2, payload=b"again")
    assert [one.payload for one in await new.heard()] == [b"again"]


# --- on disk ----------------------------------------------------------------------------------------------------------


async def test_connack_waits_until_the_session_is_on_disk(broker: Broker, clients: Clients, store: Store) -> None:
    """What is promised by CONNACK survives a crash."""
    store.hold()
    client = clients.open(broker, level=MQTT_5)
    assert await client.say(KEPT) == []
    (saved,) = store.asked(SaveSession)
    assert (saved.key.client_id, saved.expiry, saved.detached_at) == ("lot-1", 3_600, None)
    store.go_on()
    (connack,) = await client.heard()
    assert connack.reason == 0


async def test_a_session_that_cannot_be_stored_is_refused(broker: Broker, clients: Clients, store: Store) -> None:
    """CONNACK 0x88, and nothing is left of it; sessions that are not kept do not need the disk."""
    store.fails = True
    client, connack = await clients.connect(broker, KEPT)
    assert connack.reason == Reason.SERVER_UNAVAILABLE
    assert await client.is_closed()
    assert len(broker.sessions) == 0
    _, connack = await clients.connect(broker, LOT_1)
    assert connack.reason == 0


async def test_who_is_not_let_in_leaves_no_will(broker: Broker, clients: Clients, store: Store, wall: Wall) -> None:
    """[MQTT-3.1.2-8, MQTT5-3.1.2-7]: nor does it change what its session has kept, or for how long."""
    will = Will("sensor/out/lot-1", b"{}", 1, delay=60)
    client, _ = await clients.connect(broker, KEPT, will=will)
    await client.stream.aclose()
    await client.settle()
    store.fails = True
    _, connack = await clients.connect(broker, KEPT, will=replace(will, delay=0), session_expiry=0)
    assert connack.reason == Reason.SERVER_UNAVAILABLE
    assert len(broker.states) == 1
    await client.settle()
    assert broker.counters.wills == 0
    wall.now += 60
    await expire(broker)
    assert broker.counters.wills == 1


async def test_the_disk_knows_the_will_and_what_was_sent(
    broker: Broker, clients: Clients, store: Store, wall: Wall
) -> None:
    """[MQTT-3.1.2-8]: with the session, until it is published; what was sent is known while nobody is there."""
    will = Will("sensor/out/lot-1", b"{}", 1, delay=60)
    client, _ = await clients.connect(broker, KEPT, will=will)
    await client.say(Subscribe(1, (Subscription(IN, 1),)))
    app, _ = await clients.connect(broker, APP)
    await open_door(app, 1)
    await client.heard()
    await client.stream.aclose()
    await client.settle()
    await open_door(app, 2)
    saved = store.of(SaveSession)
    assert [(one.will.due is not None, one.sent) for one in saved] == [(False, None), (True, 1)]
    wall.now += 600
    await expire(broker)
    assert (store.of(SaveSession)[-1].will, store.of(SaveSession)[-1].sent) == (None, 1)


async def test_a_session_that_is_pushed_out_leaves_its_will(broker: Broker, clients: Clients, wall: Wall) -> None:
    """[MQTT5-3.1.2-10]: whoever ends it."""
    will = Will("sensor/out/lot-1", b"{}", 1, delay=60)
    for number in range(KEPT_PER_ACCOUNT["device"] + 1):
        client, _ = await clients.connect(broker, KEPT, client_id=str(number), will=will)
        await client.stream.aclose()
        await client.settle()
        wall.now += 0.1
    await expire(broker)
    await expire(broker)
    assert broker.counters.wills == 1


async def test_suback_and_unsuback_wait_for_the_disk(broker: Broker, clients: Clients, store: Store) -> None:
    """Subscriptions that are acknowledged survive a crash; those of sessions that end with it are not written."""
    client, _ = await clients.connect(broker, KEPT)
    store.hold()
    assert await client.say(Subscribe(1, (Subscription(IN, 1),))) == []
    store.go_on()
    (suback,) = await client.heard()
    assert suback.reasons == (1,)
    store.hold()
    assert await client.say(Unsubscribe(2, (IN,))) == []
    store.go_on()
    assert [answer.packet_id for answer in await client.heard()] == [2]
    passing, _ = await clients.connect(broker, LOT_1, client_id="passing")
    await passing.say(Subscribe(1, (Subscription(IN, 1),)))
    assert len(store.of(SaveSubscription)) == 1


async def test_a_subscription_that_cannot_be_stored_ends_the_connection(
    broker: Broker, clients: Clients, store: Store
) -> None:
    """It is not acknowledged; the client asks again."""
    client, _ = await clients.connect(broker, KEPT)
    store.fails = True
    assert await client.say(Subscribe(1, (Subscription(IN, 1),))) == [
        ServerDisconnect(Reason.IMPLEMENTATION_SPECIFIC_ERROR)
    ]
    assert await client.is_closed()


async def test_a_publisher_waits_until_what_is_queued_for_others_is_on_disk(
    broker: Broker, clients: Clients, store: Store
) -> None:
    """PUBACK is the promise that those who are away will get it."""
    device = await subscribed(clients, broker)
    await device.stream.aclose()
    app, _ = await clients.connect(broker, APP)
    store.hold()
    assert await app.say(Publish(IN, b"open", 1, 1, retain=False, dup=False)) == []
    assert len(store.asked(Enqueue)) == 1
    store.go_on()
    (puback,) = await app.heard()
    assert (puback.kind, puback.reason) == ("PUBACK", 0)


# --- the end of a session ---------------------------------------------------------------------------------------------


async def test_a_session_expires(broker: Broker, clients: Clients, store: Store, wall: Wall) -> None:
    """[MQTT5-3.1.2-23, 4.1.0-1] So long after its connection, and no sooner; then nothing of it is left."""
    device = await subscribed(clients, broker)
    wall.now += 10_000
    await expire(broker)
    assert len(broker.states) == 1
    await device.stream.aclose()
    await device.settle()
    wall.now += 3_599
    await expire(broker)
    assert len(broker.states) == 1
    wall.now += 1
    await expire(broker)
    assert (len(broker.states), broker.subscriptions.is_empty()) == (0, True)
    assert len(store.of(DropSession)) == 1
    assert broker.counters.expired_sessions == 1
    _, connack = await clients.connect(broker, KEPT)
    assert not connack.session_present


async def test_a_client_that_comes_late_finds_a_new_session(broker: Broker, clients: Clients, wall: Wall) -> None:
    """Also where nobody has swept yet."""
    device = await subscribed(clients, broker)
    await device.stream.aclose()
    await device.settle()
    wall.now += 3_600
    _, connack = await clients.connect(broker, KEPT)
    assert not connack.session_present


async def test_the_listener_bounds_the_expiry(broker: Broker, clients: Clients) -> None:
    """What a client of MQTT 5 asks for beyond that it is told; one of MQTT 3 gets it without a word."""
    listener = ListenerProfile(session_expiry_max=60)
    _, connack = await clients.connect(broker, KEPT, listener)
    assert connack.properties.session_expiry == 60
    _, connack = await clients.connect(broker, OLD, listener, client_id="old")
    assert {state.expiry for state in broker.states._kept.values()} == {60}


@pytest.mark.parametrize(("asked", "left"), [(0, 0), (60, 1)])
async def test_disconnect_changes_the_expiry(broker: Broker, clients: Clients, asked: int, left: int) -> None:
    """0 ends the session with the connection (3.14.2.2.2); anything else counts from then on."""
    device = await subscribed(clients, broker)
    await device.say(Disconnect(session_expiry=asked))
    assert await device.is_closed()
    assert len(broker.states) == left
    assert [state.expiry for state in broker.states.without_connection()] == [60] * left


async def test_a_resumed_session_may_end_with_its_connection(broker: Broker, clients: Clients, store: Store) -> None:
    """[MQTT5-3.1.2-23] What waited for it is still delivered first."""
    device = await subscribed(clients, broker)
    app, _ = await clients.connect(broker, APP)
    await device.stream.aclose()
    await open_door(app, 1)
    again = clients.open(broker, level=MQTT_5)
    connack, got = await again.say(replace(KEPT, session_expiry=0))
    assert connack.session_present
    assert got.payload == b"open"
    await again.say(Disconnect())
    assert len(broker.states) == 0
    assert len(store.of(DropSession)) == 1


async def test_a_device_that_is_deleted_leaves_no_session(broker: Broker, clients: Clients, store: Store) -> None:
    """Neither the one that it has a connection for; one that is only switched off keeps what it has."""
    device = await subscribed(clients, broker)
    other, _ = await clients.connect(broker, KEPT, client_id="b", username="sensor/lot-2", password=b"secret-2")
    broker.directory.remove("device", "sensor/lot-1")
    broker.directory.put_device(DeviceEntry("sensor", "lot-2", "city", digest(b"secret-2"), enabled=False))
    broker.sessions.recheck()
    assert await device.is_closed()
    assert await other.is_closed()
    assert [state.key.client_id for state in broker.states.without_connection()] == ["b"]
    assert len(store.of(DropSession)) == 1


async def test_an_idle_clean_session_leaves_nothing(broker: Broker, clients: Clients, store: Store) -> None:
    """[MQTT-4.1.0-2] It lasts as long as its connection, and is never written down."""
    client, _ = await clients.connect(broker, LOT_1)
    await client.say(Subscribe(1, (Subscription(IN, 1),)))
    await client.say(Disconnect())
    assert store.log == []
    assert len(broker.states) == 0
    assert broker.subscriptions.is_empty()


async def test_one_device_keeps_a_bounded_number_of_sessions() -> None:
    """With ever new client ids, that which waits for its client longest goes."""
    wall = Wall()
    states = States(wall)
    identity = DeviceIdentity("sensor", "lot-1", "city")
    account = Account("device", "sensor/lot-1")
    most = KEPT_PER_ACCOUNT["device"]
    for number in range(most + 5):
        state, _, _ = states.attach(ClientKey(account, str(number)), identity, MQTT_5, 60, clean_start=False)
        states.detach(state)
        wall.now += 1
    assert len(states) == most
    assert states.get(ClientKey(account, "4")) is None
    assert states.get(ClientKey(account, "5")) is not None
