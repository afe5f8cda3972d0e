"""Laws of partition assignment, and of the cooperative hand-over, under any order of events."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from actors.consumer_group.assign import assign
from actors.consumer_group.core import GroupCore
from actors.records import Confirmed

MEMBERS = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)
PREVIOUS = st.dictionaries(st.integers(0, 20), st.sampled_from("abcdefgh"), max_size=21)


@given(st.integers(0, 50), MEMBERS, PREVIOUS)
def test_every_partition_is_assigned_once_and_evenly(
    partitions: int, members: list[str], previous: dict[int, str]
) -> None:
    """Each partition has exactly one member, of those that are there, and no two members differ by more than one."""
    result = assign(partitions, members, previous)
    assert sorted(result) == (list(range(partitions)) if members else [])
    assert set(result.values()) <= set(members)
    shares = [list(result.values()).count(member) for member in members]
    assert not shares or max(shares) - min(shares) <= 1


@given(st.integers(0, 50), MEMBERS, PREVIOUS)
def test_assignment_is_stable(partitions: int, members: list[str], previous: dict[int, str]) -> None:
    """Where nothing changed nothing moves."""
    once = assign(partitions, members, previous)
    assert assign(partitions, members, once) == once


@given(st.integers(0, 5), st.lists(st.sampled_from("abc"), unique=True, min_size=1), PREVIOUS)
def test_moves_are_the_fewest(partitions: int, members: list[str], previous: dict[int, str]) -> None:
    """No even assignment keeps more partitions where they were (compared with all there are)."""

    def kept(assignment: dict[int, str]) -> int:
        return sum(previous.get(partition) == member for partition, member in assignment.items())

    def even(owners: tuple[str, ...]) -> bool:
        shares = [owners.count(member) for member in members]
        return max(shares) - min(shares) <= 1

    every = (owners for owners in product(members, repeat=partitions) if even(owners))
    best = max(kept(dict(enumerate(owners))) for owners in every)
    assert kept(assign(partitions, members, previous)) == best


@given(st.integers(0, 50), st.lists(st.sampled_from("abcdef"), unique=True, min_size=2), st.data())
def test_who_leaves_or_joins_moves_nothing_else(partitions: int, members: list[str], data: st.DataObject) -> None:
    """A departure moves what was the leaver's, a newcomer gets its share, and nothing moves between the others."""
    gone = data.draw(st.sampled_from(members))
    others = [member for member in members if member != gone]
    before = assign(partitions, members, {})
    after = assign(partitions, others, before)
    assert all(after[partition] == owner for partition, owner in before.items() if owner != gone)
    again = assign(partitions, [*others, gone], after)
    moved = [partition for partition in range(partitions) if again[partition] != after[partition]]
    assert {again[partition] for partition in moved} <= {gone}
    assert len(moved) == partitions // len(members)


class CooperativeGroup(RuleBasedStateMachine):
    """Members that join, let go, leave, fall silent and wake up in any order; what they truly read is modelled.

    A member that is thrown out reads on until it hears of it (its sink, or the generation, guards against that); what
    it commits meanwhile must not be taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.core = GroupCore(5, {}, now=0.0)
        self.now = 0.0
        self.generations = {}  # member -> generation of its last assignment
        self.zombies = {}  # member -> generation with which it was thrown out
        self.reads = {}  # member -> partitions it truly reads
        self.letting_go = {}  # member -> partitions it has been told to let go, and still reads
        self.waiting = set()  # members with an open Join

    def answer(self) -> None:
        for member in sorted(self.waiting):
            assignment = self.core.assignment(member, self.now)
            if assignment is not None:
                self.waiting.discard(member)
                self.generations[member] = assignment.generation
                # A member reads what is new at once, and lets go of the rest in its own time.
                self.reads[member] |= assignment.partitions
                self.letting_go[member] = self.reads[member] - assignment.partitions

    @rule(member=st.sampled_from("abcd"))
    def join(self, member: str) -> None:
        if member not in self.reads:
            self.reads[member] = frozenset()
            self.letting_go[member] = frozenset()
            self.core.join(member, frozenset(), self.now)
            self.generations[member] = 0
            self.waiting.add(member)
            self.answer()

    @precondition(lambda self: set(self.reads) - self.waiting)
    @rule(data=st.data())
    def let_go_and_join_again(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(sorted(set(self.reads) - self.waiting)))
        self.reads[member] -= self.letting_go[member]
        self.core.join(member, self.reads[member], self.now, generation=self.generations[member])
        self.waiting.add(member)
        self.answer()

    @precondition(lambda self: self.reads)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(sorted(self.reads)))
        del self.reads[member]
        self.waiting.discard(member)
        self.core.leave(member, self.now)
        self.answer()

    @precondition(lambda self: self.reads)
    @rule(data=st.data())
    def fall_silent(self, data: st.DataObject) -> None:
        """One says nothing for longer than the session time-out; the others show signs of life."""
        silent = data.draw(st.sampled_from(sorted(self.reads)))
        for _ in range(8):
            self.now += 5
            for member in set(self.reads) - {silent}:
                self.core.heard(member, self.now, idle=False)
            if silent in self.core.expire(self.now):
                break
        assert silent not in self.core.members
        self.zombies[silent] = self.generations[silent]
        del self.reads[silent]
        self.waiting.discard(silent)
        self.answer()

    @precondition(lambda self: self.zombies)
    @rule(data=st.data(), offset=st.integers(1, 1000))
    def zombie_commits(self, data: st.DataObject, offset: int) -> None:
        zombie = data.draw(st.sampled_from(sorted(self.zombies)))
        everything = frozenset(range(self.core.partitions))
        before = self.core.positions.of(everything)
        self.core.commit(zombie, self.zombies[zombie], dict.fromkeys(everything, offset), self.now)
        assert self.core.positions.of(everything) == before

    @precondition(lambda self: any(self.reads.values()))
    @rule(data=st.data(), offset=st.integers(1, 1000))
    def reader_commits(self, data: st.DataObject, offset: int) -> None:
        member = data.draw(st.sampled_from(sorted(member for member, reads in self.reads.items() if reads)))
        partition = data.draw(st.sampled_from(sorted(self.reads[member])))
        self.core.commit(member, self.generations[member], {partition: offset}, self.now)
        assert self.core.positions.get(partition) == Confirmed(offset)

    @rule(partitions=st.integers(5, 8))
    def grow(self, partitions: int) -> None:
        self.core.resize(partitions, self.now)
        self.answer()

    @invariant()
    def no_partition_has_two_readers(self) -> None:
        """Revoke, let go, assign: in this order, whatever happens in between."""
        read = [partition for partitions in self.reads.values() for partition in partitions]
        assert len(read) == len(set(read))

    @invariant()
    def when_all_wait_everything_is_read(self) -> None:
        """Once every member has said what it reads and none is to change, every partition has its reader."""
        if self.reads and self.waiting == set(self.reads):
            assert sorted(p for ps in self.reads.values() for p in ps) == list(range(self.core.partitions))


def test_hand_over_is_cooperative() -> None:
    """No partition ever has two members, in the end none is left without, and no zombie commits."""
    run_state_machine_as_test(CooperativeGroup)
