"""Kill the daemon under publishers and subscribers whose sessions outlive their connections."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.crash.power import PowerSupply, note_syncs
from tests.fakes.daemon import ChildDaemon
from tests.fakes.enduring import Enduring, EnduringPublisher
from tests.fakes.topic_files import read_topic

SECRET = "enduring-secret"
ROUNDS = 6
EXACTLY_ONCE = 2
PUBLISHERS = {"e1": 2, "e2": 2, "e3": 2, "l1": 1, "l2": 1}
RETAINING = ("e2", "l2")
SUBSCRIBERS = {"s1": 2, "s2": 2, "s3": 1}

MANIFEST = f"""
kind: app
name: house
key: house
secret: {SECRET}
---
kind: product
app: house
name: sensor
acl: [{{allow: all, topic: "open/#"}}]
---
kind: topic
app: house
name: first
partitions: 2
---
kind: topic
app: house
name: second
partitions: 1
---
kind: rule
app: house
name: forward
from: {{product: sensor, topic: "open/#"}}
to: [{{topic: first}}, {{topic: second}}]
""" + "".join(
    f"---\nkind: device\napp: house\nproduct: sensor\nname: {name}\nsecret: {SECRET}\n"
    for name in (*PUBLISHERS, *SUBSCRIBERS)
)


def eventually(reached: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until that is so."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def numbers(records: Iterable[bytes], name: str) -> list[int]:
    """The numbers of one publisher, as they come."""
    found = [record.decode().split() for record in records]
    return [int(number) for publisher, number in found if publisher == name]


class Crowd:
    """All clients of one test."""

    def __init__(self) -> None:
        self.publishers = {
            name: EnduringPublisher(
                name, f"sensor/{name}", SECRET, f"open/{name}", qos, mqtt5=name == "e3", retain=name in RETAINING
            )
            for name, qos in PUBLISHERS.items()
        }
        self.subscribers = {name: Enduring(name, f"sensor/{name}", SECRET, mqtt5=name == "s2") for name in SUBSCRIBERS}

    def start(self, daemon: ChildDaemon) -> None:
        for name, subscriber in self.subscribers.items():
            subscriber.start(daemon.mqtt(), [("open/#", SUBSCRIBERS[name])])
        assert all(subscriber.granted.wait(10) for subscriber in self.subscribers.values())
        for publisher in self.publishers.values():
            publisher.start(daemon.mqtt())

    def publish_for(self, seconds: float) -> None:
        everybody = (*self.publishers.values(), *self.subscribers.values())
        eventually(lambda: all(one.is_connected() for one in everybody))
        for publisher in self.publishers.values():
            publisher.active.set()
        time.sleep(seconds)

    def move(self, address: tuple[str, int] | None) -> None:
        for one in (*self.publishers.values(), *self.subscribers.values()):
            one.address = address

    def finish(self) -> None:
        for publisher in self.publishers.values():
            publisher.active.clear()
        eventually(lambda: all(one.is_done() for one in self.publishers.values()))
        total = sum(one.published for one in self.publishers.values())
        eventually(lambda: all(len({one[1] for one in s.received}) >= total for s in self.subscribers.values()))
        time.sleep(0.3)
        for one in (*self.publishers.values(), *self.subscribers.values()):
            one.stop()
            assert one.problem == ""


@pytest.mark.timeout(300)
def test_sessions_keep_their_promises_over_sigkill(tmp_path: Path) -> None:
    """Over SIGKILLs under load, every other one with a power cut: QoS 2 comes exactly once, QoS 1 at least once.

    To the log (in each of two target topics) and to persistent subscribers, in order; subscriptions survive, without
    being made again, and what a topic retains is the last that was published there.
    """
    data = tmp_path / "data"
    power = PowerSupply(tmp_path / "power")
    crowd = Crowd()
    with ChildDaemon(data, before=note_syncs, **power.environment) as daemon:
        daemon.apply(MANIFEST)
        crowd.start(daemon)
        for number in range(ROUNDS):
            crowd.publish_for(random.uniform(0.2, 1.2))
            crowd.move(None)
            daemon.kill()
            if number % 2:
                power.cut(data / "topics")
            daemon.start()
            crowd.move(daemon.mqtt())
        crowd.finish()
        check_retained(daemon, crowd)
        assert daemon.stop() == 0
    for subscriber in crowd.subscribers.values():
        assert subscriber.sessions_present == [False, *[True] * (len(subscriber.sessions_present) - 1)]
        assert len(subscriber.sessions_present) > ROUNDS
    last = {name: publisher.published for name, publisher in crowd.publishers.items()}
    for topic in ("first", "second"):
        values = [record.value or b"" for partition in read_topic(data, topic) for record in partition]
        check(f"topic {topic}", values, {name: (qos, last[name]) for name, qos in PUBLISHERS.items()})
    for name, subscriber in crowd.subscribers.items():
        values = [payload for _, payload, _ in subscriber.received]
        lower = {other: min(qos, SUBSCRIBERS[name]) for other, qos in PUBLISHERS.items()}
        check(f"subscriber {name}", values, {one: (lower[one], last[one]) for one in PUBLISHERS})


def check_retained(daemon: ChildDaemon, crowd: Crowd) -> None:
    """A new subscriber gets the last of each topic that retains, and nothing else."""
    late = Enduring("late", "sensor/s1", SECRET)
    late.start(daemon.mqtt(), [("open/#", 1)])
    eventually(lambda: len(late.received) >= len(RETAINING))
    late.stop()
    expected = {(f"open/{name}", f"{name} {crowd.publishers[name].published}".encode(), True) for name in RETAINING}
    assert set(late.received) == expected


def check(where: str, values: list[bytes], expected: dict[str, tuple[int, int]]) -> None:
    """Each number is there: exactly once for QoS 2, at least once for QoS 1; new ones in order."""
    for name, (qos, last) in expected.items():
        found = numbers(values, name)
        missing = sorted(set(range(1, last + 1)) - set(found))
        assert not missing, f"{where}: {name} at QoS {qos} of {last} lacks {missing[:10]}"
        doubled = sorted(number for number, count in Counter(found).items() if count > 1)
        if qos == EXACTLY_ONCE:
            assert not doubled, f"{where}: {name} at QoS {qos} has twice {doubled[:10]}"
        first_seen = list(dict.fromkeys(found))
        assert first_seen == sorted(first_seen), f"{where}: {name} at QoS {qos} is out of order"
