"""Laws of the doctor, over histories of any kind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.consumer_group.messages import Expulsion, GroupStatistics, MemberStatus, PartitionProgress
from actors.doctor.diagnosis import LATE_SECONDS, diagnose
from actors.doctor.history import History
from actors.doctor.messages import Snapshot, TaskSnapshot

RATES = st.floats(0, 1e7)
SECONDS = st.floats(0, 1e4)


@st.composite
def partitions(draw: st.DrawFn, lag: st.SearchStrategy[int]) -> PartitionProgress:
    high = draw(st.integers(0, 10**9))
    return PartitionProgress(
        partition=0,
        committed=draw(st.none() | st.integers(0, 10**9)),
        high_watermark=high,
        lag=min(high, draw(lag)),
        member=draw(st.sampled_from(["", "a", "b", "gone"])),
        lag_seconds=draw(st.none() | SECONDS),
        produce_rate=draw(RATES),
        consume_rate=draw(RATES),
    )


@st.composite
def snapshots(draw: st.DrawFn, lag: st.SearchStrategy[int]) -> Snapshot:
    found = draw(st.lists(partitions(lag), max_size=5))
    progress = tuple(
        PartitionProgress(
            number,
            one.committed,
            one.high_watermark,
            one.lag,
            one.member,
            lag_seconds=one.lag_seconds,
            produce_rate=one.produce_rate,
            consume_rate=one.consume_rate,
        )
        for number, one in enumerate(found)
    )
    steps = st.dictionaries(st.sampled_from(["fetch", "map", "write"]), SECONDS)
    members = st.builds(MemberStatus, st.sampled_from(["a", "b"]), st.just((0,)), SECONDS, SECONDS, steps)
    group = GroupStatistics(
        group="g",
        topic="t",
        generation=draw(st.integers(0, 100)),
        members=tuple(draw(st.lists(members, max_size=2, unique_by=lambda one: one.name))),
        partitions=progress,
        kind=draw(st.sampled_from(["task", "http"])),
        rebalances=draw(st.integers(0, 1000)),
        expelled=tuple(
            draw(
                st.lists(st.builds(Expulsion, st.just("c"), st.just((0, 1)), SECONDS, st.text(max_size=5)), max_size=2)
            )
        ),
        drain_seconds=draw(st.none() | SECONDS),
    )
    tasks = st.builds(
        TaskSnapshot,
        st.just("g"),
        holding=st.sampled_from(["", "down"]),
        runners=st.integers(1, 60),
        batch_rows=st.integers(0, 10**5),
        most_rows=st.integers(1, 10**5),
        transactions=st.integers(0, 10**6),
    )
    return Snapshot(draw(st.floats(0, 1000)), group, draw(st.none() | tasks))


@settings(max_examples=40, deadline=None)
@given(st.lists(snapshots(st.just(0)), min_size=1, max_size=5))
def test_without_lag_there_is_no_cause(given_: list[Snapshot]) -> None:
    """Whatever else is odd: a group in which nothing waits is healthy, and has no cause."""
    history = History()
    for snapshot in sorted(given_, key=lambda one: one.at):
        history.add(snapshot)
    diagnosis = diagnose(history)
    assert (diagnosis.verdict, diagnosis.causes) == ("healthy", ())


@settings(max_examples=40, deadline=None)
@given(st.lists(snapshots(st.integers(0, 10**9)), min_size=1, max_size=5))
def test_any_history_has_a_diagnosis(given_: list[Snapshot]) -> None:
    """No history is too odd for it; causes are told once each, with remedies, only where something waits for long.

    What a remedy is expected to take is never negative, and a harmless one can be applied.
    """
    history = History()
    for snapshot in sorted(given_, key=lambda one: one.at):
        history.add(snapshot)
    diagnosis = diagnose(history)
    if diagnosis.causes:
        assert diagnosis.lag > 0
        assert diagnosis.waiting_seconds >= LATE_SECONDS
        assert diagnosis.verdict != "healthy"
    for cause in diagnosis.causes:
        assert cause.evidence
        assert cause.remedies
        for remedy in cause.remedies:
            assert remedy.expected_seconds_to_drain is None or remedy.expected_seconds_to_drain >= 0
            assert not remedy.harmless or remedy.value or remedy.member or remedy.kind == "wait"
