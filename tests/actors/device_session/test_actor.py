"""A session from its first byte to its end, over a stream in memory and in virtual time."""

import math

import pytest
import trio
import trio.testing

from actors.device_session.broker import Broker
from actors.directory.entries import DeviceEntry
from actors.errors import AppendRefusedError
from actors.wire.mqtt import encode
from tests.actors.device_session.conftest import (
    BAD,
    GOOD,
    IN,
    OUT,
    Clients,
    FakePartition,
    FakeTopic,
    FakeTopics,
    digest,
    forward_rule,
    make_broker,
    partition,
)


def publish(packet_id: int, payload: bytes = GOOD, topic: str = OUT, qos: int = 1, **options: bool) -> bytes:
    return encode.publish(topic, payload, qos=qos, packet_id=packet_id, **options)


async def test_a_report_is_acknowledged_only_once_it_is_stored(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """PUBACK leaves after the append's answer, not before."""
    reports.answers_at_once = False
    client = await clients.device(broker)
    assert await client.ask(publish(1), publish(2)) == b""
    assert reports.values == [GOOD, GOOD]
    assert len(reports.appends) == 1
    reports.answer()
    assert await client.received() == encode.pubacks([1, 2])
    assert broker.counters.acknowledged == broker.counters.records == 2


async def test_acknowledgements_keep_the_order_of_packets_whichever_partition_answers_first(
    clients: Clients,
) -> None:
    """MQTT-4.6.0-2, with two partitions that answer in the other order."""
    broker = make_broker()
    broker.directory.put_rule(forward_rule(key="status"))
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    first, second = FakePartition(), FakePartition()
    topics.topics["reports"] = FakeTopic([first, second])
    first.answers_at_once = second.answers_at_once = False
    client = await clients.device(broker)
    await client.ask(publish(1, b'{"status":"0"}'))
    assert await client.ask(publish(2, b'{"status":"1"}')) == b""
    assert (len(first.values), len(second.values)) == (1, 1)
    second.answer()
    assert await client.received() == b""
    first.answer()
    assert await client.received() == encode.pubacks([1, 2])


async def test_one_read_makes_one_append_for_each_partition(clients: Clients) -> None:
    """A message between actors carries a batch; a read with several targets waits for all of them."""
    broker = make_broker()
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    topics.topics["copies"] = FakeTopic()
    broker.directory.put_rule(forward_rule("both", "reports", "copies"))
    broker.directory.remove("rule", "forward")
    reports, copies = partition(broker), partition(broker, "copies")
    copies.answers_at_once = False
    client = await clients.device(broker)
    assert await client.ask(*(publish(number) for number in range(1, 11))) == b""
    assert [len(append.records) for append in reports.appends] == [10]
    assert [len(append.records) for append in copies.appends] == [10]
    assert copies.appends[0].size == sum(len(GOOD) + len("lot-1") for _ in range(10))
    copies.answer()
    assert await client.received() == encode.pubacks(range(1, 11))


async def test_bad_payloads_are_kept_apart_and_still_acknowledged(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """Counted, shown with the device's status, not forwarded; the good ones of the same read are."""
    client = await clients.device(broker)
    assert await client.ask(publish(1), publish(2, BAD), publish(3)) == encode.pubacks([1, 2, 3])
    assert reports.values == [GOOD, GOOD]
    view = broker.statuses.view("sensor/lot-1")
    assert (view.reports, view.rejected, broker.counters.rejected_payloads) == (3, 1, 1)
    assert "status" in view.rejected_reports[0].reason
    assert view.last_report is not None


@pytest.mark.parametrize(
    ("topic", "counter"),
    [("sensor/out/lot-2", "dropped_no_right"), (IN, "dropped_no_right"), ("x", "dropped_no_right")],
)
async def test_publishing_without_right_is_acknowledged_dropped_and_counted(
    broker: Broker, clients: Clients, reports: FakePartition, topic: str, counter: str
) -> None:
    """MQTT 3.1.1 has no refusal for a PUBLISH (3.3.5); nobody else's topic is reached."""
    client = await clients.device(broker)
    assert await client.ask(publish(1, topic=topic)) == encode.pubacks([1])
    assert reports.values == []
    assert getattr(broker.counters, counter) == 1


async def test_reports_that_no_rule_takes_are_acknowledged_dropped_and_counted(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """No rule: acknowledged, dropped, counted; a rule that comes later takes effect at once."""
    broker.directory.remove("rule", "forward")
    client = await clients.device(broker)
    assert await client.ask(publish(1)) == encode.pubacks([1])
    assert broker.counters.dropped_no_rule == 1
    broker.directory.put_rule(forward_rule())
    assert await client.ask(publish(2)) == encode.pubacks([2])
    assert reports.values == [GOOD]


async def test_reports_to_a_topic_that_does_not_exist_are_dropped_until_it_does(clients: Clients) -> None:
    """A rule whose topic is gone stops nobody."""
    broker = make_broker()
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    topic = topics.topics.pop("reports")
    client = await clients.device(broker)
    assert await client.ask(publish(1)) == encode.pubacks([1])
    assert broker.counters.dropped_no_topic == 1
    topics.topics["reports"] = topic
    topics.version += 1
    assert await client.ask(publish(2)) == encode.pubacks([2])
    assert topic.partitions[0].values == [GOOD]


async def test_a_record_larger_than_its_topic_takes_is_rejected_alone(clients: Clients) -> None:
    """The reports beside it are stored."""
    broker = make_broker()
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    topics.topics["reports"].max_message_bytes = 30
    large = b'{"status":"0","x":"' + b"x" * 100 + b'"}'
    client = await clients.device(broker)
    assert await client.ask(publish(1, large), publish(2)) == encode.pubacks([1, 2])
    assert partition(broker).values == [GOOD]
    assert "30" in broker.statuses.view("sensor/lot-1").rejected_reports[0].reason


async def test_qos_0_is_forwarded_and_not_acknowledged(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """At most once still means: stored when all is well."""
    client = await clients.device(broker)
    assert await client.ask(publish(0, qos=0), publish(0, BAD, qos=0)) == b""
    assert reports.values == [GOOD]


async def test_a_failed_append_closes_the_connection_unacknowledged(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """The client keeps its reports, and sends them again."""
    reports.answers_at_once = False
    client = await clients.device(broker)
    await client.ask(publish(1))
    reports.appends[0].reply.fail(AppendRefusedError("the disk is full"))
    assert await client.received() == b""
    assert await client.is_closed()
    assert broker.counters.acknowledged == 0
    assert "the disk is full" in broker.statuses.view("sensor/lot-1").reason


async def test_a_partition_that_is_gone_closes_the_connection_unacknowledged(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """ActorGone is no answer; nothing that is not stored is acknowledged."""
    client = await clients.device(broker)
    reports.gone = True
    assert await client.ask(publish(1)) == b""
    assert await client.is_closed()
    assert broker.counters.failed_appends == 1


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (publish(1, qos=2), "QoS 2"),
        (publish(1, retain=True), "retain"),
        (encode.connect("again"), "second CONNECT"),
        (b"\x62\x02\x00\x01", "QoS 2"),
        (b"\xf0\x00", "reserved"),
        (b"\x30\xff\xff\xff\xff\x7f", "remaining length"),
        (encode.subscribe(0, [("a", 0)]), "packet id"),
    ],
)
async def test_what_is_not_allowed_closes_the_connection_with_a_reason(
    broker: Broker, clients: Clients, reports: FakePartition, packet: bytes, reason: str
) -> None:
    """What came before it in the same read is stored; what came after is not looked at; nobody else notices."""
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


# --- time -------------------------------------------------------------------------------------------------------------


async def sweeping(broker: Broker) -> None:
    while True:
        await trio.sleep(1)
        await broker.sessions.sweep()


async def test_a_silent_client_is_let_go_after_one_and_a_half_times_its_keep_alive(
    broker: Broker, clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """MQTT-3.1.2-24; every packet moves the deadline."""
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


# --- who may connect --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        (encode.connect("a", username="sensor/lot-1", password=b"wrong"), 4),
        (encode.connect("a", username="sensor/lot-9", password=b"secret-1"), 4),
        (encode.connect("a", username="city-key", password=b"wrong"), 4),
        (encode.connect("a"), 4),
        (encode.connect("a", username="sensor/lot-off", password=b"secret-off"), 5),
        (encode.connect("a", username="sensor/lot-off", password=b"wrong"), 4),
        (encode.connect("a", username="sensor/lot-1", password=b"secret-1", clean_start=False), 3),
        (encode.connect("", username="sensor/lot-1", password=b"secret-1", clean_start=False), 2),
        (encode.connect("", username="sensor/lot-1", password=b"secret-1", level=3), 2),
        (encode.connect("a" * 300, username="sensor/lot-1", password=b"secret-1"), 2),
        (b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00", 1),
        (b"\x10\x14\x00\x04MQTT\x04\x06\x00\x3c\x00\x01a\x00\x01w\x00\x02hi", 3),
    ],
)
async def test_a_refused_connect_gets_its_code_and_the_connection_is_closed(
    broker: Broker, clients: Clients, connect: bytes, code: int
) -> None:
    """Each refusal has the CONNACK code that the protocol has for it (3.2.2.3)."""
    client = clients.open(broker)
    assert await client.ask(connect) == encode.connack(code)
    assert await client.is_closed()
    assert broker.counters.refused_connects == 1
    assert len(broker.sessions) == 0


@pytest.mark.parametrize("data", [encode.PINGREQ, publish(1), b"GET / HTTP/1.1\r\n\r\n", b"\x10\x02\x00\x00"])
async def test_the_first_packet_must_be_connect(broker: Broker, clients: Clients, data: bytes) -> None:
    """MQTT-3.1.0-1: anything else closes the connection without an answer."""
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
    """A client need not wait for CONNACK (MQTT-3.1.4-5), in MQTT 3.1 and 3.1.1."""
    client = clients.open(broker)
    connect = encode.connect("a", username="sensor/lot-1", password=b"secret-1", level=level)
    assert await client.ask(connect, publish(1)) == encode.connack(0) + encode.pubacks([1])
    assert reports.values == [GOOD]


async def test_an_empty_client_id_gets_one_of_its_own(broker: Broker, clients: Clients) -> None:
    """Two clients without an id do not take one another over (MQTT-3.1.3-6)."""
    connect = encode.connect("", username="sensor/lot-1", password=b"secret-1")
    one, two = clients.open(broker), clients.open(broker)
    assert await one.ask(connect) == await two.ask(connect) == encode.connack(0)
    names = broker.statuses.view("sensor/lot-1").client_ids
    assert len(set(names)) == 2
    assert all(names)


async def test_a_second_connection_with_the_same_client_id_takes_over(broker: Broker, clients: Clients) -> None:
    """MQTT-3.1.4-2: the old one is closed before the new one is answered; the device stays online."""
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


# --- ends that are asked for ------------------------------------------------------------------------------------------


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


# --- subscribing ------------------------------------------------------------------------------------------------------


async def test_an_app_and_a_device_reach_one_another(broker: Broker, clients: Clients, reports: FakePartition) -> None:
    """Reports go to who subscribed to `out`, messages of the app to the device's `in`, at the lower of both QoS."""
    app, device = await clients.app(broker), await clients.device(broker)
    assert await app.ask(encode.subscribe(1, [("sensor/out/+", 1)])) == encode.suback(1, [1])
    assert await device.ask(encode.subscribe(7, [(IN, 2)])) == encode.suback(7, [1])
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


async def test_a_subscriber_that_does_not_read_disturbs_nobody(clients: Clients) -> None:
    """It is disconnected once too much waits for it; publishers and other subscribers go on."""
    broker = make_broker(outbox_bytes=2_000)
    slow, app, device = await clients.app(broker, "slow"), await clients.app(broker), await clients.device(broker)
    for subscriber in (slow, app):
        await subscriber.ask(encode.subscribe(1, [("sensor/out/+", 1)]))
    delivered = b""
    for number in range(1, 301):
        assert await device.ask(publish(number)) == encode.pubacks([number])
        delivered += await app.received()
        await app.send(encode.pubacks([number]))
    assert delivered == b"".join(publish(number) for number in range(1, 301))
    assert broker.counters.slow_subscribers > 0
    assert len(await slow.received()) == 100 * len(publish(1))
    assert await slow.is_closed()


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
