"""Laws of the deliveries of a group of HTTP consumers, whatever consumers, disks and restarts do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from actors.records import Confirmed, StoredRecord
from actors.topic_gateway.deliveries import Deliveries, DeliveryLimits, Handed, Verdict
from actors.topic_gateway.handlers import Handler
from actors.topic_gateway.partition_deliveries import MAX_KEPT_FAILURES
from actors.topic_gateway.ranges import OffsetRanges

LIMITS = DeliveryLimits(max_deliveries=3, max_unconfirmed=8, fetch_ahead_bytes=900)
ACK_WAIT = 1000


def record(offset: int) -> StoredRecord:
    return StoredRecord(None, b"v" * (offset % 7), 0, (), offset)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=40), st.integers(0, 10))
def test_ranges_are_a_set(adds: list[tuple[int, int]], floor: int) -> None:
    """Ranges hold what was put in and nothing else, in order and apart from one another, whatever the order."""
    ranges, expected = OffsetRanges(floor), set(range(floor))
    for start, length in adds:
        ranges.add(start, start + length)
        expected |= set(range(start, start + length))
    assert {offset for offset in range(50) if offset in ranges} == expected
    edges = [ranges.floor, *(edge for one in ranges for edge in one)]
    assert edges == sorted(set(edges))


@given(st.integers(1, 2 * MAX_KEPT_FAILURES), st.integers(0, 2 * MAX_KEPT_FAILURES))
def test_what_is_stored_of_failures_is_bounded(count: int, often: int) -> None:
    """Of however many that came back those are kept which did most often, in order."""
    deliveries = Deliveries(DeliveryLimits(max_deliveries=9, max_unconfirmed=10**6, fetch_ahead_bytes=10**9))
    failed = tuple((offset, 5 if offset >= often else 2) for offset in range(count))
    deliveries.begin(0, Confirmed(0, (), failed))
    deliveries.fetched(0, 0, [record(count)], count + 1)
    kept = deliveries.take_changed()[0].failed
    assert len(kept) == min(count, MAX_KEPT_FAILURES)
    assert list(kept) == sorted(kept)
    assert sum(number for _, number in kept) == sum(sorted((one for _, one in failed), reverse=True)[: len(kept)])


class Consumers(RuleBasedStateMachine):
    """Consumers over one partition whose log grows, has gaps, and loses its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.log: list[StoredRecord | None] = []
        self.start = 0
        self.stored = Confirmed(0)
        self.confirmed: set[int] = set()
        self.buried: list[int] = []
        self.handed: list[Handed] = []
        self.ended: set[Handler] = set()
        self.attempts: dict[int, int] = {}
        self.begin()
        self.produce(10, 0)

    def begin(self) -> None:
        self.deliveries = Deliveries(LIMITS)
        self.deliveries.begin(0, self.stored)
        self.handed.clear()
        self.ended.clear()
        # What was in somebody's hand did not come back.
        self.attempts = dict(self.stored.failed)

    @rule(count=st.integers(3, 12), gap=st.integers(0, 2))
    def produce(self, count: int, gap: int) -> None:
        """Records come; a failed sync may have left offsets out before them."""
        self.log += [None] * gap
        self.log += [record(offset) for offset in range(len(self.log), len(self.log) + count)]

    @rule(size=st.integers(1, 6))
    def read(self, size: int) -> None:
        """One fetch, from where the deliveries want it."""
        offset = self.deliveries.wants(0)
        if offset is None or offset >= len(self.log):
            return
        if offset < self.start:
            self.deliveries.skip_to(0, self.start)
            return
        end = min(offset + size, len(self.log))
        found = [one for one in self.log[offset:end] if one is not None]
        dead = [one.offset for one in self.deliveries.fetched(0, offset, found, end)]
        self.buried += dead
        self.deliveries.buried(0, dead)

    @rule(count=st.integers(1, 4), max_bytes=st.integers(1, 20))
    def take(self, count: int, max_bytes: int) -> None:
        """A consumer takes what it may."""
        self.read(6)
        taken = self.deliveries.take(count, max_bytes, ACK_WAIT, self.now)
        assert len(taken) <= count
        assert len(taken) <= 1 or sum(len(one.record.value or b"") for one in taken) <= max_bytes
        for one in taken:
            offset = one.handler.offset
            assert one.record == self.log[offset]
            assert offset not in self.confirmed
            assert offset not in self.buried
            self.attempts[offset] = self.attempts.get(offset, 0) + 1
            assert one.handler.number == self.attempts[offset] <= LIMITS.max_deliveries
        self.handed += taken

    @precondition(lambda self: bool(self.handed))
    @rule(which=st.integers(0, 100), success=st.booleans())
    def settle(self, which: int, success: bool) -> None:  # noqa: FBT001 - drawn
        """A consumer says what became of something that it was handed, perhaps late, perhaps twice."""
        handler = self.handed[which % len(self.handed)].handler
        done = handler.offset in {*self.confirmed, *self.buried} or handler.offset < self.start
        latest = [one.handler for one in self.handed if one.handler.offset == handler.offset][-1] == handler
        counts = self.deliveries.settle([Verdict(handler, success)], self.now)
        assert sum(counts) == 1
        if counts == (1, 0):
            assert success
            assert self.now < handler.expires
            assert done or (latest and handler not in self.ended)
            self.confirmed.add(handler.offset)
        self.ended.add(handler)

    @precondition(lambda self: bool(self.handed))
    @rule(which=st.integers(0, 100))
    def confirm_and_restart(self, which: int) -> None:
        """Something is confirmed out of order, stored, and the daemon starts anew."""
        self.settle(which, True)  # noqa: FBT003 - a verdict
        self.restart()

    @rule(seconds=st.sampled_from([100, 500, 1000]))
    def wait(self, seconds: int) -> None:
        """Time goes on."""
        self.now += seconds
        self.deliveries.expire(self.now)

    @rule()
    def store(self) -> None:
        """What is confirmed is stored."""
        for position in self.deliveries.take_changed().values():
            self.stored = position

    @rule()
    def restart(self) -> None:
        """The daemon starts anew from what was stored; what was handed out is late, whatever its time."""
        self.store()
        old = [one.handler for one in self.handed]
        self.begin()
        for handler in old:
            done = handler.offset in OffsetRanges(*self.stored[:2])
            assert self.deliveries.settle([Verdict(handler, True)], self.now) == (  # noqa: FBT003 - a verdict
                (1, 0) if done and self.now < handler.expires else (0, 1)
            )

    @precondition(lambda self: self.start < len(self.log) - 20)
    @rule()
    def retain(self) -> None:
        """Retention deletes the beginning."""
        self.start += 8

    @invariant()
    def bounds_are_kept(self) -> None:
        """Never more in the hands of consumers than may be, and what is done with is not offered again."""
        assert self.deliveries.unconfirmed <= LIMITS.max_unconfirmed
        # One fetch of six records may go beyond each bound.
        deliveries = self.deliveries
        for held in (deliveries._ready_bytes, deliveries._again_bytes, deliveries._out_bytes):
            assert 0 <= held <= LIMITS.fetch_ahead_bytes + 6 * 270

    def teardown(self) -> None:
        """In the end, with consumers that work, everything that is still there has been confirmed or put aside."""
        for _ in range(100):
            for _ in range(10):
                self.read(6)
            for one in self.deliveries.take(10, 1000, ACK_WAIT, self.now):
                assert self.deliveries.settle([Verdict(one.handler, True)], self.now) == (1, 0)  # noqa: FBT003
                self.confirmed.add(one.handler.offset)
            self.wait(500)
        self.store()
        there = {offset for offset in range(self.start, len(self.log)) if self.log[offset] is not None}
        assert there <= self.confirmed | set(self.buried)
        assert self.stored == Confirmed(len(self.log))
        assert self.deliveries.unconfirmed == 0


def test_nothing_is_lost_and_nothing_confirmed_comes_again() -> None:
    """Any order of producing, reading, taking, settling, waiting, retention and restarts."""
    run_state_machine_as_test(Consumers, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))  # type: ignore[no-untyped-call]
