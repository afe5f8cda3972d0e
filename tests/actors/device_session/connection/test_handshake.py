"""Who may connect, with what, and whose session is whose."""

import pytest

from actors.device_session.broker import Broker
from actors.wire.mqtt import encode
from tests.actors.device_session.conftest import (
    GOOD,
    Clients,
    FakePartition,
    make_broker,
    publish,
)


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        (encode.connect("a", username="sensor/lot-1", password=b"wrong"), 4),
        (encode.connect("a", username="sensor/lot-9", password=b"secret-1"), 4),
        (encode.connect("a", username="city-key", password=b"wrong"), 4),
        (encode.connect("a"), 4),
        (encode.connect("a", username="sensor/lot-off", password=b"secret-off"), 5),
        (encode.connect("a", username="sensor/lot-off", password=b"wrong"), 4),
        (encode.connect("", username="sensor/lot-1", password=b"secret-1", clean_start=False), 2),
        (encode.connect("", username="sensor/lot-1", password=b"secret-1", level=3), 2),
        (encode.connect("a" * 300, username="sensor/lot-1", password=b"secret-1"), 2),
        (b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x00", 1),
    ],
)
async def test_a_refused_connect_gets_its_code_and_the_connection_is_closed(
    broker: Broker, clients: Clients, connect: bytes, code: int
) -> None:
    """[MQTT-3.1.2-2, 3.1.3-8, 3.1.3-9, 3.2.2-4, 3.2.2-5] Each refusal has the code that the protocol has for it."""
    client = clients.open(broker)
    assert await client.ask(connect) == encode.connack(code)
    assert await client.is_closed()
    assert broker.counters.refused_connects == 1
    assert len(broker.sessions) == 0


@pytest.mark.parametrize("data", [encode.PINGREQ, publish(1), b"GET / HTTP/1.1\r\n\r\n", b"\x10\x02\x00\x00"])
async def test_the_first_packet_must_be_connect(broker: Broker, clients: Clients, data: bytes) -> None:
    """[MQTT-3.1.0-1, 3.1.4-1; MQTT5-3.1.0-1] Anything else closes the connection without an answer."""
    client = clients.open(broker)
    assert await client.ask(data) == b""
    assert await client.is_closed()
    assert broker.counters.protocol_errors == 1


async def test_before_it_has_logged_in_a_client_stores_little(clients: Clients) -> None:
    """A stranger cannot fill the memory with packets that never end."""
    broker = make_broker()
    client = clients.open(broker)
    await client.send(b"\x10\xff\xff\x3f" + b"x" * 70_000)
    assert await client.is_closed()
    assert broker.counters.protocol_errors == 1


@pytest.mark.parametrize("level", [3, 4])
async def test_packets_right_behind_connect_are_taken(
    broker: Broker, clients: Clients, reports: FakePartition, level: int
) -> None:
    """[MQTT-3.1.4-4, 3.2.0-1] A client need not wait for CONNACK, which comes first."""
    client = clients.open(broker)
    connect = encode.connect("a", username="sensor/lot-1", password=b"secret-1", level=level)
    assert await client.ask(connect, publish(1)) == encode.connack(0) + encode.pubacks([1])
    assert reports.values == [GOOD]


async def test_an_empty_client_id_gets_one_of_its_own(broker: Broker, clients: Clients) -> None:
    """[MQTT-3.1.3-6, 3.1.3-7] Two clients without an id do not take one another over."""
    connect = encode.connect("", username="sensor/lot-1", password=b"secret-1")
    one, two = clients.open(broker), clients.open(broker)
    assert await one.ask(connect) == await two.ask(connect) == encode.connack(0)
    names = broker.statuses.view("sensor/lot-1").client_ids
    assert len(set(names)) == 2
    assert all(names)


async def test_a_second_connection_with_the_same_client_id_takes_over(broker: Broker, clients: Clients) -> None:
    """[MQTT-3.1.4-2] The old one is closed before the new one is answered; the device stays online."""
    old = await clients.device(broker)
    new = await clients.device(broker)
    assert await old.is_closed()
    assert await new.ask(encode.PINGREQ) == encode.PINGRESP
    assert broker.counters.takeovers == 1
    assert broker.statuses.view("sensor/lot-1").client_ids == ("lot-1",)


async def test_a_client_id_belongs_to_its_account(broker: Broker, clients: Clients) -> None:
    """No device and no app can throw out another by using its client id."""
    device = await clients.device(broker, 1, "same")
    other = await clients.device(broker, 2, "same")
    app = await clients.app(broker, "same")
    for client in (device, other, app):
        assert await client.ask(encode.PINGREQ) == encode.PINGRESP
    assert broker.counters.takeovers == 0


async def test_many_takeovers_at_once_leave_one_session(broker: Broker, clients: Clients) -> None:
    """Takeovers wait for one another; nothing hangs and nothing is left behind."""
    connect = encode.connect("same", username="sensor/lot-1", password=b"secret-1")
    many = [clients.open(broker) for _ in range(20)]
    for client in many:
        await client.send(connect)
    await many[0].settle()
    assert len(broker.sessions) == 1
    assert broker.sessions.statistics().connected == 1
    assert broker.statuses.view("sensor/lot-1").client_ids == ("same",)


async def test_a_device_has_a_bounded_number_of_connections(broker: Broker, clients: Clients) -> None:
    """One stolen secret does not exhaust the listener: the oldest connection goes."""
    many = [await clients.device(broker, 1, f"id-{number}") for number in range(9)]
    await many[0].settle()
    assert len(broker.sessions) == 8
    assert await many[0].is_closed()
    assert await many[1].ask(encode.PINGREQ) == encode.PINGRESP
