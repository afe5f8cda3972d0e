"""What becomes of the messages of one client: stored, acknowledged, refused, dropped."""

import pytest

from actors.device_session.broker import Broker
from actors.errors import AppendRefusedError
from actors.wire.mqtt import encode
from tests.actors.device_session.conftest import (
    BAD,
    GOOD,
    IN,
    Clients,
    FakePartition,
    FakeTopic,
    FakeTopics,
    forward_rule,
    make_broker,
    partition,
    publish,
)


async def test_a_report_is_acknowledged_only_once_it_is_stored(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """[MQTT-3.3.4-1, 4.3.2-2] PUBACK leaves after the append's answer, not before."""
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
    """[MQTT-4.6.0-2] With two partitions that answer in the other order."""
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
    """[MQTT-3.3.5-2] MQTT 3 has no refusal for a PUBLISH; nobody else's topic is reached."""
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
