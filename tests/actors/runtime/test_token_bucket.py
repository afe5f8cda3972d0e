from actors.runtime.token_bucket import TokenBucket


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    """As much as fits comes at once; after that, as much a second as the rate says."""
    bucket = TokenBucket(10, now=0.0)
    assert sum(bucket.try_take(1, 0.0) for _ in range(20)) == 10
    assert not bucket.try_take(1, 0.05)
    assert sum(bucket.try_take(1, 0.5) for _ in range(20)) == 5


def test_what_has_come_is_counted_and_its_source_told_to_wait() -> None:
    """A debt is waited for, and never forgiven."""
    bucket = TokenBucket(10, now=0.0, burst=5)
    assert bucket.take(5, 0.0) == 0
    assert bucket.take(20, 0.0) == 2.0
    assert bucket.take(0, 1.0) == 1.0
    assert bucket.available(1.5) == -5
    assert bucket.take(0, 2.0) == 0


def test_a_bucket_holds_no_more_than_its_burst() -> None:
    """A long silence earns one burst, and a clock that stands still earns nothing."""
    bucket = TokenBucket(10, now=0.0, burst=3)
    assert bucket.is_full(1000.0)
    assert sum(bucket.try_take(1, 1000.0) for _ in range(10)) == 3
    assert not bucket.is_full(1000.0)
    assert not bucket.try_take(1, 999.0)
