"""How fast a device may publish: reading pauses, nothing is lost."""

import pytest
import trio
import trio.testing

from actors.device_session.connection.pace import Paces
from actors.device_session.registry.expiry import expire
from actors.directory.identities import DeviceIdentity
from actors.wire.mqtt import encode
from config.settings import MqttSettings
from tests.actors.device_session.conftest import Clients, make_broker, partition, publish, sweeping

LOT_1 = DeviceIdentity("sensor", "lot-1", "city")


async def test_messages_beyond_the_rate_wait_and_none_is_lost(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """A burst of one second passes at once; whatever is read beyond it is waited off before the next read."""
    broker = make_broker(max_messages_per_second=10)
    reports = partition(broker)
    client = await clients.device(broker)
    began = trio.current_time()
    assert await client.ask(*(publish(number) for number in range(1, 11))) == encode.pubacks(range(1, 11))
    assert broker.counters.pauses == 0
    for number in range(11, 31):
        await client.ask(publish(number))
    await trio.sleep(0.3)
    await client.send(encode.PINGREQ)
    await trio.sleep(1.6)
    assert len(reports.values) == 30
    assert encode.PINGRESP not in await client.received()
    assert broker.sessions.held == 1
    await trio.sleep(0.2)
    assert await client.received() == encode.PINGRESP
    assert trio.current_time() - began == pytest.approx(2.1)


async def test_bytes_count_as_well(clients: Clients, autojump_clock: trio.testing.MockClock) -> None:
    """One large report is taken whole, and waited for."""
    broker = make_broker(max_bytes_per_second=1_000)
    client = await clients.device(broker)
    large = b'{"status":"0","x":"' + b"x" * 3_000 + b'"}'
    assert await client.ask(publish(1, large)) == encode.pubacks([1])
    began = trio.current_time()
    assert await client.ask(encode.PINGREQ) == b""
    await trio.sleep(2.5)
    assert await client.received() == encode.PINGRESP
    assert trio.current_time() - began == pytest.approx(2.5)


async def test_a_device_that_is_held_for_its_pace_is_not_silent(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """Its PINGREQ is not read meanwhile: the keep alive's clock stands still, and it is answered in advance."""
    broker = make_broker(max_messages_per_second=1)
    clients.nursery.start_soon(sweeping, broker)
    client = await clients.device(broker, keep_alive=4)
    await client.ask(*(publish(number) for number in range(1, 31)))
    await trio.sleep(25)
    assert broker.statuses.view("sensor/lot-1").online
    assert (await client.received()).count(encode.PINGRESP) >= 5


async def test_the_connections_of_a_device_share_its_pace(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """Neither a second connection nor a new one gains anything; other devices are not concerned."""
    broker = make_broker(max_messages_per_second=10)
    first, second = await clients.device(broker, 1, "a"), await clients.device(broker, 1, "b")
    other = await clients.device(broker, 2)
    await first.ask(*(publish(number) for number in range(1, 11)))
    assert await second.ask(publish(1)) == encode.pubacks([1])
    assert broker.counters.pauses == 1
    await first.ask(encode.DISCONNECT)
    again = await clients.device(broker, 1, "a")
    await again.ask(publish(1))
    assert broker.counters.pauses == 2
    await other.ask(publish(1, topic="sensor/out/lot-2"))
    assert broker.counters.pauses == 2


async def test_a_pace_is_forgotten_when_nobody_needs_it(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """Once its connections are gone and its buckets are full again."""
    broker = make_broker(max_messages_per_second=10)
    client = await clients.device(broker)
    await client.ask(*(publish(number) for number in range(1, 9)))
    await expire(broker)
    assert len(broker.paces) == 1
    await client.ask(encode.DISCONNECT)
    await expire(broker)
    assert len(broker.paces) == 1
    await trio.sleep(1)
    await expire(broker)
    assert len(broker.paces) == 0


def test_without_rates_there_is_no_pace() -> None:
    """Nothing is looked up or counted."""
    assert Paces(MqttSettings()).join(LOT_1, 0.0) is None
