"""What clients of MQTT 5 are told: in CONNACK, of each message, and at the end."""

from dataclasses import replace

import pytest
import trio
import trio.testing

from actors.device_session.actor import Session
from actors.device_session.broker import Broker
from actors.device_session.profile import ListenerProfile
from actors.errors import AppendRefusedError
from actors.topic_partition.gate import GateState
from actors.wire.mqtt import encode
from actors.wire.mqtt.answers import Acknowledgement, Connack, Pingresp, ServerDisconnect
from actors.wire.mqtt.client import write
from actors.wire.mqtt.packets import (
    MQTT_3_1,
    MQTT_3_1_1,
    MQTT_5,
    Auth,
    Connect,
    Disconnect,
    Pingreq,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.properties import NO_PROPERTIES, ConnackProperties, Properties
from actors.wire.mqtt.reasons import Reason
from tests.actors.device_session.conftest import (
    APP,
    BAD,
    GOOD,
    IN,
    LOT_1,
    OUT,
    Clients,
    FakePartition,
    make_broker,
    publish,
    sweeping,
)


def report(packet_id: int, payload: bytes = GOOD, topic: str = OUT, properties: Properties = NO_PROPERTIES) -> Publish:
    return Publish(topic, payload, 1, packet_id, retain=False, dup=False, properties=properties)


def puback(packet_id: int, reason: int = 0) -> Acknowledgement:
    return Acknowledgement("PUBACK", packet_id, reason)


# --- CONNACK ----------------------------------------------------------------------------------------------------------


async def test_connack_says_what_is_not_as_a_client_expects(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.4-5, 3.2.0-1, 3.2.2-21] The limits of the listener; what is as by default is left out."""
    listener = ListenerProfile(
        max_packet_bytes=50_000,
        receive_maximum=10,
        topic_alias_maximum=4,
        maximum_qos=1,
        session_expiry_max=600,
        server_keep_alive=20,
    )
    _, connack = await clients.connect(broker, LOT_1, listener, session_expiry=3_600)
    assert connack.properties == ConnackProperties(
        session_expiry=600,
        receive_maximum=10,
        maximum_qos=1,
        max_packet_bytes=50_000,
        topic_alias_maximum=4,
        server_keep_alive=20,
    )
    _, connack = await clients.connect(broker, LOT_1, session_expiry=3_600)
    assert connack.properties == ConnackProperties(max_packet_bytes=1024 * 1024)


async def test_an_empty_client_id_gets_one_and_is_told(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.3-6, 3.1.3-7, 3.2.2-16] The session goes by the id that was assigned, also for a persistent one."""
    asked = replace(LOT_1, client_id="", clean_start=False, session_expiry=60)
    one, connack = await clients.connect(broker, asked)
    _, other = await clients.connect(broker, asked)
    assigned = connack.properties.assigned_client_id
    assert assigned
    assert assigned != other.properties.assigned_client_id
    await one.say(Disconnect())
    _, again = await clients.connect(broker, replace(asked, client_id=assigned))
    assert again.session_present


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": b"wrong"}, Reason.BAD_USER_NAME_OR_PASSWORD),
        ({"username": "sensor/lot-off", "password": b"secret-off"}, Reason.NOT_AUTHORIZED),
        ({"username": None, "password": None}, Reason.BAD_USER_NAME_OR_PASSWORD),
        ({"client_id": "a" * 300}, Reason.CLIENT_IDENTIFIER_NOT_VALID),
        ({"authentication_method": "SCRAM-SHA-1"}, Reason.BAD_AUTHENTICATION_METHOD),
    ],
)
async def test_a_refusal_says_why_and_ends_the_connection(
    broker: Broker, clients: Clients, reports: FakePartition, change: dict[str, object], reason: Reason
) -> None:
    """[MQTT5-3.1.3-8, 3.1.4-2, 3.1.4-6, 3.2.2-6, 3.2.2-7, 3.2.2-8, 4.12.0-1, 4.12.0-4, 4.13.2-1]."""
    client, connack = await clients.connect(broker, LOT_1, **change)
    assert (connack.reason, connack.session_present) == (reason, False)
    assert await client.is_closed()
    assert reports.values == []
    assert broker.counters.refused_connects == 1


async def test_a_version_that_is_not_spoken_is_told_so(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.2-2] In the words of MQTT 3.1.1, which every client can read."""
    client = clients.open(broker)
    assert await client.ask(b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x00") == encode.connack(1)
    assert await client.is_closed()


async def test_a_will_of_a_qos_that_is_not_served_refuses_the_connection(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.2.2-12] Reason 0x9B; one that is served is taken."""
    listener, will = ListenerProfile(maximum_qos=1), Will(OUT, GOOD, 2)
    _, connack = await clients.connect(broker, LOT_1, listener, will=will)
    assert connack.reason == Reason.QOS_NOT_SUPPORTED
    _, connack = await clients.connect(broker, LOT_1, listener, will=replace(will, qos=1))
    assert connack.reason == Reason.SUCCESS


async def test_response_information_is_never_sent(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.2-28] There is none to give; a client may ask for it all the same."""
    _, connack = await clients.connect(broker, LOT_1, request_response_information=True)
    assert connack.reason == Reason.SUCCESS
    assert connack.properties.response_information is None


@pytest.mark.parametrize("client_id", ["a", "0123456789abcdefABCDEFZ", "zyxwvutsrqponmlkjihgfed"])
@pytest.mark.parametrize("level", [MQTT_3_1, MQTT_3_1_1, MQTT_5])
async def test_client_ids_that_every_server_takes(broker: Broker, clients: Clients, client_id: str, level: int) -> None:
    """[MQTT-3.1.3-2, 3.1.3-5; MQTT5-3.1.3-2, 3.1.3-5] 1 to 23 letters and digits; the session goes by it."""
    _, connack = await clients.connect(broker, LOT_1, client_id=client_id, level=level)
    assert connack.reason == 0
    assert broker.statuses.view("sensor/lot-1").client_ids == (client_id,)


@pytest.mark.parametrize(
    "case",
    [
        ({"server_keep_alive": 10}, 60, 10, 15),
        ({"server_keep_alive": 60}, 60, None, 90),
        ({"max_keep_alive": 30}, 60, 30, 45),
        ({"max_keep_alive": 30}, 20, None, 30),
        ({"max_keep_alive": 40}, 0, 40, 60),
    ],
)
async def test_the_keep_alive_that_holds(
    clients: Clients, autojump_clock: trio.testing.MockClock, case: tuple[dict[str, int], int, int | None, float]
) -> None:
    """[MQTT5-3.1.2-22, 3.2.2-22] The server's where it says one, else the client's; the end is said with 0x8D."""
    limits, asked, told, silence = case
    broker = make_broker()
    clients.nursery.start_soon(sweeping, broker)
    client, connack = await clients.connect(broker, LOT_1, ListenerProfile(**limits), keep_alive=asked)
    assert connack.properties.server_keep_alive == told
    await trio.sleep(silence - 1)
    assert not await client.is_closed()
    await trio.sleep(3)
    (farewell,) = await client.heard()
    assert farewell.reason == Reason.KEEP_ALIVE_TIMEOUT
    assert await client.is_closed()


# --- of each message --------------------------------------------------------------------------------------------------


async def test_a_message_without_right_is_refused(broker: Broker, clients: Clients, reports: FakePartition) -> None:
    """[MQTT5-3.3.4-1] PUBACK 0x87, and the connection goes on."""
    client, _ = await clients.connect(broker)
    assert await client.say(report(1, topic="sensor/out/lot-2"), report(2)) == [
        puback(1, Reason.NOT_AUTHORIZED),
        puback(2),
    ]
    assert reports.values == [GOOD]


async def test_a_message_that_nothing_takes_is_told_so(broker: Broker, clients: Clients) -> None:
    """PUBACK 0x10: no rule, no subscriber, not retained (3.4.2.1)."""
    broker.directory.remove("rule", "forward")
    client, _ = await clients.connect(broker)
    assert await client.say(report(1)) == [puback(1, Reason.NO_MATCHING_SUBSCRIBERS)]
    assert await client.say(report(2)._replace(retain=True)) == [puback(2)]
    app, _ = await clients.connect(broker, APP)
    await app.say(Subscribe(1, (Subscription("sensor/out/+", 0, retain_handling=2),)))
    assert await client.say(report(3)) == [puback(3)]


async def test_a_payload_that_breaks_the_thing_model_is_refused(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """PUBACK 0x99 for that one; those of the same read are stored."""
    client, _ = await clients.connect(broker)
    assert await client.say(report(1), report(2, BAD), report(3)) == [
        puback(1),
        puback(2, Reason.PAYLOAD_FORMAT_INVALID),
        puback(3),
    ]
    assert reports.values == [GOOD, GOOD]


async def test_a_topic_that_takes_nothing_now_refuses_at_once(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """PUBACK 0x97 while its gate rejects, nobody is delivered, and the client goes on as soon as it is open."""
    gate = broker.topics.topics["reports"].gate
    gate.set(GateState.REJECTING, "too much waits")
    app, _ = await clients.connect(broker, APP)
    await app.say(Subscribe(1, (Subscription("sensor/out/+", 0),)))
    client, _ = await clients.connect(broker)
    assert await client.say(report(1), report(2)) == [
        puback(1, Reason.QUOTA_EXCEEDED),
        puback(2, Reason.QUOTA_EXCEEDED),
    ]
    assert await app.heard() == []
    assert (gate.refused, broker.counters.refused_reports) == (2, 2)
    gate.set(GateState.OPEN)
    assert await client.say(report(1)) == [puback(1)]
    assert reports.values == [GOOD]


async def test_a_half_open_topic_takes_its_allowance_and_refuses_the_rest(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """Each report is either stored and acknowledged, or refused."""
    broker.topics.topics["reports"].gate.set(GateState.REJECTING, "too much waits", allowance=1)
    client, _ = await clients.connect(broker)
    assert await client.say(report(1)) == [puback(1)]
    assert await client.say(report(2)) == [puback(2, Reason.QUOTA_EXCEEDED)]
    assert reports.values == [GOOD]


async def test_properties_and_payload_reach_the_subscriber_unchanged(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.3.2-4, 3.3.2-15, 3.3.2-16, 3.3.2-17, 3.3.2-18, 3.3.2-20] Also to whoever asks for an answer by them."""
    said = Properties(
        payload_format=1,
        message_expiry=100,
        response_topic="sensor/in/lot-1",
        correlation_data=b"\x00\x01",
        content_type="json",
        user=(("a", "1"), ("a", "2"), ("b", "")),
    )
    device, _ = await clients.connect(broker)
    app, _ = await clients.connect(broker, APP)
    await app.say(Subscribe(1, (Subscription("sensor/out/+", 1),), identifier=7))
    assert await device.say(report(1, properties=said)) == [puback(1)]
    (got,) = await app.heard()
    assert (got.topic, got.payload, got.qos) == (OUT, GOOD, 1)
    assert got.properties == said._replace(subscription_ids=(7,))


async def test_a_topic_alias_stands_for_its_topic(broker: Broker, clients: Clients, reports: FakePartition) -> None:
    """[MQTT5-3.3.2-7, 3.3.2-12] Each up to the maximum of the server, until it is given another topic."""
    listener = ListenerProfile(topic_alias_maximum=2)
    client, _ = await clients.connect(broker, LOT_1, listener)
    for alias in (1, 2):
        properties = Properties(topic_alias=alias)
        assert await client.say(report(1, properties=properties), report(2, topic="", properties=properties)) == [
            puback(1),
            puback(2),
        ]
    assert len(reports.values) == 4
    await client.say(report(3, topic=IN, properties=Properties(topic_alias=1)))
    assert await client.say(report(4, topic="", properties=Properties(topic_alias=1))) == [
        puback(4, Reason.NOT_AUTHORIZED)
    ]
    again, _ = await clients.connect(broker, LOT_1, listener)
    (farewell,) = await again.say(report(4, topic="", properties=Properties(topic_alias=1)))
    assert farewell.reason == Reason.PROTOCOL_ERROR


@pytest.mark.parametrize("alias", [3, 65_535])
async def test_an_alias_beyond_the_maximum_ends_the_connection(broker: Broker, clients: Clients, alias: int) -> None:
    """[MQTT5-3.3.2-9] DISCONNECT 0x94."""
    client, _ = await clients.connect(broker, LOT_1, ListenerProfile(topic_alias_maximum=2))
    (farewell,) = await client.say(report(1, properties=Properties(topic_alias=alias)))
    assert farewell.reason == Reason.TOPIC_ALIAS_INVALID
    assert await client.is_closed()


async def test_one_message_more_than_the_receive_maximum_ends_the_connection(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """[MQTT5-3.3.4-7, 3.3.4-10, 4.9.0-3] 0x93, and everything but PUBLISH is answered while the quota is used up."""
    reports.answers_at_once = False
    client, _ = await clients.connect(broker, LOT_1, ListenerProfile(receive_maximum=2))
    assert await client.say(report(1), report(2), Pingreq()) == [Pingresp()]
    assert await client.say(report(0)._replace(qos=0), Pingreq()) == [Pingresp()]
    reports.answer()
    assert await client.heard() == [puback(1), puback(2)]
    assert await client.say(report(3), report(4)) == []
    (farewell,) = await client.say(report(5))
    assert farewell.reason == Reason.RECEIVE_MAXIMUM_EXCEEDED
    assert "3.3.4-7" in farewell.reason_string
    assert await client.is_closed()
    assert len(reports.values) == 5


# --- subscriptions ----------------------------------------------------------------------------------------------------


async def test_subscriptions_are_answered_one_by_one(broker: Broker, clients: Clients) -> None:
    """[MQTT-3.8.4-4, 3.10.4-6; MQTT5-2.2.1-6, 3.8.4-1, 3.8.4-2, 3.8.4-5, 3.8.4-7, 3.10.4-5, 3.10.4-6, 3.2.2-10]."""
    client, _ = await clients.connect(broker, LOT_1, ListenerProfile(maximum_qos=1))
    asked = (Subscription(IN, 2), Subscription("sensor/in/lot-2", 1), Subscription(f"$share/g/{IN}", 0))
    (suback,) = await client.say(Subscribe(9, asked))
    assert (suback.packet_id, suback.reasons) == (9, (1, Reason.NOT_AUTHORIZED, 0))
    (unsuback,) = await client.say(Unsubscribe(10, (IN, "never")))
    assert (unsuback.packet_id, unsuback.reasons) == (10, (0, Reason.NO_SUBSCRIPTION_EXISTED))


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode.connect("again"), Reason.PROTOCOL_ERROR),
        (b"\xf0\x02\x18\x00", Reason.PROTOCOL_ERROR),
        (b"\x36\x05\x00\x01a\x00\x01", Reason.MALFORMED_PACKET),
        (b"\x30\xff\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
        (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x3c", Reason.PROTOCOL_ERROR),
    ],
)
async def test_what_breaks_the_protocol_is_told_and_ends_the_connection(
    broker: Broker, clients: Clients, data: bytes, reason: Reason
) -> None:
    """[MQTT5-3.1.0-2, 3.14.2-2, 3.14.4-1, 3.14.4-2, 4.12.0-7, 4.13.1-1, 4.13.2-1] The last packet says which way."""
    client, _ = await clients.connect(broker)
    other = await clients.device(broker, 2)
    await client.send(data)
    (farewell,) = await client.heard()
    assert type(farewell) is ServerDisconnect
    assert farewell.reason == reason
    assert await client.is_closed()
    assert await other.ask(encode.PINGREQ) == encode.PINGRESP


async def test_a_malformed_connect_is_told_in_connack(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.4-1, 3.14.0-1] No DISCONNECT before CONNACK; at older levels the connection is just closed."""
    client = clients.open(broker, level=MQTT_5)
    await client.send(b"\x10\x10\x00\x04MQTT\x05\x01\x00\x3c\x00\x00\x01a\x00\x00\x00")
    (answer,) = await client.heard()
    assert (type(answer), answer.reason) == (Connack, Reason.MALFORMED_PACKET)
    assert await client.is_closed()
    old = clients.open(broker)
    assert await old.ask(b"\x10\x0d\x00\x04MQTT\x04\x01\x00\x3c\x00\x01a") == b""
    assert await old.is_closed()


async def test_auth_is_not_for_clients_that_named_no_method(broker: Broker, clients: Clients) -> None:
    """[MQTT5-4.12.0-6, 4.12.0-7] The server names none, and sends no AUTH."""
    client, connack = await clients.connect(broker)
    assert connack.properties.authentication_method is None
    (farewell,) = await client.say(Auth(Reason.RE_AUTHENTICATE, "PLAIN"))
    assert farewell.reason == Reason.PROTOCOL_ERROR


async def test_the_older_connection_is_told_that_it_is_taken_over(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.1.4-3] DISCONNECT 0x8E, then it is closed; the device stays online."""
    old, _ = await clients.connect(broker)
    new, _ = await clients.connect(broker)
    (farewell,) = await old.heard()
    assert farewell.reason == Reason.SESSION_TAKEN_OVER
    assert await old.is_closed()
    assert await new.say(Pingreq()) == [Pingresp()]
    assert broker.statuses.view("sensor/lot-1").online


async def test_who_does_not_read_its_farewell_is_cut_off(
    broker: Broker, clients: Clients, autojump_clock: trio.testing.MockClock
) -> None:
    """A takeover waits for nobody: the old connection has a second to take its last packet."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    session = Session(theirs, "127.0.0.1:5000", broker)
    clients.nursery.start_soon(session.run)
    await ours.send_all(write(LOT_1))
    assert await ours.receive_some(100)
    began = trio.current_time()
    _, connack = await clients.connect(broker)
    assert connack.reason == 0
    assert trio.current_time() == began
    assert len(broker.sessions) == 2
    await trio.sleep(1.5)
    assert len(broker.sessions) == 1


async def test_a_shutdown_is_said(broker: Broker, clients: Clients, reports: FakePartition) -> None:
    """What was taken is acknowledged first; then DISCONNECT 0x8B."""
    reports.answers_at_once = False
    client, _ = await clients.connect(broker)
    await client.say(report(1))
    clients.nursery.start_soon(broker.sessions.drain)
    assert await client.heard() == []
    reports.answer()
    assert await client.heard() == [puback(1), ServerDisconnect(Reason.SERVER_SHUTTING_DOWN)]
    assert await client.is_closed()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda broker: broker.sessions.close_device("sensor/lot-1", "no more"), Reason.ADMINISTRATIVE_ACTION),
        (lambda broker: (broker.directory.remove("device", "sensor/lot-1"), broker.sessions.recheck()), 0x98),
    ],
)
async def test_administrators_end_connections_with_a_reason(
    broker: Broker, clients: Clients, end: object, reason: int
) -> None:
    """DISCONNECT 0x98; the operator's words are not for the client."""
    client, _ = await clients.connect(broker)
    end(broker)
    assert await client.heard() == [ServerDisconnect(reason)]
    assert await client.is_closed()


async def test_a_failed_append_is_said_without_details(
    broker: Broker, clients: Clients, reports: FakePartition
) -> None:
    """[MQTT-4.8.0-2; MQTT5-4.13.1-1] 0x97 for a full disk, unacknowledged; what the disk is called stays inside."""
    reports.answers_at_once = False
    client, _ = await clients.connect(broker)
    await client.say(report(1))
    reports.appends[0].reply.fail(AppendRefusedError("/var/lib/penstock is full"))
    assert await client.heard() == [ServerDisconnect(Reason.QUOTA_EXCEEDED)]
    assert broker.counters.acknowledged == 0


async def test_older_levels_hear_nothing_of_it(broker: Broker, clients: Clients) -> None:
    """[MQTT-4.8.0-1] Servers of MQTT 3 have no DISCONNECT: the connection is closed."""
    client = await clients.device(broker)
    assert await client.ask(publish(1), b"\xf0\x00") == b""
    assert await client.is_closed()


async def test_a_client_that_wants_no_problem_information_gets_none(clients: Clients) -> None:
    """[MQTT5-3.1.2-29] Reason strings only where they are wanted; DISCONNECT may have them always."""
    broker = make_broker()
    client, _ = await clients.connect(broker, LOT_1, request_problem_information=False)
    (answer,) = await client.say(report(1, topic="x"))
    assert answer == puback(1, Reason.NOT_AUTHORIZED)


async def test_only_one_connack(broker: Broker, clients: Clients) -> None:
    """[MQTT5-3.2.0-2] Whatever comes behind CONNECT in the same read."""
    client = clients.open(broker, level=MQTT_5)
    answers = await client.say(LOT_1, Connect(MQTT_5, "b"))
    assert [type(answer).__name__ for answer in answers] == ["Connack", "ServerDisconnect"]
