"""When a backlog will be gone, in numbers alone."""

import pytest

from actors.consumer_group.messages import PartitionProgress
from actors.consumer_group.prediction import drain_seconds


def partition(lag: int, produced: float, consumed: float, member: str = "a") -> PartitionProgress:
    return PartitionProgress(0, 0, lag, lag, member, produce_rate=produced, consume_rate=consumed)


def test_nothing_waiting_is_gone_now() -> None:
    """Without lag there is nothing to wait for, whoever reads or does not."""
    assert drain_seconds([]) == 0.0
    assert drain_seconds([partition(0, 10, 10), partition(0, 0, 0, member="")]) == 0.0


def test_lag_goes_at_the_difference_of_the_rates() -> None:
    """A thousand records at a gain of ten a second take a hundred seconds."""
    assert drain_seconds([partition(1000, 40, 50)]) == pytest.approx(100)


@pytest.mark.parametrize(("produced", "consumed"), [(50, 50), (60, 50), (0, 0)])
def test_what_does_not_shrink_has_no_end(produced: float, consumed: float) -> None:
    """Where no more is consumed than produced, no number is made up."""
    assert drain_seconds([partition(1, produced, consumed)]) is None


def test_partitions_of_one_member_share_its_work() -> None:
    """One that is read slowly now is read faster once its neighbours are empty."""
    assert drain_seconds([partition(900, 0, 90), partition(100, 0, 10)]) == pytest.approx(10)
    assert drain_seconds([partition(500, 20, 10), partition(100, 0, 70)]) == pytest.approx(10)


def test_the_slowest_member_decides_where_it_is_far_behind() -> None:
    """One that crawls is not helped by the others; one that has stopped means never."""
    fast, slow = partition(100, 0, 100, "a"), partition(100, 0, 1, "b")
    assert drain_seconds([fast, slow]) == pytest.approx(100)
    assert drain_seconds([fast, partition(1, 0, 0, "b")]) is None


def test_members_that_differ_a_little_are_taken_together() -> None:
    """Between the time of the slowest and that of all of them as one, and within a fifth of either."""
    own = [partition(1000, 0, 100, "a"), partition(1000, 0, 80, "b"), partition(900, 0, 90, "c")]
    together, slowest = 2900 / 270, 1000 / 80
    predicted = drain_seconds(own)
    assert predicted is not None
    assert together < predicted < slowest
    assert predicted == pytest.approx(together, rel=0.2)
    assert predicted == pytest.approx(slowest, rel=0.2)


def test_a_partition_nobody_reads_is_never_empty() -> None:
    """Also while its last reader's rate still fades."""
    assert drain_seconds([partition(100, 0, 50, member="")]) is None
