"""Sessions that outlive their connections, and the daemon."""

import pytest

from actors.device_session.delivery.durable_queue import DurableQueue, PageRequest, QueueLimits
from actors.device_session.delivery.fan_out import FanOut
from actors.device_session.delivery.message import Delivery
from actors.device_session.delivery.window import Window
from actors.device_session.journal import Done, DropQueued, Enqueue, Queued, QueuePage, Received
from actors.wire.mqtt.packets import MQTT_5
from actors.wire.mqtt.properties import Properties
from actors.wire.mqtt.reasons import Reason
from tests.actors.device_session.conftest import OUT
from tests.actors.device_session.disk import Disk
from tests.actors.device_session.receiving_world import Subscriber, message, publish, publish_all, world

ALL = "sensor/out/#"
PUBREL = 6


@pytest.fixture
def disk() -> Disk:
    return Disk()


def subscribed(disk: Disk, *, connected: bool = True, **settings: object) -> Subscriber:
    subscriber = Subscriber(world(disk, **settings), expiry=600).connect()
    subscriber.subscribe(ALL)
    if not connected:
        subscriber.receiver.detach()
    return subscriber


def test_a_publisher_is_answered_once_the_delivery_is_on_disk(disk: Disk) -> None:
    """[MQTT-3.1.2-5]: what waits for a session that is kept is promised to whoever published it."""
    subscriber = subscribed(disk, connected=False)
    disk.answers_at_once = False
    fan_out, answers = FanOut(), []
    fan_out.give([message("a")], subscriber.broker.subscriptions.match(OUT))
    reply = fan_out.write(disk, lambda: answers.append("now"))
    assert reply is not None
    assert not reply.done
    disk.answer()
    assert reply.done
    assert answers == ["now"]
    assert list(disk.queues["app"]) == [1]
    nothing = FanOut()
    nothing.give([message("a")], subscriber.broker.subscriptions.match("sensor/in/lot-1"))
    assert nothing.write(disk, lambda: None) is None


def test_what_came_while_it_was_away_is_delivered_in_order(disk: Disk) -> None:
    """[MQTT-3.1.2-4, MQTT-4.5.0-1, MQTT5-3.1.2-5, MQTT5-4.5.0-1]: first what waited, then what comes."""
    subscriber = subscribed(disk, connected=False)
    publish_all(subscriber.broker, "abc", 1)
    publish_all(subscriber.broker, "de", 2)
    subscriber.connect()
    publish_all(subscriber.broker, "f", 1)
    got = subscriber.got()
    assert [(one.payload, one.qos, one.dup) for one in got] == [
        (b"a", 1, False),
        (b"b", 1, False),
        (b"c", 1, False),
        (b"d", 2, False),
        (b"e", 2, False),
        (b"f", 1, False),
    ]
    subscriber.acknowledge(got)
    subscriber.acknowledge(subscriber.got())
    assert subscriber.got() == []
    assert disk.queues == {"app": {}}
    assert disk.received == {"app": []}


def test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup(disk: Disk) -> None:
    """[MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-4.6.0-1, MQTT5-4.4.0-1, MQTT5-3.3.1-1, MQTT5-4.6.0-1]."""
    subscriber = subscribed(disk)
    publish_all(subscriber.broker, "abcd", 1)
    first = subscriber.got()
    subscriber.acknowledge(first[1:2])
    subscriber.receiver.detach()
    publish_all(subscriber.broker, "e", 1)
    subscriber.connect()
    again = subscriber.got()
    assert [(one.payload, one.packet_id, one.dup) for one in again] == [
        (b"a", first[0].packet_id, True),
        (b"c", first[2].packet_id, True),
        (b"d", first[3].packet_id, True),
        (b"e", first[3].packet_id + 1, False),
    ]


def test_pubrel_is_sent_again_and_never_the_message(disk: Disk) -> None:
    """[MQTT-4.4.0-1, MQTT-4.3.3-1, MQTT-4.6.0-4, MQTT5-4.4.0-1]: PUBRELs in the order of the PUBRECs."""
    subscriber = subscribed(disk)
    publish_all(subscriber.broker, "abc", 2)
    a, b, c = subscriber.got()
    for one in (b, a):
        assert subscriber.receiver.received(one.packet_id) == b""
    assert [(one.kind, one.packet_id) for one in subscriber.got()] == [(PUBREL, b.packet_id), (PUBREL, a.packet_id)]
    subscriber.receiver.detach()
    subscriber.connect()
    got = subscriber.got()
    assert [(one.kind, one.packet_id) for one in got] == [
        (PUBREL, b.packet_id),
        (PUBREL, a.packet_id),
        (3, c.packet_id),
    ]
    assert got[2].dup


def test_pubrel_leaves_once_pubrec_is_on_disk(disk: Disk) -> None:
    """Otherwise a message that the client has released could be sent once more after a kill."""
    subscriber = subscribed(disk)
    publish_all(subscriber.broker, "a", 2)
    [sent] = subscriber.got()
    disk.answers_at_once = False
    assert subscriber.receiver.received(sent.packet_id) == b""
    assert subscriber.got() == []
    assert subscriber.receiver.received(sent.packet_id) == b""
    disk.answer()
    assert [one.kind for one in subscriber.got()] == [PUBREL]
    assert disk.log[-1] == Received("app", (1,))
    subscriber.receiver.completed(sent.packet_id)
    subscriber.got()
    disk.answer()
    assert disk.log[-1] == Done("app", (1,))


def test_a_message_of_qos_2_leaves_once_it_is_on_disk(disk: Disk) -> None:
    """After a kill its packet id must not come again with another message; QoS 1 need not wait."""
    subscriber = subscribed(disk)
    disk.answers_at_once = False
    publish_all(subscriber.broker, "a", 1)
    publish_all(subscriber.broker, "b", 2)
    assert subscriber.payloads() == [b"a"]
    disk.answer()
    assert subscriber.payloads() == [b"b"]


def test_a_pubrec_that_cannot_be_written_ends_the_connection_and_the_message_comes_again(disk: Disk) -> None:
    """A disk that fails loses nothing: on the next connection the message is under way as before."""
    subscriber = subscribed(disk)
    publish_all(subscriber.broker, "a", 2)
    [sent] = subscriber.got()
    disk.fails = True
    subscriber.receiver.received(sent.packet_id)
    assert subscriber.got() == []
    assert subscriber.closed == [Reason.IMPLEMENTATION_SPECIFIC_ERROR]
    subscriber.receiver.detach()
    disk.fails = False
    [again] = subscriber.connect().got()
    assert (again.payload, again.packet_id, again.dup) == (b"a", sent.packet_id, True)


def test_a_delivery_that_cannot_be_written_is_forgotten(disk: Disk) -> None:
    """Its publisher was not answered and sends it again; the packet id of QoS 2 was not used."""
    subscriber = subscribed(disk)
    disk.fails = True
    publish_all(subscriber.broker, "ab", 2)
    disk.fails = False
    publish_all(subscriber.broker, "c", 2)
    assert subscriber.payloads() == [b"c"]


def test_a_queue_that_cannot_be_read_ends_the_connection(disk: Disk) -> None:
    """The client comes back, and by then perhaps the disk."""
    subscriber = subscribed(disk, connected=False)
    publish_all(subscriber.broker, "a", 1)
    disk.fails = True
    assert subscriber.connect().got() == []
    assert subscriber.closed == [Reason.IMPLEMENTATION_SPECIFIC_ERROR]
    disk.fails = False
    subscriber.receiver.detach()
    assert subscriber.connect().payloads() == [b"a"]


def test_a_page_for_a_connection_that_is_gone_is_nobodys(disk: Disk) -> None:
    """The next connection reads for itself."""
    subscriber = subscribed(disk, connected=False)
    publish_all(subscriber.broker, "a", 1)
    disk.answers_at_once = False
    subscriber.connect().got()
    subscriber.receiver.detach()
    subscriber.connect()
    disk.answer()
    disk.answers_at_once = True
    assert subscriber.payloads() == [b"a"]


def test_a_late_page_of_an_earlier_connection_hides_nothing(disk: Disk) -> None:
    """It was read before more was queued: to take it for the whole queue would skip that."""
    subscriber = subscribed(disk, connected=False)
    publish_all(subscriber.broker, "a", 1)
    disk.answers_at_once = False
    subscriber.connect().got()
    subscriber.receiver.detach()
    publish_all(subscriber.broker, "b", 1)
    subscriber.connect()
    subscriber.got()
    publish_all(subscriber.broker, "c", 1)
    got = []
    for _ in range(10):
        disk.answer(1)
        got += subscriber.payloads()
    assert got == [b"a", b"b", b"c"]


def test_what_is_queued_while_a_page_is_read_comes_after_it(disk: Disk) -> None:
    """[MQTT-4.6.0-6, MQTT5-4.6.0-5]: it is on disk only until the next page."""
    subscriber = subscribed(disk, connected=False)
    publish_all(subscriber.broker, "a", 1)
    disk.answers_at_once = False
    subscriber.connect().got()
    publish_all(subscriber.broker, "b", 1)
    disk.answer(1)
    publish_all(subscriber.broker, "c", 1)
    got = []
    for _ in range(10):
        got += subscriber.payloads()
        disk.answer(1)
    assert got == [b"a", b"b", b"c"]
    publish_all(subscriber.broker, "d", 1)
    assert subscriber.payloads() == [b"d"]


def test_what_does_not_fit_into_memory_is_read_back_as_it_drains(disk: Disk) -> None:
    """However much waits, memory holds its bound, and the order stays."""
    subscriber = subscribed(disk, outbox_bytes=1000, offline_queue_messages=10_000, offline_queue_bytes=10_000_000)
    payloads = [b"%04d" % number for number in range(600)]
    received = []
    for start in range(0, 600, 100):
        publish(subscriber.broker, *(message(payload, 1) for payload in payloads[start : start + 100]))
        got = subscriber.got()
        received += [one.payload for one in got]
        subscriber.acknowledge(got[: len(got) // 2])
        subscriber.acknowledge(got[len(got) // 2 :])
    while got := subscriber.got():
        received += [one.payload for one in got]
        subscriber.acknowledge(got)
    assert received == payloads
    assert all(limit <= 1000 for _, limit in disk.pages)
    assert len(disk.pages) > 30
    assert disk.queues == {"app": {}}
    assert not subscriber.receiver.is_crowded


@pytest.mark.parametrize(("policy", "left"), [("drop_oldest", "cde"), ("refuse", "abc")])
def test_an_offline_queue_keeps_its_limit_of_messages(disk: Disk, policy: str, left: str) -> None:
    """`drop_oldest` keeps the newest, `refuse` does not take them; both are counted."""
    subscriber = subscribed(disk, connected=False, offline_queue_messages=3, offline_queue_policy=policy)
    fan_outs = [publish_all(subscriber.broker, payload) for payload in "abcde"]
    assert [fan_out.refused for fan_out in fan_outs] == ([0, 0, 0, 1, 1] if policy == "refuse" else [0] * 5)
    assert subscriber.broker.counters.dropped_deliveries_queue == 2
    assert len(disk.queues["app"]) == 3
    assert subscriber.connect().payloads() == [left.encode()[index : index + 1] for index in range(3)]


def test_an_offline_queue_keeps_its_limit_of_bytes(disk: Disk) -> None:
    """One that is larger than the limit is kept alone."""
    subscriber = subscribed(disk, connected=False, offline_queue_bytes=1000)
    publish(subscriber.broker, *(message(b"%d" % number * 200, 1) for number in range(5)))
    assert sum(one.message.size for one in disk.queues["app"].values()) <= 1000
    publish(subscriber.broker, message(b"x" * 5000, 1))
    assert [len(one.message.payload) for one in disk.queues["app"].values()] == [5000]
    assert [len(payload) for payload in subscriber.connect().payloads()] == [5000]


def test_what_was_sent_is_not_dropped_by_the_queues_limit(disk: Disk) -> None:
    """[MQTT-4.4.0-1]: what is under way stays under way, however much comes after it."""
    subscriber = subscribed(disk, offline_queue_messages=2)
    publish_all(subscriber.broker, "ab")
    assert subscriber.payloads() == [b"a", b"b"]
    subscriber.receiver.detach()
    publish_all(subscriber.broker, "cdefg")
    assert [(one.payload, one.dup) for one in subscriber.connect().got()] == [
        (b"a", True),
        (b"b", True),
        (b"f", False),
        (b"g", False),
    ]


def test_a_connected_session_gets_more_than_its_offline_limit_and_holds_its_feeders(disk: Disk) -> None:
    """As long as the client takes what it gets, nothing is dropped."""
    subscriber = subscribed(disk, offline_queue_messages=10)
    fan_out = publish(subscriber.broker, *(message(b"%d" % number, 1) for number in range(200)))
    assert subscriber.receiver in fan_out.crowded
    received = []
    while got := subscriber.got():
        received += [int(one.payload) for one in got]
        subscriber.acknowledge(got)
    assert received == list(range(200))
    assert not subscriber.receiver.is_crowded


def test_the_limit_holds_again_when_the_client_goes(disk: Disk) -> None:
    """What a connected client had waiting beyond it goes with the connection, the oldest first."""
    subscriber = subscribed(disk, offline_queue_messages=5)
    publish(subscriber.broker, *(message(b"%d" % number, 1) for number in range(150)))
    assert len(subscriber.got()) == 100
    subscriber.receiver.detach()
    assert subscriber.broker.counters.dropped_deliveries_queue == 45
    assert DropQueued("app", 101, 145) in disk.log
    assert [int(one.payload) for one in subscriber.connect().got()][:100] == list(range(100))
    assert sorted(disk.queues["app"]) == [*range(1, 101), *range(146, 151)]


def test_a_message_that_expired_on_disk_is_not_sent(disk: Disk) -> None:
    """[MQTT5-3.3.2-5]: it is taken off the disk as well."""
    subscriber = subscribed(disk, connected=False)
    old = message("old", 1, properties=Properties(message_expiry=1))
    old.expires_at = old.published_at - 1
    publish(subscriber.broker, old, message("new", 1))
    got = subscriber.connect().got()
    assert [one.payload for one in got] == [b"new"]
    subscriber.acknowledge(got)
    subscriber.got()
    assert disk.queues == {"app": {}}


def test_what_is_acknowledged_at_once_may_never_be_written(disk: Disk) -> None:
    """What is written of a delivery and of its acknowledgement comes in this order."""
    subscriber = subscribed(disk)
    disk.answers_at_once = False
    publish_all(subscriber.broker, "a", 1)
    subscriber.acknowledge(subscriber.got())
    subscriber.got()
    disk.answer()
    assert [type(change) for change in disk.log[-2:]] == [Enqueue, Done]


def test_a_disk_that_takes_nothing_costs_nothing(disk: Disk) -> None:
    """The oldest goes once what takes its place is on disk, not for what could not be written."""
    subscriber = subscribed(disk, connected=False, offline_queue_messages=3)
    publish_all(subscriber.broker, "abc", 1)
    disk.fails = True
    publish_all(subscriber.broker, "defgh", 1)
    disk.fails = False
    assert subscriber.broker.counters.dropped_deliveries_queue == 0
    publish_all(subscriber.broker, "i", 1)
    assert subscriber.broker.counters.dropped_deliveries_queue == 1
    assert [one.payload for one in subscriber.connect().got()] == [b"b", b"c", b"i"]


def test_a_page_of_what_is_gone_is_passed_over() -> None:
    """What the disk has and the session has given up keeps nobody from what stands behind it."""
    queue = DurableQueue("app", QueueLimits(10_000, 100, 10_000, refuse=False), Window())
    deliveries = [Delivery(message(payload, 1), 1) for payload in (b"a", b"b")]
    queue.offer(deliveries, [])
    queue.not_written(1, 1)
    queue.attach()
    assert queue.next_page() == PageRequest(0, 10_000)
    queue.page(QueuePage((Queued(1, 1, False, (), deliveries[0].message),), complete=False))  # noqa: FBT003 - as it lies
    assert queue.next_page() == PageRequest(1, 10_000)
    queue.page(QueuePage((Queued(2, 1, False, (), deliveries[1].message),), complete=True))  # noqa: FBT003 - as it lies
    assert queue.pop().delivery.message.payload == b"b"


def test_what_was_sent_once_expires_no_more(disk: Disk) -> None:
    """[MQTT5-3.3.2-5, MQTT5-4.3.3-7, MQTT5-4.4.0-1]: only what was never sent is dropped once its time is over."""
    subscriber = subscribed(disk)
    publish(subscriber.broker, message("once", 1), message("twice", 2))
    assert len(subscriber.got()) == 2
    subscriber.receiver.detach()
    publish(subscriber.broker, message("late", 1))
    for one in disk.queues["app"].values():
        one.message.expires_at = one.message.published_at - 1
    assert [(one.payload, one.dup) for one in subscriber.connect().got()] == [(b"once", True), (b"twice", True)]


def test_feeders_go_on_where_the_right_to_all_that_waits_is_lost(disk: Disk) -> None:
    """Nothing is left that the client could take, and so nothing that its feeders could wait for."""
    subscriber = subscribed(disk, offline_queue_messages=200)
    publish(subscriber.broker, *(message(b"%d" % number, 1) for number in range(250)))
    assert subscriber.receiver.is_crowded
    subscriber.broker.directory.remove("app", "city")
    wakes = subscriber.wakes
    subscriber.receiver.recheck()
    assert not subscriber.receiver.is_crowded
    assert subscriber.wakes > wakes


# --- a restart --------------------------------------------------------------------------------------------------------


def test_a_session_is_the_same_after_a_restart(disk: Disk) -> None:
    """[MQTT-3.1.2-4, MQTT-4.1.0-1, MQTT5-4.1.0-1]: subscriptions, what waits, what was under way, what is released."""
    before = subscribed(disk)
    publish_all(before.broker, "abc", 2)
    a, b, c = before.got()
    before.receiver.received(b.packet_id)
    before.got()
    before.acknowledge([])
    after = before.restarted(world(disk))
    publish_all(after.broker, "d", 1)
    after.connect()
    got = after.got()
    assert [(one.kind, one.packet_id, one.payload, one.dup) for one in got] == [
        (PUBREL, b.packet_id, b"", False),
        (3, a.packet_id, b"a", True),
        (3, c.packet_id, b"c", True),
        (3, c.packet_id + 1, b"d", False),
    ]
    after.acknowledge(got)
    after.acknowledge(after.got())
    after.got()
    assert disk.queues == {"app": {}}


def test_options_of_subscriptions_are_the_same_after_a_restart(disk: Disk) -> None:
    """[MQTT5-4.1.0-1]."""
    before = Subscriber(world(disk), expiry=600, level=MQTT_5).connect()
    before.subscribe(OUT, qos=1, identifier=9, retain_as_published=True)
    before.subscribe("$share/g/" + OUT, qos=0)
    after = before.restarted(world(disk)).connect()
    publish(after.broker, message("x", 2, retain=True))
    got = sorted(after.got())
    assert [(one.qos, one.retain, one.rest) for one in got] == [(0, False, b""), (1, True, b"\x0b\x09")]


def test_limits_hold_over_a_restart(disk: Disk) -> None:
    """What was waiting counts."""
    before = subscribed(disk, connected=False, offline_queue_messages=3)
    publish_all(before.broker, "abc")
    after = before.restarted(world(disk, offline_queue_messages=3))
    publish_all(after.broker, "de")
    assert after.connect().payloads() == [b"c", b"d", b"e"]


def test_packet_ids_go_round_and_leave_out_those_in_use(disk: Disk) -> None:
    """[MQTT-2.3.1-4, MQTT5-2.2.1-4]: an id that waits for its PUBACK is not given to another message."""
    subscriber = subscribed(disk)
    publish_all(subscriber.broker, "s", 1)
    [stuck] = subscriber.got()
    ids = set()
    for _ in range(700):
        publish(subscriber.broker, *(message("x", 1) for _ in range(99)))
        got = subscriber.got()
        ids.update(one.packet_id for one in got)
        subscriber.acknowledge(got)
        disk.log.clear()
    assert ids == set(range(1, 65_536)) - {stuck.packet_id}
