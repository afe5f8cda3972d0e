"""Laws of delivery, whatever is published, acknowledged, lost and restarted."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.device_session.delivery.audience import Terms
from actors.device_session.delivery.fan_out import FanOut
from actors.device_session.delivery.message import Delivery, Message
from actors.device_session.delivery.retained import Retained
from actors.device_session.delivery.subscriptions import Subscriptions
from actors.device_session.delivery.unsent import Unsent
from actors.wire.mqtt.topics import matches, shared
from tests.actors.device_session.disk import Disk
from tests.actors.device_session.receiving_world import Got, Subscriber, message, publish, world

levels = st.sampled_from(["a", "b", "", "$x"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.builds(
    lambda words, rest: "/".join([*words, *rest]),
    st.lists(st.one_of(levels, st.just("+")), min_size=0, max_size=3),
    st.sampled_from([["#"], ["a"], ["+"], [""]]),
).filter(bool)
any_filters = st.builds(lambda group, name: group + name, st.sampled_from(["", "", "$share/g/", "$share/h/"]), filters)


class Reader:
    is_connected = has_room = True

    def __init__(self) -> None:
        self.got: list[tuple[int, tuple[int, ...]]] = []

    def may_receive(self, topic: str) -> bool:
        return bool(topic)

    def deliver(self, at_most_once: Sequence[Delivery], otherwise: Sequence[Delivery], fan_out: FanOut) -> None:
        assert not fan_out.refused
        self.got += [(one.qos, one.subscription_ids) for one in (*at_most_once, *otherwise)]


steps = st.lists(st.tuples(any_filters, st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=20)


@given(steps, topics)
def test_subscriptions_agree_with_the_definition_of_a_match(
    steps: list[tuple[str, int, int, bool]], topic: str
) -> None:
    """After any subscribing and unsubscribing: one copy for who has a matching filter, one for each matching group."""
    subscriptions = Subscriptions()
    readers = [Reader(), Reader(), Reader()]
    model: dict[tuple[str, int], tuple[int, int]] = {}
    stale = subscriptions.match(topic)
    for identifier, (name, number, qos, subscribe) in enumerate(steps, 1):
        if subscribe:
            subscriptions.add(name, readers[number], Terms(qos, subscription_ids=(identifier,)))
            model[name, number] = (qos, identifier)
        else:
            subscriptions.remove(name, readers[number])
            model.pop((name, number), None)
    audience = subscriptions.match(topic)
    FanOut().give([Message(topic, b"", 2, 0)], audience)
    if bool(audience) != bool(stale):
        assert not subscriptions.is_current(stale)
    groups = set()
    for number, reader in enumerate(readers):
        own = [value for (name, n), value in model.items() if n == number and not shared(name) and matches(name, topic)]
        if own:
            qos, ids = reader.got.pop(0)
            assert qos == max(qos for qos, _ in own)
            assert sorted(ids) == sorted(identifier for _, identifier in own)
        groups |= {name for name, n in model if (group := shared(name)) and matches(group.filter, topic)}
    # What is left went to members of groups, on their terms.
    assert sum(len(reader.got) for reader in readers) == len(groups)
    for number, reader in enumerate(readers):
        granted = {
            ((qos), (identifier,)) for (name, n), (qos, identifier) in model.items() if n == number and shared(name)
        }
        assert set(reader.got) <= granted
    for name, number in model:
        subscriptions.remove(name, readers[number])
    assert subscriptions.is_empty()


@given(st.lists(st.tuples(topics, st.booleans()), max_size=20), filters)
def test_retained_messages_are_found_by_the_definition_of_a_match(steps: list[tuple[str, bool]], name: str) -> None:
    """After any retaining and removing, a filter finds exactly the topics that it matches, each once."""
    retained = Retained(1000, 1_000_000)
    model: set[str] = set()
    for topic, keep in steps:
        retained.keep(Message(topic, b"x" * keep, 0, 0), 0)
        (model.add if keep else model.discard)(topic)
    found = list(retained.topics(name))
    assert sorted(found) == sorted(topic for topic in model if matches(name, topic))
    assert len(retained) == len(model)


class Client:
    """What a client of the standard does: answers everything in any order, and remembers QoS 2 until PUBREL."""

    def __init__(self, chance: random.Random, most: int) -> None:
        self.chance = chance
        self.most = most
        self.open: dict[int, Got] = {}
        self.known: set[int] = set()
        self.taken: list[tuple[bytes, int]] = []
        self.released: list[int] = []

    def connected(self) -> None:
        self.open.clear()
        self.released.clear()

    def take(self, packets: Sequence[Got]) -> None:
        for one in packets:
            if one.kind == 6:
                self.known.discard(one.packet_id)
                self.open.pop(one.packet_id, None)
                self.released.append(one.packet_id)
                continue
            assert one.packet_id not in self.open, "an id that is in use"
            assert one.packet_id not in self.released, "an id that waits for PUBCOMP"
            self.open[one.packet_id] = one
            if one.qos == 1 or one.packet_id not in self.known:
                self.taken.append((one.payload, one.qos))
            if one.qos == 2:
                self.known.add(one.packet_id)
            assert len(self.open) + len(self.released) <= self.most

    def answer(self, subscriber: Subscriber) -> None:
        """One of what can be answered now."""
        waiting = [*self.open, *self.released]
        if not waiting:
            return
        packet_id = self.chance.choice(waiting)
        if packet_id in self.released:
            self.released.remove(packet_id)
            subscriber.receiver.completed(packet_id)
        elif self.open[packet_id].qos == 1:
            del self.open[packet_id]
            subscriber.receiver.acknowledged(packet_id)
        elif release := subscriber.receiver.received(packet_id):
            self.take([Got(6, int.from_bytes(release[2:4], "big"))])


actions = st.lists(
    st.sampled_from(
        ["publish", "publish", "publish", "answer", "answer", "disk", "detach", "attach", "restart", "kill"]
    ),
    max_size=60,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions, st.integers(1, 5), st.integers(200, 600), st.randoms(use_true_random=False))
def test_a_session_that_is_kept_gets_everything_in_order(  # noqa: C901 - a branch for each action
    actions: list[str], most: int, memory: int, chance: random.Random
) -> None:
    """Whatever is lost, restarted and killed: what was promised arrives, in its order, and QoS 2 exactly once."""
    disk = Disk()
    subscriber = Subscriber(world(disk, outbox_bytes=memory), expiry=600).connect(receive_maximum=most)
    subscriber.subscribe("sensor/out/#")
    client, promised, connected, count = Client(chance, most), list[tuple[bytes, int]](), True, 0
    disk.answers_at_once = False
    for action in actions:
        if action == "publish":
            count = _publish(subscriber, count, chance, promised)
        elif action == "disk":
            disk.answer(chance.randint(1, 3))
        elif action == "answer" and connected:
            client.answer(subscriber)
        elif action == "detach" and connected:
            subscriber.receiver.detach()
            connected = False
        elif action == "attach" and not connected:
            client.connected()
            subscriber.connect(receive_maximum=most)
            connected = True
        elif action in ("restart", "kill"):
            if action == "kill":
                disk.lose()
            disk.answer()
            subscriber = subscriber.restarted(world(disk, outbox_bytes=memory))
            connected = False
        if connected:
            client.take(subscriber.got())
    disk.answers_at_once = True
    disk.answer()
    subscriber.receiver.detach()
    client.connected()
    subscriber.connect(receive_maximum=most)
    client.take(subscriber.got())
    while client.open or client.released:
        client.answer(subscriber)
        client.take(subscriber.got())
    _check(client.taken, promised)
    assert disk.queues.get("app", {}) == {}
    assert not disk.received.get("app")


def _publish(subscriber: Subscriber, start: int, chance: random.Random, promised: list[tuple[bytes, int]]) -> int:
    """Publish some, which count as promised once the publisher would be answered; returns the next one's number."""
    batch = [(b"%d" % (start + number), chance.randint(1, 2)) for number in range(chance.randint(1, 4))]
    messages = [message(payload, qos) for payload, qos in batch]
    if not publish(subscriber.broker, *messages, promise=lambda: promised.extend(batch)).changes:
        promised.extend(batch)
    return start + len(batch)


def _check(taken: list[tuple[bytes, int]], promised: list[tuple[bytes, int]]) -> None:
    kept = set(promised)
    first = [one for one in dict.fromkeys(taken) if one in kept]
    assert first == promised, "first sendings in order, and all of them"
    twice = [one for one in taken if one[1] == 2]
    assert len(twice) == len(set(twice)), "QoS 2 exactly once"


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["publish", "answer", "answer"]), max_size=80),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_a_session_that_is_not_kept_gets_everything_in_order_while_it_is_connected(
    actions: list[str], most: int, chance: random.Random
) -> None:
    """Any order of acknowledgements: never more than the receive maximum, never an id twice, the order is kept."""
    subscriber = Subscriber(world()).connect(receive_maximum=most)
    subscriber.subscribe("sensor/out/#")
    client, sent, count = Client(chance, most), list[tuple[bytes, int]](), 0
    for action in actions:
        if action == "publish":
            count = _publish(subscriber, count, chance, sent)
        else:
            client.answer(subscriber)
        client.take(subscriber.got())
    while client.open or client.released:
        client.answer(subscriber)
        client.take(subscriber.got())
    assert client.taken == sent


@given(st.lists(st.tuples(st.sampled_from(["append", "remove", "pass", "pop"]), st.integers(0, 30)), max_size=60))
def test_sizes_of_what_waits_agree_with_a_dictionary(steps: list[tuple[str, int]]) -> None:
    """Count, bytes and membership are those of what was added and not taken."""
    unsent, model, last = Unsent(), dict[int, int](), 0
    for what, number in steps:
        match what:
            case "append":
                last += 1 + number % 3
                unsent.append(last, number + 1)
                model[last] = number + 1
            case "remove":
                unsent.remove(number)
                model.pop(number, None)
            case "pass":
                unsent.pass_by(min(number, last))
                model = {sequence: size for sequence, size in model.items() if sequence > min(number, last)}
            case _ if model:
                assert unsent.pop_oldest() == min(model)
                del model[min(model)]
        assert (unsent.count, unsent.bytes) == (len(model), sum(model.values()))
        assert all((sequence in unsent) == (sequence in model) for sequence in range(last + 3))
    restored = Unsent.of(sorted(model.items()), last)
    assert (restored.count, restored.bytes) == (unsent.count, unsent.bytes)
    restored.append(last + 1, 5)
    assert (last + 1) in restored
