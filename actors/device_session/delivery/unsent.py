"""The sizes of what waits in a queue on disk and was never sent: what the queue's limits are about."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_MAX_SIZE = 0xFFFF_FFFF


class Unsent:
    """Sizes in bytes by sequence, from `first` on; four bytes for each, because many sessions may have long queues."""

    __slots__ = ("_sizes", "bytes", "count", "first")

    def __init__(self) -> None:
        self.first = 1
        """Everything before this sequence was sent, or dropped."""
        self.count = 0
        self.bytes = 0
        # 0 for a sequence that does not wait (any more).
        self._sizes = array("I")

    @classmethod
    def of(cls, waiting: Iterable[tuple[int, int]], last: int) -> Unsent:
        """From (sequence, size) in order; `last` is the highest sequence that was given out."""
        unsent = cls()
        for sequence, size in waiting:
            if not unsent.count:
                unsent.first = sequence
            unsent.append(sequence, size)
        if not unsent.count:
            unsent.first = last + 1
        else:
            unsent._sizes.extend([0] * (last - unsent.first - len(unsent._sizes) + 1))
        return unsent

    def __contains__(self, sequence: int) -> bool:
        """Whether that one waits."""
        return 0 <= sequence - self.first < len(self._sizes) and self._sizes[sequence - self.first] > 0

    def append(self, sequence: int, size: int) -> None:
        """One more; sequences in between are not used."""
        unused = sequence - self.first - len(self._sizes)
        if unused:
            self._sizes.extend([0] * unused)
        self._sizes.append(min(size, _MAX_SIZE))
        self.count += 1
        self.bytes += size

    def remove(self, sequence: int) -> None:
        """That one does not wait any more; not to have waited is no error."""
        if sequence in self:
            self.bytes -= self._sizes[sequence - self.first]
            self.count -= 1
            self._sizes[sequence - self.first] = 0

    def pass_by(self, sequence: int) -> None:
        """Everything up to that sequence was sent, or is given up."""
        passed = sequence - self.first + 1
        if passed <= 0:
            return
        for size in self._sizes[:passed]:
            self.bytes -= size
            self.count -= size > 0
        del self._sizes[:passed]
        self.first = sequence + 1

    def pop_oldest(self) -> int:
        """Take the oldest out; returns its sequence. To be called only while something waits."""
        place = 0
        while not self._sizes[place]:
            place += 1
        sequence = self.first + place
        self.pass_by(sequence)
        return sequence
