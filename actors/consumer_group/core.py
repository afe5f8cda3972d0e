"""The decisions of a consumer group: members, hand-over of partitions, committed offsets, lag. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from actors.consumer_group.assign import Assignments, assign
from actors.consumer_group.messages import Assignment, PartitionProgress, Watermarks


class GroupCore:
    """State of one group over the partitions 0..n-1 of its topic.

    `target` is where each partition shall be; a member's holding is what it owns as far as the group knows. A partition
    that is to move is first left out of its holder's assignment, and is assigned anew only once the holder has said
    that it let go (or has left): in the normal flow no partition ever has two readers.
    """

    def __init__(self, partitions: int, committed: Mapping[int, int]) -> None:
        self.partitions = partitions
        self.generation = 0
        self.refused_commits = 0
        self._committed = dict(committed)
        # A group that has begun has a position for each partition it knew; the others came later.
        self._appeared = set(range(partitions)).difference(committed) if committed else set()
        self._changed: set[int] = set()
        self._target: Assignments = {}
        self._held: dict[str, frozenset[int]] = {}

    @property
    def members(self) -> tuple[str, ...]:
        """Members in the order in which they joined."""
        return tuple(self._held)

    @property
    def committed(self) -> Mapping[int, int]:
        """The next offset to read, for each partition that has one."""
        return self._committed

    def join(self, member: str, owned: frozenset[int]) -> None:
        """A new member, or one that says what it owns now; partitions beyond the topic's are not its to own."""
        known = member in self._held
        self._held[member] = frozenset(partition for partition in owned if partition < self.partitions)
        if known:
            return
        # A member that joins with partitions reads them already: it knew an earlier life of this group.
        elsewhere = self._held_by_others(member)
        self._target |= dict.fromkeys(self._held[member] - elsewhere, member)
        self._rebalance()

    def leave(self, member: str) -> None:
        """A member is gone; unknown ones are no error."""
        if self._held.pop(member, None) is not None:
            self._rebalance()

    def resize(self, partitions: int) -> None:
        """The topic has so many partitions now; they are never lowered."""
        if partitions > self.partitions:
            self._appeared.update(range(self.partitions, partitions))
            self.partitions = partitions
            self._rebalance()

    def assignment(self, member: str) -> Assignment | None:
        """What the member is to read where that differs from what it holds; what is handed out counts as held."""
        held = self._held[member]
        target = frozenset(partition for partition, owner in self._target.items() if owner == member)
        allowed = target - self._held_by_others(member)
        if allowed == held:
            return None
        # What is to be given up stays the member's until it says otherwise.
        self._held[member] = held | allowed
        return Assignment(self.generation, allowed, allowed & self._appeared)

    def commit(self, member: str, offsets: Mapping[int, int]) -> None:
        """Take the positions of the partitions that the member holds; a zombie's are counted and left out."""
        held = self._held.get(member, frozenset())
        for partition, offset in offsets.items():
            if partition not in held:
                self.refused_commits += 1
            elif self._committed.get(partition) != offset:
                self._committed[partition] = offset
                self._appeared.discard(partition)
                self._changed.add(partition)

    def take_changed(self) -> dict[int, int]:
        """The positions that changed since the last call, to be stored."""
        changed = {partition: self._committed[partition] for partition in self._changed}
        self._changed.clear()
        return changed

    def put_back(self, partitions: Mapping[int, int]) -> None:
        """These could not be stored: they count as changed again, at their present value."""
        self._changed.update(partitions)

    def progress(self, watermarks: Sequence[Watermarks]) -> Iterator[PartitionProgress]:
        """How far the group has come, for each partition whose watermarks are given."""
        readers = {partition: member for member, held in self._held.items() for partition in held}
        for partition, marks in enumerate(watermarks):
            committed = self._committed.get(partition)
            # What retention has deleted waits no longer.
            begin = marks.start if committed is None else max(committed, marks.start)
            lag = max(0, marks.high - begin)
            yield PartitionProgress(partition, committed, marks.high, lag, readers.get(partition, ""))

    def _held_by_others(self, member: str) -> frozenset[int]:
        return frozenset[int]().union(*(held for other, held in self._held.items() if other != member))

    def _rebalance(self) -> None:
        self.generation += 1
        self._target = assign(self.partitions, self.members, self._target)
