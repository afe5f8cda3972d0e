"""Laws of backlog policies, for any course that lag takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.backlog.lag import GroupLag, PartitionLag, to_keep
from actors.backlog.policy import PROBE_RECORDS, Phase, Policy
from actors.errors import CircuitOpenError
from actors.topic_partition.gate import Gate, GateState
from config.resources import BacklogLimit, BacklogPolicy

LIMIT = 1000
LOW_WATER = 0.5
actions = st.sampled_from(["throttle", "reject", "divert", "drop_oldest"])
courses = st.lists(st.integers(0, 3 * LIMIT), max_size=200)


def policy(action: str) -> Policy:
    divert_to = "ditch" if action == "divert" else None
    limit = BacklogLimit(messages=LIMIT)
    return Policy("t", BacklogPolicy(limit=limit, action=action, divert_to=divert_to, low_water=LOW_WATER))  # type: ignore[arg-type]


def lag(messages: int) -> list[GroupLag]:
    return [GroupLag("g", {0: PartitionLag(0, messages)})]


@given(actions, courses)
def test_nothing_flaps(action: str, course: list[int]) -> None:
    """A policy begins to act only above the limit, and leaves off only at or below low water."""
    machine = policy(action)
    for second, messages in enumerate(course):
        _, change = machine.sample(second, lag(messages))
        if change is not None and change.after is Phase.ACTING:
            assert messages > LIMIT
        elif change is not None:
            assert messages <= LIMIT * LOW_WATER


@given(actions, courses)
def test_above_the_limit_a_policy_acts(action: str, course: list[int]) -> None:
    """There is no course that leaves the limit passed and the gate idle."""
    machine = policy(action)
    for second, messages in enumerate(course):
        decision, _ = machine.sample(second, lag(messages))
        if messages > LIMIT:
            assert machine.phase is Phase.ACTING
            assert decision.trim or decision.state is not GateState.OPEN
            assert decision.reason


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=300),
    st.integers(1, 300),
)
def test_reject_never_admits_without_bound(rounds: list[tuple[int, int]], batch: int) -> None:
    """Whatever producers bring and the sink takes, the backlog passes the limit by at most one sample's records.

    While half open, what is admitted between two samples is at most the allowance and one batch.
    """
    machine, gate, waiting = policy("reject"), Gate("t"), 0
    for second, (brought, taken) in enumerate(rounds):
        waiting = max(0, waiting - taken)
        decision, _ = machine.sample(second, lag(waiting))
        gate.set(decision.state, decision.reason, retry_after=decision.retry_after, allowance=decision.allowance)
        admitted = 0
        for _ in range(brought // 10):
            try:
                gate.admit(batch)
            except CircuitOpenError:
                break
            admitted += batch
        waiting += admitted
        if decision.state is GateState.REJECTING:
            assert admitted == 0 or machine.phase is Phase.PROBING
            assert admitted <= PROBE_RECORDS + batch
        assert waiting <= LIMIT + 40 * batch  # at most 40 batches come between two samples


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20), st.integers(1, 20_000))
def test_dropping_goes_no_further_than_the_limit(lags: list[int], most: int) -> None:
    """What each partition keeps at the least sums up to the limit, and what fits is not touched."""
    group = GroupLag("g", {number: PartitionLag(0, messages) for number, messages in enumerate(lags)})
    keep = to_keep(BacklogLimit(messages=most), group)
    if sum(lags) <= most:
        assert keep.records is None
    else:
        assert keep.records is not None
        kept = sum(min(messages, keep.records) for messages in lags)
        assert abs(kept - most) < 1e-6 * most
