"""The state machine of a policy, sample by sample."""

from __future__ import annotations

from actors.backlog.lag import GroupLag, PartitionLag
from actors.backlog.policy import (
    LEAST_RETRY_SECONDS,
    MOST_RETRY_SECONDS,
    PROBE_RECORDS,
    PROBE_SAMPLES,
    Decision,
    Phase,
    Policy,
)
from actors.topic_partition.gate import GateState
from config.resources import BacklogLimit, BacklogPolicy


def machine(action: str, **more: object) -> Policy:
    policy = BacklogPolicy(limit=BacklogLimit(messages=100), action=action, **more)  # type: ignore[arg-type]
    return Policy("lot", policy)


class Driver:
    """Feeds a policy a lag a second."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = 0.0

    def lag(self, messages: int) -> Decision:
        self.now += 1
        return self.policy.sample(self.now, [GroupLag("g", {0: PartitionLag(0, messages)})])[0]

    def states(self, *lags: int) -> list[str]:
        return [self.lag(messages).state.value for messages in lags]


def test_throttling_begins_above_the_limit_and_ends_at_low_water() -> None:
    """At the limit nothing happens; between low water and limit it stays as it is."""
    driver = Driver(machine("throttle"))
    assert driver.states(0, 100, 101, 70, 51, 50, 99) == [
        *("open", "open"),
        *("throttled", "throttled", "throttled"),
        *("open", "open"),
    ]


def test_diverting_names_the_other_topic() -> None:
    """Producers are led to `divert_to` until the backlog has been worked off."""
    driver = Driver(machine("divert", divert_to="ditch", low_water=0.1))
    decision = driver.lag(200)
    assert (decision.state, decision.divert_to) == (GateState.DIVERTED, "ditch")
    assert driver.states(11, 10) == ["diverted", "open"]


def test_dropping_leaves_the_gate_open() -> None:
    """Nobody is held back: the oldest segments go instead."""
    driver = Driver(machine("drop_oldest"))
    decision = driver.lag(101)
    assert (decision.state, decision.trim) == (GateState.OPEN, True)
    assert decision.reason == "group g lags 101 messages of 100"
    assert not driver.lag(50).trim


def test_a_rejecting_circuit_is_half_open_before_it_closes() -> None:
    """At low water a trickle is let through, and only after some calm samples everything."""
    driver = Driver(machine("reject"))
    assert driver.lag(101).allowance == 0
    half = [driver.lag(50) for _ in range(PROBE_SAMPLES + 1)]
    assert {(one.state, one.allowance) for one in half} == {(GateState.REJECTING, PROBE_RECORDS)}
    assert driver.lag(50).state is GateState.OPEN


def test_a_half_open_circuit_gives_no_trickle_above_low_water() -> None:
    """What probing itself brings must not pass the limit; calm is counted anew."""
    driver = Driver(machine("reject"))
    driver.states(101, 50)
    assert driver.lag(51).allowance == 0
    assert {driver.lag(50).state for _ in range(PROBE_SAMPLES)} == {GateState.REJECTING}
    assert driver.lag(101).allowance == 0
    assert driver.policy.phase is Phase.ACTING


def test_retry_after_is_when_low_water_will_be_reached() -> None:
    """What waits above low water, at the group's own pace: also right after a steep rise, when most are refused."""
    policy = machine("reject")
    for second in range(20):
        lag = GroupLag("g", {0: PartitionLag(consumed=10 * second, messages=30 * second)})
        decision, _ = policy.sample(second, [lag])
        if decision.state is GateState.REJECTING:
            assert abs(decision.retry_after - (30 * second - 50) / 10) < 0.001
    assert decision.retry_after > 50


def test_retry_after_is_bounded() -> None:
    """Nobody is sent away for longer than a minute, nor asked to come again at once, whatever the group does."""
    policy = machine("reject")
    standing = [GroupLag("g", {0: PartitionLag(0, 200)})]
    assert [policy.sample(second, standing)[0].retry_after for second in range(3)] == [MOST_RETRY_SECONDS] * 3
    racing = [GroupLag("g", {0: PartitionLag(100_000, 60)})]
    assert policy.sample(4, racing)[0].retry_after == LEAST_RETRY_SECONDS
    other = [GroupLag("other", {0: PartitionLag(500_000, 60)})]
    assert policy.sample(5, other)[0].retry_after == MOST_RETRY_SECONDS


def test_every_change_is_told_with_its_reason() -> None:
    """The audit log gets before, after, whose lag and how much of the limit it was."""
    policy = machine("throttle")
    _, told = policy.sample(7.0, [GroupLag("g", {0: PartitionLag(0, 250)})])
    assert told is not None
    assert (told.at, told.topic, told.before, told.after) == (7.0, "lot", Phase.IDLE, Phase.ACTING)
    assert (told.group, told.ratio, told.reason) == ("g", 2.5, "group g lags 250 messages of 100")
    assert policy.sample(8.0, [GroupLag("g", {0: PartitionLag(0, 240)})])[1] is None
    _, told = policy.sample(9.0, [])
    assert told is not None
    assert (told.after, told.reason) == (Phase.IDLE, "nothing waits any more")


def test_a_policy_goes_on_where_it_stood() -> None:
    """After a restart within the band the phase is what it was, not what a fresh policy would say."""
    policy = BacklogPolicy(limit=BacklogLimit(messages=100), action="divert", divert_to="ditch")
    driver = Driver(Policy("lot", policy, Phase.ACTING))
    assert driver.states(70, 50) == ["diverted", "open"]


def test_nothing_ends_on_a_guess() -> None:
    """While bytes or ages are not known, as right after a start, a policy that acts goes on acting."""
    policy = BacklogPolicy(limit=BacklogLimit(bytes=100), action="throttle")
    machine = Policy("lot", policy, Phase.ACTING)
    for second, (messages, size, state) in enumerate(
        [(50, None, GateState.THROTTLED), (50, 90, GateState.THROTTLED), (5, 10, GateState.OPEN)]
    ):
        lags = [GroupLag("g", {0: PartitionLag(0, messages, size)})]
        assert machine.sample(second, lags)[0].state is state
