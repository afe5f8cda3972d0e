"""What a session does with reports that a topic's backlog policy refuses or leads elsewhere."""

from __future__ import annotations

import trio
import trio.testing

from actors.device_session.broker import Broker
from actors.topic_partition.gate import ORIGIN_HEADER, GateState
from actors.wire.mqtt import encode
from tests.actors.device_session.conftest import GOOD, OUT, Clients, FakeTopic, FakeTopics, make_broker, partition


def publish(packet_id: int, qos: int = 1) -> bytes:
    return encode.publish(OUT, GOOD, qos=qos, packet_id=packet_id)


def topic(broker: Broker, name: str = "reports") -> FakeTopic:
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    found = topics.get(name)
    assert found is not None
    return found


async def sweeping(broker: Broker) -> None:
    while True:
        await trio.sleep(1)
        await broker.sessions.sweep()


async def test_refused_reports_are_withheld_and_the_client_let_go_after_a_while(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """MQTT 3.1.1 cannot refuse a PUBLISH: no PUBACK, pings answered, closed after the bound with the reason."""
    broker = make_broker(refused_timeout=10)
    reports = partition(broker)
    clients.nursery.start_soon(sweeping, broker)
    client = await clients.device(broker, keep_alive=60)
    assert await client.ask(publish(1)) == encode.pubacks([1])
    topic(broker).gate.set(GateState.REJECTING, "group g lags", retry_after=5)
    assert await client.ask(publish(2), publish(3)) == b""
    topic(broker).gate.set(GateState.OPEN)
    assert await client.ask(publish(4)) == b""  # stored now it would come a second time
    assert await client.ask(encode.PINGREQ) == encode.PINGRESP
    await trio.sleep(8)
    assert not await client.is_closed()
    await trio.sleep(3)
    assert await client.is_closed()
    assert len(reports.values) == 1
    view = broker.statuses.view("sensor/lot-1")
    assert view.reason.startswith("its reports are refused, and were not acknowledged for 10 s: topic reports takes no")
    counters = broker.counters
    assert (counters.refused_reports, counters.refused_disconnects, counters.failed_appends) == (3, 1, 0)


async def test_what_was_stored_before_a_refusal_is_acknowledged(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """The order of PUBACKs holds: those before the refused report leave, none after it does."""
    broker = make_broker()
    reports = partition(broker)
    reports.answers_at_once = False
    client = await clients.device(broker)
    await client.ask(publish(1))
    topic(broker).gate.set(GateState.REJECTING, "group g lags", retry_after=5)
    await client.ask(publish(2))
    reports.answer()
    assert await client.received() == encode.pubacks([1])


async def test_a_refused_client_is_held_within_its_inflight_bytes(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """What a refused client goes on sending weighs in memory no more than what a slow disk would hold."""
    broker = make_broker(inflight_bytes=1000, refused_timeout=10)
    clients.nursery.start_soon(sweeping, broker)
    topic(broker).gate.set(GateState.REJECTING, "group g lags", retry_after=5)
    client = await clients.device(broker, keep_alive=5)
    await client.ask(*(publish(number) for number in range(1, 100)))
    assert broker.counters.pauses == 1
    await trio.sleep(11)
    assert await client.is_closed()
    assert broker.counters.refused_disconnects == 1


async def test_refused_reports_of_qos_0_are_dropped_and_counted(clients: Clients) -> None:
    """There is nothing to withhold: the connection stays, and the next report is taken."""
    broker = make_broker()
    gate = topic(broker).gate
    gate.set(GateState.REJECTING, "group g lags", retry_after=5)
    client = await clients.device(broker)
    await client.ask(publish(0, qos=0))
    gate.set(GateState.OPEN)
    assert await client.ask(publish(1)) == encode.pubacks([1])
    assert (broker.counters.refused_reports, gate.refused) == (1, 1)


async def test_a_refused_client_does_not_hold_up_the_drain(
    clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing of it will be acknowledged any more, so there is nothing to wait for."""
    broker = make_broker(refused_timeout=1000)
    topic(broker).gate.set(GateState.REJECTING, "group g lags", retry_after=5)
    client = await clients.device(broker)
    await client.ask(publish(1))
    with trio.fail_after(1):
        await broker.sessions.drain()


async def test_diverted_reports_go_to_the_other_topic_with_their_origin(clients: Clients) -> None:
    """A session follows the switch in both directions at its next report; the diverted ones say where they belong."""
    broker = make_broker()
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    topics.topics["ditch"] = FakeTopic()
    home, ditch = partition(broker), partition(broker, "ditch")
    client = await clients.device(broker)
    await client.ask(publish(1))
    topic(broker).gate.set(GateState.DIVERTED, divert_to="ditch")
    topics.version += 1
    assert await client.ask(publish(2), publish(3)) == encode.pubacks([2, 3])
    topic(broker).gate.set(GateState.OPEN)
    topics.version += 1
    await client.ask(publish(4))
    assert [len(append.records) for append in home.appends] == [1, 1]
    (diverted,) = ditch.appends
    assert [record.headers for record in diverted.records] == [((ORIGIN_HEADER, b"reports"),)] * 2
    assert [record.headers for append in home.appends for record in append.records] == [(), ()]
    assert topic(broker).gate.diverted == 2


async def test_a_diverted_report_fits_both_topics(clients: Clients) -> None:
    """It is to come home again, so the smaller limit of the two counts."""
    broker = make_broker()
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    topics.topics["ditch"] = FakeTopic()
    topic(broker).max_message_bytes = 5
    topic(broker).gate.set(GateState.DIVERTED, divert_to="ditch")
    client = await clients.device(broker)
    assert await client.ask(publish(1)) == encode.pubacks([1])
    assert (partition(broker, "ditch").values, broker.counters.rejected_payloads) == ([], 1)
