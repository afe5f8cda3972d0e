"""The watch: samples groups, sets gates, keeps phases, has oldest records dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from trio.testing import MockClock

from actors.backlog.lag import GroupLag, PartitionLag
from actors.backlog.policy import Transition
from actors.backlog.watch import BacklogWatch
from actors.errors import StorageError
from actors.topic_partition.gate import GateState
from actors.topic_partition.messages import Roll
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import BacklogLimit, BacklogPolicy
from tests.actors.log.parts import records
from tests.actors.topic_partition.parts import running, until

LIMIT = BacklogLimit(messages=100)
THROTTLE = BacklogPolicy(limit=LIMIT, action="throttle")
DIVERT = BacklogPolicy(limit=LIMIT, action="divert", divert_to="ditch")


@dataclass
class World:
    """Two topics, a policy and a lag that the test sets."""

    topics: Topics = field(default_factory=Topics)
    policies: dict[str, BacklogPolicy] = field(default_factory=dict)
    phases: dict[str, str] = field(default_factory=dict)
    lag: int = 0
    store_works: bool = True
    told: list[Transition] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("lot", "ditch"):
            self.topics.add(TopicReference(name, 1, 1000))

    @property
    def lot(self) -> TopicReference:
        topic = self.topics.get("lot")
        assert topic is not None
        return topic

    @property
    def state(self) -> GateState:
        return self.lot.gate.state

    def lags(self, topic: str) -> list[GroupLag]:
        return [GroupLag("g", {0: PartitionLag(7, self.lag)})] if topic == "lot" else []

    async def hear(self, transition: Transition) -> None:
        self.told.append(transition)

    async def load_phases(self) -> Mapping[str, str]:
        return dict(self.phases)

    async def save_phase(self, topic: str, phase: str) -> None:
        if not self.store_works:
            raise StorageError("the store does not answer")
        if phase:
            self.phases[topic] = phase
        else:
            self.phases.pop(topic, None)

    @asynccontextmanager
    async def watched(self, interval: float = 1.0) -> AsyncIterator[BacklogWatch]:
        watch = BacklogWatch(
            self.topics,
            lambda: self.policies,
            self.lags,
            self,
            tell=self.hear,
            interval=interval,
            clock=trio.current_time,
        )
        async with trio.open_nursery() as nursery:
            started = trio.Event()
            nursery.start_soon(watch.run, started.set)
            await started.wait()
            yield watch
            watch.stop()


async def test_a_gate_follows_its_topics_lag(autojump_clock: MockClock) -> None:
    """Within a second of the limit being passed the gate acts, and it opens once the lag has gone."""
    world = World(policies={"lot": THROTTLE})
    async with world.watched():
        assert world.state is GateState.OPEN
        assert world.lot.gate.protected(0) == 7
        world.lag = 101
        await trio.sleep(1.1)
        assert world.state is GateState.THROTTLED
        assert world.lot.gate.reason == "group g lags 101 messages of 100"
        world.lag = 50
        await trio.sleep(1.1)
        assert world.state is GateState.OPEN
    assert [(one.before.value, one.after.value) for one in world.told] == [("idle", "acting"), ("acting", "idle")]


async def test_the_gates_are_set_before_anybody_relies_on_them(autojump_clock: MockClock) -> None:
    """A topic over its limit at the start is throttled before the watch counts as started."""
    world = World(policies={"lot": THROTTLE}, lag=200)
    async with world.watched():
        assert world.state is GateState.THROTTLED


async def test_diverting_tells_those_who_keep_what_they_found(autojump_clock: MockClock) -> None:
    """Each switch raises the version of the topics once; steady diversion does not."""
    world = World(policies={"lot": DIVERT})
    async with world.watched():
        version = world.topics.version
        world.lag = 200
        await trio.sleep(5.1)
        assert world.topics.version == version + 1
        assert world.topics.route("lot") is world.topics.get("ditch")
        world.lag = 0
        await trio.sleep(5.1)
        assert world.topics.version == version + 2
        assert world.topics.route("lot") is world.lot


async def test_a_phase_outlives_the_daemon(autojump_clock: MockClock) -> None:
    """A diverted topic whose backlog is halfway down is diverted again after a restart; an idle one leaves no trace."""
    world = World(policies={"lot": DIVERT}, lag=200)
    async with world.watched():
        assert world.phases == {"lot": "acting"}
    world.lag = 70
    assert world.state is GateState.OPEN  # nobody watches
    async with world.watched():
        assert world.state is GateState.DIVERTED
        world.lag = 0
        await trio.sleep(1.1)
    assert world.phases == {}


async def test_a_store_that_fails_stops_no_policy(autojump_clock: MockClock) -> None:
    """The gate is set although its phase cannot be stored, and the phase is stored once that works."""
    world = World(policies={"lot": THROTTLE}, lag=200, store_works=False)
    async with world.watched():
        assert world.state is GateState.THROTTLED
        world.store_works = True
        await trio.sleep(1.1)
        assert world.phases == {"lot": "acting"}


async def test_a_policy_may_change_or_go_at_any_time(autojump_clock: MockClock) -> None:
    """A raised limit opens the gate, another action takes the present one's place, and without a policy it is open."""
    world = World(policies={"lot": THROTTLE}, lag=200)
    async with world.watched():
        world.policies = {"lot": DIVERT}
        await trio.sleep(1.1)
        assert world.state is GateState.DIVERTED
        world.policies = {"lot": BacklogPolicy(limit=BacklogLimit(messages=1000), action="divert", divert_to="ditch")}
        await trio.sleep(1.1)
        assert world.state is GateState.OPEN
        world.policies = {"lot": THROTTLE}
        await trio.sleep(1.1)
        assert world.state is GateState.THROTTLED
        world.policies = {}
        await trio.sleep(1.1)
        assert world.state is GateState.OPEN


async def test_producers_that_drain_are_not_held(autojump_clock: MockClock) -> None:
    """While the daemon drains its producers nobody is throttled, for as long as it was asked for."""
    world = World(policies={"lot": THROTTLE}, lag=200)
    async with world.watched() as watch:
        watch.yield_for(5)
        assert world.state is GateState.OPEN
        await trio.sleep(4)
        assert world.state is GateState.OPEN
        await trio.sleep(2.1)
        assert world.state is GateState.THROTTLED


async def test_the_oldest_segments_go_and_are_counted(tmp_path: Path) -> None:
    """Over the limit whole segments are dropped, what no group had read is counted, and nothing more than that goes."""
    world = World()
    async with running(tmp_path / "t-0") as partition:
        for number in range(5):
            await partition.append(records(10, 10 * number))
            await partition.ask(Roll())
        world.topics.add(partition.topic)
        policy = BacklogPolicy(limit=BacklogLimit(messages=25), action="drop_oldest")

        def lags(_topic: str) -> list[GroupLag]:
            start = max(7, partition.partition.start_offset)
            return [GroupLag("g", {0: PartitionLag(7, 50 - start)})]

        watch = BacklogWatch(world.topics, lambda: {"t": policy}, lags, world, interval=0.01)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, lambda: None)
            await until(lambda: partition.partition.start_offset > 0)
            await trio.sleep(0.05)
            assert partition.partition.start_offset == 20
            assert partition.topic.gate.dropped == 13
            assert partition.topic.gate.state is GateState.OPEN
            watch.stop()
