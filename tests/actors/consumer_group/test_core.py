"""The group's decisions, without I/O."""

from collections.abc import Mapping

import pytest

from actors.consumer_group.core import GroupCore
from actors.consumer_group.messages import PartitionProgress, Watermarks
from actors.errors import GroupBusyError, MemberFencedError
from actors.records import Confirmed

NOW = 1000.0


def core_of(partitions: int, offsets: Mapping[int, int], generation: int = 0) -> GroupCore:
    positions = {partition: Confirmed(offset) for partition, offset in offsets.items()}
    return GroupCore(partitions, positions, now=NOW, generation=generation)


def committed(core: GroupCore) -> dict[int, int]:
    return {partition: position.offset for partition, position in core.positions.of(frozenset(range(10))).items()}


def progress(core: GroupCore, marks: list[Watermarks]) -> list[PartitionProgress]:
    return list(core.positions.progress(marks, core.readers, NOW, NOW * 1000))


def test_a_partition_moves_only_after_its_holder_let_go() -> None:
    """Revoke -> released -> assigned: the newcomer waits until the holder's next Join."""
    core = core_of(4, {})
    core.join("a", frozenset(), NOW)
    assert core.assignment("a", NOW).partitions == {0, 1, 2, 3}
    core.join("b", frozenset(), NOW)
    assert core.assignment("b", NOW) is None
    kept = core.assignment("a", NOW).partitions
    assert kept == {0, 1}
    assert core.assignment("b", NOW) is None
    core.join("a", kept, NOW)
    assert core.assignment("b", NOW).partitions == {2, 3}


def test_who_leaves_frees_its_partitions() -> None:
    """A member that ends leaves its partitions to the others at once."""
    core = core_of(2, {})
    for member in ("a", "b"):
        core.join(member, frozenset(), NOW)
    assert core.assignment("a", NOW).partitions == {0}
    assert core.assignment("b", NOW).partitions == {1}
    core.leave("a", NOW)
    core.leave("a", NOW)
    assert core.assignment("b", NOW).partitions == {0, 1}
    assert core.members == ("b",)


def test_a_member_that_dropped_a_partition_gets_it_again() -> None:
    """A member that says it lost a partition (fenced) is assigned it anew when it is still its own."""
    core = core_of(2, {})
    core.join("a", frozenset(), NOW)
    core.assignment("a", NOW)
    core.join("a", frozenset({0}), NOW)
    assert core.assignment("a", NOW).partitions == {0, 1}


def test_more_members_than_partitions_leaves_some_idle() -> None:
    """Nobody shares a partition; the last comers wait with nothing."""
    core = core_of(1, {})
    for member in "abc":
        core.join(member, frozenset(), NOW)
    assert [core.assignment(member, NOW) is not None for member in "abc"] == [True, False, False]
    core.leave("a", NOW)
    assert core.assignment("b", NOW).partitions == {0}


def test_owned_partitions_survive_the_group() -> None:
    """A member that joins a restarted group with partitions in hand keeps them."""
    core = core_of(4, {})
    core.join("b", frozenset({2, 3}), NOW)
    core.join("a", frozenset({0, 1}), NOW)
    assert core.assignment("b", NOW) is None
    assert core.assignment("a", NOW) is None


def test_commits_of_a_zombie_are_left_out_and_counted() -> None:
    """Only the holder of a partition moves its offset."""
    core = core_of(2, {})
    core.join("a", frozenset(), NOW)
    core.assignment("a", NOW)
    core.commit("a", 99, {0: 10}, NOW)
    core.commit("zombie", 99, {0: 99}, NOW)
    core.commit("a", 99, {7: 1}, NOW)
    assert committed(core) == {0: 10}
    assert core.refused_commits == 2


def test_a_member_may_commit_what_it_is_about_to_let_go() -> None:
    """Between revocation and release the partition is still its holder's, who commits a last time."""
    core = core_of(2, {})
    core.join("a", frozenset(), NOW)
    core.assignment("a", NOW)
    core.join("b", frozenset(), NOW)
    core.assignment("a", NOW)
    core.commit("a", 99, {0: 5, 1: 7}, NOW)
    assert committed(core) == {0: 5, 1: 7}


def test_lag_counts_what_can_be_read_and_is_not_committed() -> None:
    """Lag is up to the high watermark, from the commit or, where that was deleted or is missing, from the start."""
    core = core_of(4, {0: 10, 1: 3})
    marks = [Watermarks(0, 15), Watermarks(5, 15), Watermarks(2, 15), Watermarks(0, 0)]
    found = progress(core, marks)
    assert [one.lag for one in found] == [5, 10, 13, 0]
    assert [one.committed for one in found] == [10, 3, None, None]
    assert [one.member for one in found] == ["", "", "", ""]


def test_a_commit_beyond_the_end_is_no_negative_lag() -> None:
    """A topic whose tail was lost shows lag 0, not less."""
    core = core_of(1, {0: 10})
    assert progress(core, [Watermarks(0, 4)])[0].lag == 0


def test_only_changes_are_stored_and_none_is_forgotten() -> None:
    """What could not be stored comes again, at its newest value; what did not change does not."""
    core = core_of(2, {0: 5})
    core.join("a", frozenset(), NOW)
    core.assignment("a", NOW)
    core.commit("a", 99, {0: 5, 1: 1}, NOW)
    changed = core.positions.take_changed()
    assert changed == {1: Confirmed(1)}
    core.commit("a", 99, {1: 2}, NOW)
    core.positions.take_changed()
    core.positions.put_back(changed)
    assert core.positions.take_changed() == {1: Confirmed(2)}
    assert core.positions.take_changed() == {}


def test_partitions_added_later_are_marked_as_appeared() -> None:
    """A partition that came after the group began is read from its beginning, until something was committed there."""
    core = core_of(1, {0: 10})
    core.join("a", frozenset(), NOW)
    assert core.assignment("a", NOW).appeared == frozenset()
    core.resize(2, NOW)
    assert core.assignment("a", NOW).appeared == {1}
    core.commit("a", 99, {1: 0}, NOW)
    core.join("a", frozenset(), NOW)
    assert core.assignment("a", NOW).appeared == frozenset()


def test_a_restarted_group_knows_which_partitions_are_new() -> None:
    """Stored offsets tell a group that has begun from one that is new."""
    begun = core_of(2, {0: 10})
    begun.join("a", frozenset(), NOW)
    assert begun.assignment("a", NOW).appeared == {1}
    new = core_of(2, {})
    new.join("a", frozenset(), NOW)
    assert new.assignment("a", NOW).appeared == frozenset()


def test_a_member_of_an_earlier_life_goes_on_one_of_this_life_is_fenced() -> None:
    """What was owned before the group's restart is kept; what this life gave away, or took away, is nobody's claim."""
    core = core_of(4, {}, generation=5)
    core.join("a", frozenset({0, 1}), NOW, generation=5)
    core.join("b", frozenset({2, 3}), NOW, generation=4)
    assert core.assignment("a", NOW) is None
    core.commit("a", 5, {0: 10}, NOW)
    assert committed(core) == {0: 10}
    core.leave("a", NOW)
    with pytest.raises(MemberFencedError):
        core.join("a", frozenset({0}), NOW, generation=6)
    with pytest.raises(MemberFencedError):
        core.join("c", frozenset({2}), NOW, generation=5)
    with pytest.raises(MemberFencedError):
        core.join("b", frozenset({0, 2, 3}), NOW, generation=4)
    assert core.members == ("b",)


def test_commits_of_an_earlier_membership_are_fenced() -> None:
    """The same name, thrown out and back again: what it said of its time before is not taken."""
    core = core_of(1, {})
    core.join("a", frozenset(), NOW)
    before = core.assignment("a", NOW)
    assert core.expire(NOW + 1) == []
    for second in range(2, 32):
        core.expire(NOW + second)
    assert core.members == ()
    core.join("a", frozenset(), NOW + 32)
    after = core.assignment("a", NOW + 32)
    core.commit("a", before.generation, {0: 99}, NOW + 32)
    assert committed(core) == {}
    with pytest.raises(MemberFencedError):
        core.confirm("a", before.generation, {0: Confirmed(99)}, NOW + 32)
    assert core.refused_commits == 2
    core.commit("a", after.generation, {0: 7}, NOW + 32)
    assert committed(core) == {0: 7}


def test_time_in_which_nobody_looked_counts_against_nobody() -> None:
    """After the machine slept for an hour its members are still there, and are thrown out if they stay silent."""
    core = core_of(1, {})
    core.join("a", frozenset(), NOW)
    core.expire(NOW + 1)
    assert core.expire(NOW + 3600) == []
    for second in range(1, 15):
        assert core.expire(NOW + 3600 + second) == []
    thrown = [name for second in range(15, 40) for name in core.expire(NOW + 3600 + second)]
    assert thrown == ["a"]


def test_confirmed_ranges_are_no_lag() -> None:
    """What is done above the position does not wait; what retention took from below it neither."""
    core = GroupCore(1, {0: Confirmed(10, ((12, 14), (20, 30)))}, now=NOW)
    (found,) = progress(core, [Watermarks(0, 25)])
    assert (found.lag, found.confirmed_above) == (25 - 10 - 2 - 5, 7)
    (found,) = progress(core, [Watermarks(13, 25)])
    assert (found.lag, found.confirmed_above) == (25 - 13 - 1 - 5, 6)


def test_what_comes_back_is_kept_and_no_progress() -> None:
    """A member whose messages all fail gets nowhere, and that they failed is stored all the same."""
    core = core_of(1, {0: 10})
    core.join("a", frozenset(), NOW)
    core.assignment("a", NOW)
    core.confirm("a", 1, {0: Confirmed(10, (), ((10, 1),))}, NOW + 5)
    assert core.positions.take_changed() == {0: Confirmed(10, (), ((10, 1),))}
    (status,) = core.member_statuses(NOW + 5)
    assert (status.last_seen_seconds, status.last_progress_seconds) == (0, 5)
    core.confirm("a", 1, {0: Confirmed(10, ((11, 12),), ((10, 1),))}, NOW + 6)
    (status,) = core.member_statuses(NOW + 6)
    assert status.last_progress_seconds == 0


def test_a_reset_is_no_consumption() -> None:
    """Setting positions moves no rate, empties the ranges, and is stored."""
    core = core_of(1, {0: 10})
    core.hold(NOW, 60, force=False)
    core.release({0: 1_000_000})
    (found,) = progress(core, [Watermarks(0, 2_000_000)])
    assert (found.lag, found.consume_rate) == (1_000_000, 0.0)
    assert core.positions.take_changed() == {0: Confirmed(1_000_000)}


def test_members_are_named_where_a_hold_is_refused() -> None:
    """Whoever may not set positions now is told because of whom; nobody is thrown out."""
    core = core_of(1, {})
    core.join("runner-0", frozenset(), NOW)
    with pytest.raises(GroupBusyError, match="runner-0"):
        core.hold(NOW, 60, force=False)
    assert core.members == ("runner-0",)
    assert core.assignment("runner-0", NOW) is not None
