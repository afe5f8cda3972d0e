"""The gate of a topic: what it lets pass, refuses, holds and leads elsewhere."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.errors import AppendRefusedError, CircuitOpenError
from actors.topic_partition.gate import Gate, GateState
from actors.topic_partition.topic import TopicReference, Topics


def test_a_new_gate_lets_everything_pass() -> None:
    """Without a policy nobody is refused or held."""
    gate = Gate("lot")
    gate.admit(1_000_000)
    assert gate.lets_pass
    assert gate.state is GateState.OPEN


def test_a_rejecting_gate_refuses_with_a_time_to_come_back() -> None:
    """Refused records are counted, and the error says when to try again; it is one of refused appends."""
    gate = Gate("lot")
    gate.set(GateState.REJECTING, "group g lags", retry_after=7.5)
    with pytest.raises(CircuitOpenError, match="lot takes no records now: group g lags") as caught:
        gate.admit(3)
    assert isinstance(caught.value, AppendRefusedError)
    assert caught.value.retry_after == 7.5
    assert gate.refused == 3


def test_it_is_known_who_is_refused() -> None:
    """Of each sender how many records, since the gate is as it is; another state begins anew."""
    gate = Gate("lot")
    gate.set(GateState.REJECTING, "group g lags")
    for sender, records in (("mqtt", 3), ("http", 2), ("mqtt", 1)):
        with pytest.raises(CircuitOpenError):
            gate.admit(records, sender)
    gate.set(GateState.REJECTING, "it still lags")
    assert gate.refused_by == {"mqtt": 4, "http": 2}
    gate.set(GateState.OPEN)
    assert (gate.refused_by, gate.refused) == ({}, 6)


def test_a_half_open_gate_lets_its_allowance_pass_and_no_more() -> None:
    """What passes a half-open circuit is at most the allowance and one batch over it."""
    gate = Gate("lot")
    gate.set(GateState.REJECTING, "probing", retry_after=1, allowance=10)
    assert gate.half_open
    passed = 0
    for _ in range(100):
        try:
            gate.admit(4)
        except CircuitOpenError:
            break
        passed += 4
    assert passed == 12
    assert not gate.half_open


async def test_waiting_ends_when_records_are_stored_again(autojump_clock: trio.testing.MockClock) -> None:
    """`wait_open` holds through throttling and refusal, and returns once the topic takes or diverts records."""
    gate = Gate("lot")
    gate.set(GateState.THROTTLED, "full")
    returned: list[GateState] = []

    async def wait() -> None:
        await gate.wait_open()
        returned.append(gate.state)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        gate.set(GateState.REJECTING, "fuller", retry_after=1)
        await wait_all_tasks_blocked()
        assert returned == []
        gate.set(GateState.DIVERTED, divert_to="ditch")
    assert returned == [GateState.DIVERTED]


def test_since_and_watchers_follow_changes_of_state_only() -> None:
    """A new reason in the same state is no change of state."""
    now = 100.0
    gate = Gate("lot", clock=lambda: now)
    seen: list[GateState] = []
    unwatch = gate.watch(lambda: seen.append(gate.state))
    gate.set(GateState.THROTTLED, "a")
    now = 200.0
    gate.set(GateState.THROTTLED, "b")
    assert (gate.since, gate.reason) == (100.0, "b")
    unwatch()
    gate.set(GateState.OPEN)
    assert seen == [GateState.THROTTLED]


def test_a_diverted_topic_is_found_under_its_own_name() -> None:
    """Producers ask `route`; readers ask `get` and find the topic itself."""
    topics = Topics()
    lot, ditch = TopicReference("lot", 1, 1000), TopicReference("ditch", 1, 1000)
    topics.add(lot)
    lot.gate.set(GateState.DIVERTED, divert_to="ditch")
    assert topics.route("lot") is lot  # nothing is lost while the other is not there
    topics.add(ditch)
    assert topics.route("lot") is ditch
    assert topics.get("lot") is lot
    assert topics.route("unknown") is None
