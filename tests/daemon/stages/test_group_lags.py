"""What counts as lag for a backlog policy, and what does not."""

from __future__ import annotations

from actors.backlog.lag import GroupLag, PartitionLag
from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import GroupStatistics, MemberStatus, PartitionProgress
from actors.runtime.mailbox import Mailbox
from daemon.stages.group_lags import GroupLags


class Group:
    """A group whose statistics the test sets."""

    def __init__(self, name: str = "g", topic: str = "t") -> None:
        self.reference = GroupReference(name, topic)
        self.members: tuple[MemberStatus, ...] = ()
        self.partitions: tuple[PartitionProgress, ...] = ()
        self.reference.attach(Mailbox(name, 1), self._statistics)

    def _statistics(self) -> GroupStatistics:
        return GroupStatistics(self.reference.name, self.reference.topic, 1, self.members, self.partitions)


def progress(
    committed: int | None, high: int, *, size: int | None = None, age: float | None = None
) -> PartitionProgress:
    return PartitionProgress(0, committed, high, high - (committed or 0), "", size, age)


def test_a_group_that_has_begun_lags_whether_anybody_reads_or_not() -> None:
    """A stopped task's backlog is the one that matters most; groups of other topics do not count."""
    group, other = Group(), Group("o", "elsewhere")
    group.partitions = other.partitions = (progress(40, 100, size=600, age=5.0),)
    lags = GroupLags([group.reference, other.reference], lambda _: True)
    assert lags.of("t") == [GroupLag("g", {0: PartitionLag(40, 60, 600, 5.0)})]


def test_a_group_that_never_began_and_has_no_member_waits_for_nothing() -> None:
    """A task that was never started throttles nobody."""
    group = Group()
    group.partitions = (progress(None, 100),)
    assert GroupLags([group.reference], lambda _: False).of("t") == []


def test_a_first_member_has_everything_before_it_or_nothing() -> None:
    """Until it has committed: from the earliest what is there counts, from the latest only what comes from now on."""
    group = Group()
    group.members, group.partitions = (MemberStatus("m"),), (progress(None, 100, size=1000, age=9.0),)
    earliest, latest = GroupLags([group.reference], lambda _: False), GroupLags([group.reference], lambda _: True)
    assert earliest.of("t") == [GroupLag("g", {0: PartitionLag(0, 100, 1000, 9.0)})]
    assert latest.of("t") == [GroupLag("g", {0: PartitionLag(100, 0)})]
    group.partitions = (progress(None, 130),)
    assert latest.of("t") == [GroupLag("g", {0: PartitionLag(100, 30)})]
    group.partitions = (progress(110, 130),)
    assert latest.of("t") == [GroupLag("g", {0: PartitionLag(110, 20)})]
