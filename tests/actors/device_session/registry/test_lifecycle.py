"""Events of connections on their way to the topics of rules. In virtual time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.device_session.counters import Counters
from actors.device_session.registry.lifecycle import Lifecycle
from actors.device_session.registry.presence import Presence
from actors.device_session.registry.statuses import Statuses
from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity
from actors.errors import ActorGone, CircuitOpenError, StorageError
from actors.records import Record
from actors.runtime.log_limiter import LogLimiter
from actors.topic_partition.gate import Gate
from actors.topic_partition.messages import Append
from config.resources import Product, Rule, RuleSource, RuleTarget

LOT = DeviceIdentity("sensor", "lot-1", "city")


class Partition:
    """Stores what it is given, or refuses it, or keeps its sender waiting."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.batches: list[int] = []
        self.waiting: list[Append] = []
        self.refusal: Exception | None = None
        self.failure: Exception | None = None
        self.slow = False

    def submit(self, message: Append) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.waiting.append(message)
        if not self.slow:
            self.answer()

    def answer(self) -> None:
        for message in self.waiting:
            if self.failure is not None:
                message.reply.fail(self.failure)
                continue
            self.batches.append(len(message.records))
            self.records += message.records
            message.reply.set(0)
        self.waiting.clear()


class Topic:
    def __init__(self, name: str, partitions: int = 1) -> None:
        self.name = name
        self.gate = Gate(name)
        self.partitions: Sequence[Partition] = [Partition() for _ in range(partitions)]
        self.max_message_bytes = 1000

    def partition_for(self, key: bytes | None) -> int:
        return hash(key) % len(self.partitions)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for one in self.partitions for record in one.records]


class Topics:
    version = 0

    def __init__(self, *topics: Topic) -> None:
        self.known = {topic.name: topic for topic in topics}
        self.diverted: dict[str, str] = {}

    def get(self, name: str) -> Topic | None:
        return self.known.get(name)

    def route(self, name: str) -> Topic | None:
        return self.known.get(self.diverted.get(name, name))


class Living:
    client_id = "the-client"
    address = "127.0.0.1:5"


class World:
    """A directory with one rule for events, two topics, and what sessions tell."""

    def __init__(self, capacity: int = 100_000) -> None:
        self.directory = Directory(lambda secret: secret)
        self.directory.put_app(AppEntry("city", "k", b"s"))
        self.directory.put_product(Product(app="city", name="sensor"))
        self.directory.put_device(DeviceEntry("sensor", "lot-1", "city", b"s"))
        self.events, self.other = Topic("events", partitions=3), Topic("other")
        self.topics = Topics(self.events, self.other)
        self.counters = Counters()
        self.lifecycle = Lifecycle(self.directory, self.topics, self.counters, LogLimiter(1000), capacity=capacity)
        self.statuses = Statuses()
        self.presence = Presence(self.statuses, self.lifecycle)
        self.follow("events")

    def follow(self, *targets: str) -> None:
        source = RuleSource(product="sensor", lifecycle=True)
        to = tuple(RuleTarget(topic=target) for target in targets)
        self.directory.put_rule(Rule(app="city", name="r", sources=source, to=to))

    @asynccontextmanager
    async def running(self, started: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lifecycle.run, started)
            yield
            self.lifecycle.stop()

    def told(self) -> list[tuple[str, str]]:
        return [(event["event"], event["reason"]) for event in self.events.events()]


@pytest.fixture
def world() -> World:
    return World()


async def test_who_comes_and_goes_is_told(world: World, autojump_clock: MockClock) -> None:
    """Only the first session of a device is `online`, only the end of its last one `offline`, with its reason."""
    first, second = Living(), Living()
    async with world.running():
        status = world.presence.joined(first, LOT)
        world.presence.joined(second, LOT)
        world.presence.left(first, LOT, status, "taken over")
        world.presence.will(LOT, "the-client", "sensor/out/lot-1", "keep alive")
        world.presence.will(LOT, "the-client", "not/allowed", "keep alive")
        world.presence.left(second, LOT, status, "keep alive")
    online, will, offline = world.events.events()
    assert online == {
        "event": "online",
        "device": "lot-1",
        "product": "sensor",
        "client_id": "the-client",
        "reason": "connected from 127.0.0.1:5",
        "time": online["time"],
    }
    assert (will["event"], will["topic"], will["reason"]) == ("will", "sensor/out/lot-1", "keep alive")
    assert (offline["event"], offline["reason"]) == ("offline", "keep alive")
    assert online["time"] <= will["time"] <= offline["time"]
    keys = {record.key for one in world.events.partitions for record in one.records}
    assert keys == {b"lot-1"}
    assert world.counters.lifecycle_events == 3


async def test_passing_devices_are_told_by_their_client_ids_and_keep_no_status(
    world: World, autojump_clock: MockClock
) -> None:
    """Anybody may choose any number of client ids: nothing is remembered of them."""
    async with world.running():
        passer_by = AnonymousIdentity("sensor", "phone")
        assert world.presence.joined(Living(), passer_by) is None
        world.presence.left(Living(), passer_by, None, "left")
    assert [(event["event"], event["device"]) for event in world.events.events()] == [
        ("online", "phone"),
        ("offline", "phone"),
    ]
    assert world.statuses._devices == {}


async def test_apps_are_no_devices(world: World, autojump_clock: MockClock) -> None:
    """No event tells of an app."""
    async with world.running():
        assert world.presence.joined(Living(), AppIdentity("city")) is None
        world.presence.will(AppIdentity("city"), "c", "t", "left")
        world.presence.left(Living(), AppIdentity("city"), None, "left")
    assert world.events.events() == []


async def test_without_a_rule_nothing_is_made(world: World, autojump_clock: MockClock) -> None:
    """Events that nobody asks for are not even counted; devices of other products are not a rule's affair."""
    async with world.running():
        world.lifecycle.online(DeviceIdentity("meter", "m-1", "city"), "c", "")
        world.directory.remove("rule", "r")
        world.lifecycle.online(LOT, "c", "")
    assert world.counters.lifecycle_events == 0
    assert world.events.events() == []


async def test_a_storm_is_stored_in_few_appends(world: World, autojump_clock: MockClock) -> None:
    """What comes while an append is under way goes with the next one: batches, not an append for each."""
    for partition in world.events.partitions:
        partition.slow = True
    async with world.running():
        world.lifecycle.online(LOT, "c", "first")
        await wait_all_tasks_blocked()
        for number in range(1, 300):
            world.lifecycle.online(DeviceIdentity("sensor", f"d{number}", "city"), "c", "")
        for _ in range(3):
            for partition in world.events.partitions:
                partition.answer()
            await wait_all_tasks_blocked()
    assert len(world.events.events()) == 300
    assert sum(len(one.batches) for one in world.events.partitions) <= 4


async def test_sessions_never_wait_for_a_topic_that_takes_nothing(autojump_clock: MockClock) -> None:
    """Past the bound the oldest events go for the newest, counted and logged; the others come once it takes again."""
    world = World(capacity=10_000)
    for partition in world.events.partitions:
        partition.refusal = CircuitOpenError("topic events takes no records now", retry_after=1.0)
    with capture_logs() as logs:
        async with world.running():
            for number in range(1000):
                world.lifecycle.online(LOT, "c", str(number))
            await trio.sleep(20)
            assert world.lifecycle.waiting < 60
            for partition in world.events.partitions:
                partition.refusal = None
            await trio.sleep(20)
            assert world.lifecycle.waiting == 0
    reasons = [int(reason) for _, reason in world.told()]
    assert reasons == sorted(reasons)
    assert reasons[-1] == 999
    assert world.counters.dropped_lifecycle_events == 1000 - len(reasons)
    assert {log["event"] for log in logs} == {"Lifecycle events dropped", "Lifecycle events wait, and are tried again"}


@pytest.mark.parametrize(
    "error", [StorageError("disk full"), ActorGone("events-0"), CircuitOpenError("no", retry_after=1.0)]
)
async def test_what_fails_is_tried_again_in_its_order(
    world: World, autojump_clock: MockClock, error: Exception
) -> None:
    """A partition that refuses, fails or is gone gets its events later, each once as far as is known, in order."""
    (target,) = {world.events.partition_for(b"lot-1")}
    partition = world.events.partitions[target]
    if isinstance(error, CircuitOpenError):
        partition.refusal = error
    else:
        partition.failure = error
    async with world.running():
        for number in range(5):
            world.lifecycle.online(LOT, "c", str(number))
        await trio.sleep(3)
        world.lifecycle.online(LOT, "c", "5")
        partition.refusal = partition.failure = None
        await trio.sleep(10)
        assert [reason for _, reason in world.told()] == [str(number) for number in range(6)]


async def test_one_topic_does_not_hold_another(world: World, autojump_clock: MockClock) -> None:
    """Each topic has a buffer and a sender of its own."""
    world.follow("events", "other")
    for partition in world.events.partitions:
        partition.slow = True
    async with world.running():
        for number in range(3):
            world.lifecycle.online(LOT, "c", str(number))
            await trio.sleep(1)
        assert len(world.other.events()) == 3
        assert world.events.events() == []
        for partition in world.events.partitions:
            partition.slow = False
            partition.answer()


async def test_diverted_events_are_marked_with_where_they_belong(world: World, autojump_clock: MockClock) -> None:
    """A backlog policy that diverts a topic's records diverts events as well."""
    world.topics.diverted["events"] = "other"
    async with world.running():
        world.lifecycle.online(LOT, "c", "")
    ((record,),) = [one.records for one in world.other.partitions]
    assert record.headers == (("penstock-origin", b"events"),)
    assert world.events.gate.diverted == 1


async def test_events_for_a_topic_that_is_gone_are_counted(world: World, autojump_clock: MockClock) -> None:
    """There is nothing to wait for; likewise what is larger than its topic takes."""
    world.follow("nowhere", "events")
    world.events.max_message_bytes = 200
    with capture_logs() as logs:
        async with world.running():
            world.lifecycle.online(LOT, "c", "")
            world.lifecycle.online(LOT, "c", "x" * 200)
    assert [event["reason"] for event in world.events.events()] == [""]
    assert world.counters.dropped_lifecycle_events == 3
    assert {log["event"] for log in logs} == {"Lifecycle events dropped"}


async def test_what_a_stop_leaves_is_logged_and_comes_with_the_next_life(
    world: World, autojump_clock: MockClock
) -> None:
    """A stop waits for what can be stored; what cannot is not forgotten while the process lives."""
    for partition in world.events.partitions:
        partition.slow = True
    world.lifecycle.online(LOT, "c", "before")
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.lifecycle.run, lambda: None)
            await wait_all_tasks_blocked()
            world.lifecycle.stop()
            await trio.sleep(3)
            nursery.cancel_scope.cancel()
    assert logs[-1] == {
        "event": "Lifecycle events are left that could not be stored",
        "log_level": "warning",
        "count": 1,
    }
    for partition in world.events.partitions:
        partition.waiting.clear()
        partition.slow = False
    async with world.running():
        world.lifecycle.online(LOT, "c", "after")
    assert [reason for _, reason in world.told()] == ["before", "after"]


async def test_reasons_are_bounded(world: World, autojump_clock: MockClock) -> None:
    """Whatever a client says on its way out, an event stays small."""
    async with world.running():
        world.lifecycle.offline(LOT, None, "x" * 10_000)
    ((event, reason),) = world.told()
    assert (event, len(reason)) == ("offline", 300)
