"""The runner's decisions, without I/O."""

from actors.task_runner.core import LEAST_ROWS, LONGEST_REST_SECONDS, BatchLimits, BatchSize, majority, rest_seconds


def test_quick_full_batches_double_up_to_the_most() -> None:
    """Growth stops at the setting, and only full batches tell that there is more."""
    size = BatchSize(BatchLimits(rows=3000, bytes=1 << 20))
    first = size.rows
    size.wrote(first, 0.01, full=False)
    assert size.rows == first
    for _ in range(5):
        size.wrote(size.rows, 0.01, full=True)
    assert size.rows == 3000


def test_a_small_part_of_a_batch_says_nothing_about_its_size() -> None:
    """The spans of a halved batch are quick because they are small."""
    size = BatchSize(BatchLimits(rows=3000, bytes=1 << 20))
    first = size.rows
    size.wrote(1, 0.001, full=True)
    assert size.rows == first


def test_slow_transactions_halve_down_to_the_least() -> None:
    """A slow sink gets little at once, but never nothing."""
    size = BatchSize(BatchLimits(rows=5000, bytes=1 << 20))
    for _ in range(20):
        size.wrote(size.rows, 2.0, full=True)
    assert size.rows == LEAST_ROWS
    tiny = BatchSize(BatchLimits(rows=3, bytes=1 << 20))
    tiny.wrote(3, 2.0, full=True)
    assert tiny.rows == 3


def test_a_fetch_asks_for_one_transaction() -> None:
    """Bytes follow the rows wanted and the records seen, within the setting."""
    size = BatchSize(BatchLimits(rows=5000, bytes=1 << 20))
    assert size.bytes_wanted == 1 << 20
    size.fetched(100, 100 * 200)
    assert size.bytes_wanted == size.rows * 200
    size.fetched(0, 0)
    assert size.bytes_wanted == size.rows * 200
    size.fetched(1, 1 << 22)
    assert size.bytes_wanted == 1 << 20


def test_what_a_full_batch_is() -> None:
    """It filled its place or left more behind, and is not so small that chance rules."""
    size = BatchSize(BatchLimits(rows=100, bytes=1 << 20))
    assert size.is_full(100, more=False)
    assert size.is_full(50, more=True)
    assert not size.is_full(50, more=False)
    assert not size.is_full(LEAST_ROWS - 1, more=True)


def test_a_majority_is_more_than_half_for_one_reason() -> None:
    """Half is not enough, and different reasons do not add up."""
    assert majority(["a"] * 6 + ["b"], 10) is not None
    assert majority(["a"] * 5, 10) is None
    assert majority(["a"] * 4 + ["b"] * 4, 10) is None
    assert majority([], 10) is None


def test_rest_is_as_long_as_the_work_up_to_a_limit() -> None:
    """Half of the time at most is work while records trickle in, and none waits long."""
    assert rest_seconds(0.001) == 0.001
    assert rest_seconds(10.0) == LONGEST_REST_SECONDS


def test_limits_change_while_it_works() -> None:
    """A raised limit lets transactions grow on; a lowered one counts at once."""
    limits = BatchLimits(rows=1000, bytes=1 << 20)
    size = BatchSize(limits)
    for _ in range(3):
        size.wrote(size.rows, 0.01, full=True)
    assert size.rows == 1000
    limits.rows = 4000
    for _ in range(3):
        size.wrote(size.rows, 0.01, full=True)
    assert size.rows == 4000
    limits.rows = 500
    assert size.rows == 500
