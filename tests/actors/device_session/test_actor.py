"""The life of a connection: from its first byte to the ends that are asked for."""

import pytest
import trio
import trio.testing

from actors.device_session.broker import Broker
from actors.wire.mqtt import encode
from tests.actors.device_session.conftest import (
    GOOD,
    OUT,
    Clients,
    FakePartition,
    publish,
)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (encode.connect("again"), "second CONNECT"),
        (b"\x62\x02\x00\x00", "packet id"),
        (b"\xf0\x00", "reserved"),
        (b"\x30\xff\xff\xff\xff\x7f", "remaining length"),
        (encode.subscribe(0, [("a", 0)]), "packet id"),
    ],
)
async def test_what_is_not_allowed_closes_the_connection_with_a_reason(
    broker: Broker, clients: Clients, reports: FakePartition, packet: bytes, reason: str
) -> None:
    """[MQTT-3.1.0-2, 4.8.0-1] What came before it in the same read is stored, nothing after; nobody else notices."""
    client = await clients.device(broker)
    other = await clients.device(broker, 2)
    await client.ask(publish(1), packet, publish(3))
    assert await client.is_closed()
    assert reports.values == [GOOD]
    assert reason in broker.statuses.view("sensor/lot-1").reason
    assert broker.counters.protocol_errors == 1
    assert await other.ask(encode.PINGREQ) == encode.PINGRESP


async def test_disconnect_ends_the_session_in_good_order(broker: Broker, clients: Clients) -> None:
    """The device is offline since then, and the registry is empty."""
    client = await clients.device(broker)
    await client.ask(encode.DISCONNECT, publish(1))
    assert await client.is_closed()
    view = broker.statuses.view("sensor/lot-1")
    assert (view.online, view.reason) == (False, "the client disconnected")
    assert len(broker.sessions) == 0
    assert broker.sessions.statistics().accounts == 0
    assert broker.counters.published == 0


async def test_a_device_that_is_switched_off_loses_its_sessions(broker: Broker, clients: Clients) -> None:
    """`close_device` ends all of them with the reason, and says whether there were any."""
    client = await clients.device(broker)
    second = await clients.device(broker, 1, "second")
    other = await clients.device(broker, 2)
    assert broker.sessions.close_device("sensor/lot-1", "the device was disabled")
    assert await client.is_closed()
    assert await second.is_closed()
    assert broker.statuses.view("sensor/lot-1").reason == "the device was disabled"
    assert not broker.sessions.close_device("sensor/lot-1", "again")
    assert not broker.sessions.close_app("city", "no session")
    assert await other.ask(encode.PINGREQ) == encode.PINGRESP


async def test_drain_acknowledges_what_is_stored_and_ends(
    broker: Broker, clients: Clients, reports: FakePartition, autojump_clock: trio.testing.MockClock
) -> None:
    """Intake ends first: what comes later is not taken; what was taken is acknowledged before the end."""
    reports.answers_at_once = False
    client = await clients.device(broker)
    idle = await clients.device(broker, 2)
    stranger = clients.open(broker)
    await client.ask(publish(1))
    clients.nursery.start_soon(broker.sessions.drain)
    await client.settle()
    assert await idle.is_closed()
    assert await stranger.is_closed()
    assert await client.ask(publish(2)) == b""
    reports.answer()
    assert await client.received() == encode.pubacks([1])
    assert await client.is_closed()
    assert len(reports.values) == 1
    assert len(broker.sessions) == 0
    again = await clients.device(broker)
    assert await again.ask(encode.PINGREQ) == encode.PINGRESP


async def test_drain_cuts_off_what_is_not_stored_by_the_deadline(
    broker: Broker, clients: Clients, reports: FakePartition, autojump_clock: trio.testing.MockClock
) -> None:
    """A partition that never answers does not keep the daemon from ending; its reports stay unacknowledged."""
    reports.answers_at_once = False
    client = await clients.device(broker)
    await client.ask(publish(1))
    await broker.sessions.drain(trio.current_time() + 3)
    assert trio.current_time() == pytest.approx(3)
    assert await client.received() == b""
    assert broker.counters.acknowledged == 0


async def test_cancelling_from_outside_leaves_nothing_behind(broker: Broker) -> None:
    """A cancelled session closes its stream, gives up its subscriptions and is off every list."""
    async with trio.open_nursery() as nursery:
        client = await Clients(nursery).app(broker)
        await client.ask(encode.subscribe(1, [("sensor/out/+", 1)]))
        nursery.cancel_scope.cancel()
    assert len(broker.sessions) == 0
    assert not broker.subscriptions.match(OUT)


async def test_a_crash_stays_the_sessions_own(
    broker: Broker, clients: Clients, reports: FakePartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of the server ends one session, is counted, and nobody else notices."""
    client = await clients.device(broker)
    other = await clients.device(broker, 2)

    def fail(_message: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reports, "submit", fail)
    assert await client.ask(publish(1)) == b""
    assert await client.is_closed()
    assert broker.counters.crashes == 1
    assert await other.ask(encode.PINGREQ) == encode.PINGRESP
