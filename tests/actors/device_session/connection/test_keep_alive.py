"""Deadlines and pressure: silence, clients that are held, clients that do not read."""

import pytest
import trio
import trio.testing

from actors.device_session.broker import Broker
from actors.wire.mqtt import encode
from tests.actors.device_session.conftest import (
    Clients,
    FakePartition,
    make_broker,
    partition,
    publish,
    sweeping,
)


async def test_a_silent_client_is_let_go_after_one_and_a_half_times_its_keep_alive(
    broker: Broker, clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """[MQTT-3.1.2-24; MQTT5-3.1.2-22] One and a half keep alives; every packet moves the deadline."""
    clients.nursery.start_soon(sweeping, broker)
    client = await clients.device(broker, keep_alive=10)
    await trio.sleep(14)
    assert await client.ask(encode.PINGREQ) == encode.PINGRESP
    await trio.sleep(14)
    assert broker.statuses.view("sensor/lot-1").online
    await trio.sleep(3)
    assert not broker.statuses.view("sensor/lot-1").online
    assert "keep alive" in broker.statuses.view("sensor/lot-1").reason
    assert broker.counters.keep_alive_expired == 1


async def test_without_keep_alive_a_client_may_be_silent_for_long(
    broker: Broker, clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """Keep alive 0 turns the clock off, up to `max_keep_alive`."""
    clients.nursery.start_soon(sweeping, broker)
    await clients.device(broker, keep_alive=0)
    await trio.sleep(3_000)
    assert broker.statuses.view("sensor/lot-1").online


async def test_a_client_that_sends_no_connect_is_let_go(
    broker: Broker, clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """One deadline, which sending byte by byte does not move."""
    clients.nursery.start_soon(sweeping, broker)
    silent, slow = clients.open(broker), clients.open(broker)
    for byte in encode.connect("x" * 20, username="sensor/lot-1", password=b"secret-1"):
        await slow.send(bytes((byte,)))
        await trio.sleep(0.5)
        if len(broker.sessions) == 0:
            break
    assert len(broker.sessions) == 0
    assert trio.current_time() < 13
    assert await silent.is_closed()


async def test_a_held_client_is_served_and_its_clock_stands_still(
    broker: Broker, clients: Clients, reports: FakePartition, autojump_clock: trio.testing.MockClock
) -> None:
    """Reports wait for a slow partition for a minute; a client with keep alive 5 stays, and gets its PINGRESP."""
    clients.nursery.start_soon(sweeping, broker)
    reports.answers_at_once = False
    client = await clients.device(broker, keep_alive=5)
    await client.send(*(publish(number) for number in range(1, 21)))
    for _ in range(15):
        await trio.sleep(4)
        assert await client.ask(encode.PINGREQ) == encode.PINGRESP
    reports.answer()
    assert await client.received() == encode.pubacks(range(1, 21))
    assert broker.counters.held_disconnects == 0


async def test_past_the_inflight_bytes_the_socket_is_not_read(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """The bound holds, the keep alive does not run out meanwhile, and reading goes on when room is made."""
    broker = make_broker(inflight_bytes=1_000)
    reports = partition(broker)
    clients.nursery.start_soon(sweeping, broker)
    reports.answers_at_once = False
    client = await clients.device(broker, keep_alive=5)
    await client.ask(*(publish(number) for number in range(1, 21)))
    assert await client.ask(publish(21), encode.PINGREQ) == b""
    assert len(reports.values) == 20
    assert broker.counters.pauses == 1
    await trio.sleep(600)
    assert broker.statuses.view("sensor/lot-1").online
    # Its PINGREQ is not read: it is answered in advance, twice in each keep alive, so that the client stays as well.
    in_advance = await client.received()
    assert set(zip(in_advance[::2], in_advance[1::2], strict=True)) == {tuple(encode.PINGRESP)}
    assert 200 <= len(in_advance) // 2 <= 240
    reports.answer()
    assert await client.received() == encode.pubacks(range(1, 21)) + encode.PINGRESP
    reports.answer()
    assert await client.received() == encode.pubacks([21])


async def test_reports_of_qos_0_hold_the_client_as_well(clients: Clients) -> None:
    """What is not acknowledged weighs no less while it waits, and reading goes on once it is stored."""
    broker = make_broker(inflight_bytes=500)
    reports = partition(broker)
    reports.answers_at_once = False
    client = await clients.device(broker)
    await client.ask(*(publish(0, qos=0) for _ in range(10)))
    assert await client.ask(encode.PINGREQ) == b""
    reports.answer()
    assert await client.received() == encode.PINGRESP


async def test_a_client_that_floods_answers_is_not_read_until_it_reads(broker: Broker, clients: Clients) -> None:
    """Answers are bounded too, and none is lost."""
    client = await clients.device(broker)
    assert await client.ask(encode.PINGREQ * 20_000) == encode.PINGRESP * 20_000
    assert broker.counters.pauses >= 1


@pytest.mark.parametrize("leave", [encode.DISCONNECT, b""])
async def test_a_held_client_that_leaves_is_counted(
    broker: Broker, clients: Clients, reports: FakePartition, autojump_clock: trio.testing.MockClock, leave: bytes
) -> None:
    """DISCONNECT and the end of the stream are seen while acknowledgements are withheld."""
    reports.answers_at_once = False
    client = await clients.device(broker)
    await client.ask(publish(1))
    await trio.sleep(5)
    if leave:
        await client.send(leave)
    else:
        await client.stream.aclose()
    await client.settle()
    assert broker.counters.held_disconnects == 1
    assert len(broker.sessions) == 0
    reports.answer()


async def test_a_client_that_reads_nothing_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """Who does not take what is sent to it is not held by the server: its clock runs."""
    broker = make_broker(write_timeout=20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweeping, broker)
        client = Clients(nursery).open(broker)

        async def never_taken() -> None:
            await trio.sleep_forever()

        await client.send(encode.connect("a", username="sensor/lot-1", password=b"secret-1"))
        await client.settle()
        client.session._stream.send_stream.send_all_hook = never_taken
        await client.send(encode.PINGREQ)
        await client.settle()
        while len(broker.sessions):
            await client.send(encode.PINGREQ)
            await trio.sleep(1)
        assert trio.current_time() == pytest.approx(22, abs=2)
        nursery.cancel_scope.cancel()
