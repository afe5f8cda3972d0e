"""QoS 2 from a client: taken once, in each target, whatever is sent again (MQTT 5, 4.3.3)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.device_session.broker import Broker, open_broker
from actors.device_session.intake.incoming import read_mark
from actors.device_session.journal import Change, ForgetfulJournal, OpenIncoming, Released
from actors.device_session.profile import ListenerProfile
from actors.directory.directory import Directory
from actors.errors import AppendRefusedError, StorageError
from actors.records import QOS2_HEADER
from actors.runtime.reply import Reply
from actors.topic_partition.gate import GateState
from actors.wire.mqtt.answers import Acknowledgement, Answer, ServerDisconnect
from actors.wire.mqtt.client import write
from actors.wire.mqtt.packets import MQTT_3_1_1, MQTT_5, Disconnect, Publish, Pubrel, Subscribe, Subscription
from actors.wire.mqtt.reasons import Reason
from config.settings import MqttSettings
from tests.actors.device_session.conftest import (
    APP,
    BAD,
    GOOD,
    LOT_1,
    OUT,
    Client,
    Clients,
    FakePartition,
    FakeTopic,
    FakeTopics,
    digest,
    fill,
    forward_rule,
    make_broker,
    partition,
)

LEVELS = pytest.mark.parametrize("level", [MQTT_3_1_1, MQTT_5])
KEPT = replace(LOT_1, clean_start=False, session_expiry=3600)


class SlowJournal(ForgetfulJournal):
    """Remembers what it is told, and answers when the test says so."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.waiting: list[Reply[None]] = []
        self.answers_at_once = True

    def write(self, changes: Sequence[Change], reply: Reply[None] | None) -> None:
        self.changes += changes
        if reply is None:
            return
        if self.answers_at_once:
            reply.set(None)
        else:
            self.waiting.append(reply)

    def answer(self) -> None:
        for reply in self.waiting:
            reply.set(None)

    def of(self, kind: type) -> list[Change]:
        return [change for change in self.changes if isinstance(change, kind)]


@pytest.fixture
def journal() -> SlowJournal:
    return SlowJournal()


@pytest.fixture
def broker(journal: SlowJournal) -> Broker:
    return open_broker(MqttSettings(), fill(Directory(digest)), FakeTopics(), journal)


def once(packet_id: int, payload: bytes = GOOD, *, dup: bool = False, retain: bool = False) -> Publish:
    return Publish(OUT, payload, 2, packet_id, retain, dup)


def at(qos: int, packet_id: int) -> Publish:
    return once(packet_id)._replace(qos=qos)


def pubrec(packet_id: int, reason: int = 0) -> Answer:
    return Acknowledgement("PUBREC", packet_id, reason)


def pubcomp(packet_id: int, reason: int = 0) -> Answer:
    return Acknowledgement("PUBCOMP", packet_id, reason)


async def kept(clients: Clients, broker: Broker, level: int = MQTT_5) -> Client:
    """A device whose session outlives its connections."""
    expiry = 0xFFFF_FFFF if level < MQTT_5 else 3600
    client, answer = await clients.connect(broker, KEPT, level=level, session_expiry=expiry)
    assert answer.reason == 0
    return client


@LEVELS
async def test_a_message_is_taken_once_until_it_is_released(
    broker: Broker, clients: Clients, reports: FakePartition, level: int
) -> None:
    """[MQTT-4.3.3-2; MQTT5-4.3.3-8, 4.3.3-10, 4.3.3-11, 4.3.3-12] Then its packet id is that of a new message."""
    client, _ = await clients.connect(broker, LOT_1, level=level)
    assert await client.say(once(7)) == [pubrec(7)]
    assert await client.say(once(7, dup=True), once(7, dup=True)) == [pubrec(7), pubrec(7)]
    assert reports.values == [GOOD]
    assert await client.say(Pubrel(7)) == [pubcomp(7)]
    assert await client.say(once(7)) == [pubrec(7)]
    assert reports.values == [GOOD, GOOD]


async def test_pubrec_leaves_once_the_message_is_stored(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """[MQTT-3.3.4-1, 4.6.0-3; MQTT5-3.3.4-1, 4.6.0-3] Not before, and in the order of the messages."""
    reports.answers_at_once = False
    client, _ = await clients.connect(broker)
    assert await client.say(once(1), once(2), at(1, 3)) == []
    reports.answer()
    assert await client.heard() == [pubrec(1), pubrec(2), Acknowledgement("PUBACK", 3)]


@pytest.mark.parametrize(("level", "reason"), [(MQTT_3_1_1, 0), (MQTT_5, Reason.PACKET_IDENTIFIER_NOT_FOUND)])
async def test_a_release_of_nothing_is_answered(broker: Broker, clients: Clients, level: int, reason: int) -> None:
    """[MQTT-4.3.3-2] After a lost PUBCOMP the client asks again; at level 5 it hears 0x92 (3.7.2.1)."""
    client, _ = await clients.connect(broker, LOT_1, level=level)
    assert await client.say(Pubrel(9)) == [pubcomp(9, reason)]
    await client.say(once(7))
    assert await client.say(Pubrel(7)) == [pubcomp(7)]
    assert await client.say(Pubrel(7)) == [pubcomp(7, reason)]


async def test_records_of_sessions_that_are_kept_name_their_message(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """Each message its own number, in the batch that stores it; sessions that are not kept put nothing there."""
    client = await kept(clients, broker)
    await client.say(once(1), once(2))
    await client.say(Pubrel(1))
    await client.say(once(1))
    headers = [dict(record.headers)[QOS2_HEADER] for append in reports.appends for record in append.records]
    marks = [read_mark(header) for header in headers]
    assert [(mark.packet_id, mark.number) for mark in marks] == [(1, 1), (2, 2), (1, 3)]
    assert len({mark.incarnation for mark in marks}) == 1
    passing, _ = await clients.connect(broker, LOT_1, client_id="passing")
    await passing.say(once(1))
    assert reports.appends[-1].records[0].headers == ()


async def test_pubcomp_of_a_kept_session_waits_for_the_release_on_disk(
    broker: Broker, clients: Clients, journal: SlowJournal
) -> None:
    """PUBCOMP is the promise that the packet id is free: it leaves once that is written down."""
    client = await kept(clients, broker)
    await client.say(once(1), once(2))
    journal.answers_at_once = False
    assert await client.say(Pubrel(1), Pubrel(2)) == []
    assert [(change.packet_id, change.number) for change in journal.of(Released)] == [(1, 1), (2, 2)]
    assert len(journal.waiting) == 1
    journal.answer()
    assert await client.heard() == [pubcomp(1), pubcomp(2)]


async def test_a_release_that_cannot_be_written_down_is_not_promised(
    broker: Broker, clients: Clients, journal: SlowJournal
) -> None:
    """The connection is closed, and the client releases again."""
    client = await kept(clients, broker)
    await client.say(once(1))
    journal.answers_at_once = False
    await client.say(Pubrel(1))
    journal.waiting[0].fail(StorageError("the disk is gone"))
    assert [type(answer) for answer in await client.heard()] == [ServerDisconnect]
    journal.answers_at_once = True
    again = await kept(clients, broker)
    assert await again.say(Pubrel(1)) == [pubcomp(1)]


async def test_a_repetition_goes_only_where_the_message_is_not(
    broker: Broker, clients: Clients, journal: SlowJournal
) -> None:
    """Of two targets one has failed: after reconnecting, the message is appended to that one alone."""
    topics = broker.topics
    topics.topics["copies"] = FakeTopic()
    broker.directory.put_rule(forward_rule("both", "reports", "copies"))
    broker.directory.remove("rule", "forward")
    reports, copies = partition(broker), partition(broker, "copies")
    copies.answers_at_once = False
    client = await kept(clients, broker)
    assert await client.say(once(5)) == []
    copies.appends[0].reply.fail(AppendRefusedError("the disk is full"))
    assert await client.heard() == [ServerDisconnect(Reason.QUOTA_EXCEEDED)]
    copies.answers_at_once = True
    again = await kept(clients, broker)
    assert await again.say(once(5, dup=True)) == [pubrec(5)]
    assert (len(reports.values), len(copies.values)) == (1, 2)
    assert await again.say(Pubrel(5)) == [pubcomp(5)]


async def test_a_repetition_waits_for_an_append_that_is_under_way(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """The connection was lost before the answer: nothing is appended again, and PUBREC comes with that answer."""
    reports.answers_at_once = False
    client = await kept(clients, broker)
    await client.say(once(5))
    await client.stream.aclose()
    again = await kept(clients, broker)
    assert await again.say(once(5, dup=True), once(5, dup=True)) == []
    assert len(reports.appends) == 1
    reports.answer()
    assert await again.heard() == [pubrec(5), pubrec(5)]


async def test_what_goes_to_subscribers_goes_once_and_is_noted_with_it(
    broker: Broker, clients: Clients, journal: SlowJournal
) -> None:
    """No partition knows of such a message: that it is open is in the journal, with what was queued for others."""
    broker.directory.remove("rule", "forward")
    app, _ = await clients.connect(broker, APP, clean_start=False, session_expiry=60)
    await app.say(Subscribe(1, (Subscription("sensor/out/+", 2),)))
    client = await kept(clients, broker)
    journal.answers_at_once = False
    assert await client.say(once(5)) == []
    (opened,) = journal.of(OpenIncoming)
    assert (opened.packet_id, opened.number, opened.delivered) == (5, 1, True)
    assert len(journal.waiting) == 1
    journal.answer()
    journal.answers_at_once = True
    assert await client.heard() == [pubrec(5)]
    assert await client.say(once(5, dup=True)) == [pubrec(5)]
    assert await app.heard() == [once(1)]


async def test_a_refused_message_frees_its_packet_id(broker: Broker, clients: Clients, reports: FakePartition) -> None:
    """[MQTT5-4.3.3-9] PUBREC with a failure ends the hand-shake: the same id is a new message."""
    broker.topics.topics["reports"].gate.set(GateState.REJECTING, "too much waits")
    client, _ = await clients.connect(broker)
    assert await client.say(once(5)) == [pubrec(5, Reason.QUOTA_EXCEEDED)]
    broker.topics.topics["reports"].gate.set(GateState.OPEN)
    assert await client.say(once(6, BAD)) == [pubrec(6, Reason.PAYLOAD_FORMAT_INVALID)]
    assert await client.say(once(5), once(6)) == [pubrec(5), pubrec(6)]
    assert reports.values == [GOOD, GOOD]


async def test_a_message_that_is_refused_in_the_end_is_given_up_on_disk(
    broker: Broker, clients: Clients, journal: SlowJournal
) -> None:
    """[MQTT5-4.3.3-9] What one target has of it is not taken for the next message of its id, also after a restart."""
    broker.topics.topics["copies"] = FakeTopic()
    broker.directory.put_rule(forward_rule("both", "reports", "copies"))
    copies = partition(broker, "copies")
    copies.answers_at_once = False
    client, _ = await clients.connect(broker, KEPT)
    assert await client.say(once(5)) == []
    copies.appends[0].reply.fail(AppendRefusedError("the disk is full"))
    assert await client.is_closed()
    broker.topics.topics["copies"].gate.set(GateState.REJECTING, "too much waits")
    client, _ = await clients.connect(broker, KEPT)
    journal.answers_at_once = False
    assert await client.say(once(5, dup=True)) == []
    ((name, value),) = partition(broker).appends[0].records[0].headers
    assert name == QOS2_HEADER
    assert journal.of(Released) == [Released(*(read_mark(value) or ()))]
    journal.answer()
    assert await client.heard() == [pubrec(5, Reason.QUOTA_EXCEEDED)]


async def test_one_packet_id_a_hundred_thousand_times_grows_nothing(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """Repetitions, and hand-shakes that never wait for their answers: one open message, nothing in flight after it."""
    client, _ = await clients.connect(broker, LOT_1, level=MQTT_3_1_1)
    state = client.session._entry._state
    repeated = write(once(1, dup=True), MQTT_3_1_1) * 1_000
    for _ in range(80):
        assert len(await client.ask(repeated)) == 4_000
    assert reports.values == [GOOD]
    await client.say(Pubrel(1))
    both = (write(once(1), MQTT_3_1_1) + write(Pubrel(1), MQTT_3_1_1)) * 1_000
    for _ in range(20):
        assert len(await client.ask(both)) == 8_000
    assert len(reports.values) == 20_001
    assert len(state.incoming) == 0
    assert client.session._writer.inflight.size == 0


async def test_clean_sessions_forget_their_open_messages(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """[MQTT-3.1.2-6] The open messages are part of the session, and end with it."""
    client, _ = await clients.connect(broker)
    await client.say(once(5))
    await client.say(Disconnect())
    again, _ = await clients.connect(broker)
    assert await again.say(once(5, dup=True)) == [pubrec(5)]
    assert len(reports.values) == 2


@pytest.mark.parametrize("most", [0, 1])
async def test_more_than_the_maximum_qos_is_not_taken(
    broker: Broker, clients: Clients, reports: FakePartition, most: int
) -> None:
    """[MQTT5-3.2.2-9, 3.2.2-11] CONNACK says the highest QoS; whoever sends a higher one is told 0x9B."""
    listener = ListenerProfile(maximum_qos=most)
    client, connack = await clients.connect(broker, listener=listener)
    assert connack.properties.maximum_qos == most
    assert await client.say(at(most, most)) == ([Acknowledgement("PUBACK", 1)] if most else [])
    (farewell,) = await client.say(at(most + 1, 2))
    assert farewell.reason == Reason.QOS_NOT_SUPPORTED
    assert reports.values == [GOOD]


async def test_receive_maximum_holds_until_pubcomp(clients: Clients) -> None:
    """[MQTT5-3.3.4-7, 4.9.0-1] Open QoS 2 messages count; one too many is answered with 0x93, which the client gets."""
    broker = make_broker()
    client, connack = await clients.connect(broker, listener=ListenerProfile(receive_maximum=3))
    assert connack.properties.receive_maximum == 3
    assert await client.say(once(1), once(2), once(3)) == [pubrec(1), pubrec(2), pubrec(3)]
    assert await client.say(once(1, dup=True)) == [pubrec(1)]
    assert await client.say(Pubrel(1)) == [pubcomp(1)]
    assert await client.say(once(1)) == [pubrec(1)]
    (farewell,) = await client.say(once(4))
    assert farewell.reason == Reason.RECEIVE_MAXIMUM_EXCEEDED
    assert await client.is_closed()
    assert len(partition(broker).values) == 4
