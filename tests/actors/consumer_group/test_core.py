"""The group's decisions, without I/O."""

from actors.consumer_group.core import GroupCore
from actors.consumer_group.messages import Watermarks


def test_a_partition_moves_only_after_its_holder_let_go() -> None:
    """Revoke -> released -> assigned: the newcomer waits until the holder's next Join."""
    core = GroupCore(4, {})
    core.join("a", frozenset())
    assert core.assignment("a").partitions == {0, 1, 2, 3}
    core.join("b", frozenset())
    assert core.assignment("b") is None
    kept = core.assignment("a").partitions
    assert kept == {0, 1}
    assert core.assignment("b") is None
    core.join("a", kept)
    assert core.assignment("b").partitions == {2, 3}


def test_who_leaves_frees_its_partitions() -> None:
    """A member that ends leaves its partitions to the others at once."""
    core = GroupCore(2, {})
    for member in ("a", "b"):
        core.join(member, frozenset())
    assert core.assignment("a").partitions == {0}
    assert core.assignment("b").partitions == {1}
    core.leave("a")
    core.leave("a")
    assert core.assignment("b").partitions == {0, 1}
    assert core.members == ("b",)


def test_a_member_that_dropped_a_partition_gets_it_again() -> None:
    """A member that says it lost a partition (fenced) is assigned it anew when it is still its own."""
    core = GroupCore(2, {})
    core.join("a", frozenset())
    core.assignment("a")
    core.join("a", frozenset({0}))
    assert core.assignment("a").partitions == {0, 1}


def test_more_members_than_partitions_leaves_some_idle() -> None:
    """Nobody shares a partition; the last comers wait with nothing."""
    core = GroupCore(1, {})
    for member in "abc":
        core.join(member, frozenset())
    assert [core.assignment(member) is not None for member in "abc"] == [True, False, False]
    core.leave("a")
    assert core.assignment("b").partitions == {0}


def test_owned_partitions_survive_the_group() -> None:
    """A member that joins a restarted group with partitions in hand keeps them."""
    core = GroupCore(4, {})
    core.join("b", frozenset({2, 3}))
    core.join("a", frozenset({0, 1}))
    assert core.assignment("b") is None
    assert core.assignment("a") is None


def test_commits_of_a_zombie_are_left_out_and_counted() -> None:
    """Only the holder of a partition moves its offset."""
    core = GroupCore(2, {})
    core.join("a", frozenset())
    core.assignment("a")
    core.commit("a", {0: 10})
    core.commit("zombie", {0: 99})
    core.commit("a", {7: 1})
    assert core.committed == {0: 10}
    assert core.refused_commits == 2


def test_a_member_may_commit_what_it_is_about_to_let_go() -> None:
    """Between revocation and release the partition is still its holder's, who commits a last time."""
    core = GroupCore(2, {})
    core.join("a", frozenset())
    core.assignment("a")
    core.join("b", frozenset())
    core.assignment("a")
    core.commit("a", {0: 5, 1: 7})
    assert core.committed == {0: 5, 1: 7}


def test_lag_counts_what_can_be_read_and_is_not_committed() -> None:
    """Lag is up to the high watermark, from the commit or, where that was deleted or is missing, from the start."""
    core = GroupCore(4, {0: 10, 1: 3})
    marks = [Watermarks(0, 15), Watermarks(5, 15), Watermarks(2, 15), Watermarks(0, 0)]
    progress = list(core.progress(marks))
    assert [one.lag for one in progress] == [5, 10, 13, 0]
    assert [one.committed for one in progress] == [10, 3, None, None]
    assert [one.member for one in progress] == ["", "", "", ""]


def test_a_commit_beyond_the_end_is_no_negative_lag() -> None:
    """A topic whose tail was lost shows lag 0, not less."""
    core = GroupCore(1, {0: 10})
    assert next(core.progress([Watermarks(0, 4)])).lag == 0


def test_only_changes_are_stored_and_none_is_forgotten() -> None:
    """What could not be stored comes again, at its newest value; what did not change does not."""
    core = GroupCore(2, {0: 5})
    core.join("a", frozenset())
    core.assignment("a")
    core.commit("a", {0: 5, 1: 1})
    changed = core.take_changed()
    assert changed == {1: 1}
    core.commit("a", {1: 2})
    core.take_changed()
    core.put_back(changed)
    assert core.take_changed() == {1: 2}
    assert core.take_changed() == {}


def test_partitions_added_later_are_marked_as_appeared() -> None:
    """A partition that came after the group began is read from its beginning, until something was committed there."""
    core = GroupCore(1, {0: 10})
    core.join("a", frozenset())
    assert core.assignment("a").appeared == frozenset()
    core.resize(2)
    assert core.assignment("a").appeared == {1}
    core.commit("a", {1: 0})
    core.join("a", frozenset())
    assert core.assignment("a").appeared == frozenset()


def test_a_restarted_group_knows_which_partitions_are_new() -> None:
    """Stored offsets tell a group that has begun from one that is new."""
    begun = GroupCore(2, {0: 10})
    begun.join("a", frozenset())
    assert begun.assignment("a").appeared == {1}
    new = GroupCore(2, {})
    new.join("a", frozenset())
    assert new.assignment("a").appeared == frozenset()
