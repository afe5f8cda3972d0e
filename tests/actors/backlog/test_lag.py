"""Lag against its limit: whose counts, and what each partition keeps."""

from __future__ import annotations

import pytest

from actors.backlog.lag import CALM, GroupLag, PartitionLag, consumed, pressure, to_keep
from actors.log.retention import Keep
from config.resources import BacklogLimit


def group(name: str, *partitions: PartitionLag) -> GroupLag:
    return GroupLag(name, dict(enumerate(partitions)))


def test_the_worst_group_by_the_worst_limit_counts() -> None:
    """Any group's lag, over all partitions, against whichever limit it is nearest to."""
    limit = BacklogLimit(messages=100, bytes=1000, age="10s")
    quick = group("quick", PartitionLag(90, 10, 100, 1.0), PartitionLag(90, 10, 100, 2.0))
    slow = group("slow", PartitionLag(50, 30, 300, 12.0), PartitionLag(100, 0, 0, None))
    found = pressure(limit, [quick, slow])
    assert (found.group, found.ratio) == ("slow", 1.2)
    assert found.reason == "group slow lags 12 s of 10 s"
    assert pressure(limit, [quick]).ratio == 0.2
    assert pressure(limit, []) == CALM


def test_what_is_not_known_presses_on_nothing() -> None:
    """A group whose bytes and age are not sampled yet counts by its messages alone."""
    unknown = group("g", PartitionLag(0, 50, None, None))
    assert pressure(BacklogLimit(bytes=1, age="1s"), [unknown]) == CALM._replace(certain=False)
    assert pressure(BacklogLimit(messages=100), [unknown]).certain
    assert pressure(BacklogLimit(bytes=1), [group("g", PartitionLag(0, 0))]).certain
    assert pressure(BacklogLimit(messages=100, bytes=1), [unknown]).ratio == 0.5


def test_the_slowest_group_says_what_is_consumed() -> None:
    """Of each partition, what every group has read."""
    a, b = group("a", PartitionLag(5, 1), PartitionLag(9, 1)), group("b", PartitionLag(7, 1), PartitionLag(2, 1))
    assert consumed([a, b]) == {0: 5, 1: 2}
    assert consumed([]) == {}


@pytest.mark.parametrize(
    ("lags", "most", "level"),
    [([10, 10], 20, None), ([30, 0], 20, 20), ([30, 30], 20, 10), ([5, 30, 30], 25, 10), ([100, 1, 1], 3, 1)],
)
def test_partitions_with_most_lag_give_first(lags: list[int], most: int, level: float | None) -> None:
    """A sum over its limit is brought down to it, and the partitions that lag little lose nothing."""
    lagging = group("g", *(PartitionLag(0, messages) for messages in lags))
    kept = to_keep(BacklogLimit(messages=most), lagging)
    assert kept == Keep(records=level)
    if level is not None:
        assert sum(min(messages, level) for messages in lags) == pytest.approx(most)


def test_age_is_kept_as_it_is_written() -> None:
    """Records that are older than the limit go, in whichever partition."""
    assert to_keep(BacklogLimit(age="1m"), group("g", PartitionLag(0, 1, 1, 61.0))) == Keep(seconds=60)
    assert to_keep(BacklogLimit(age="1m"), group("g", PartitionLag(0, 1, 1, 59.0))) == Keep()
