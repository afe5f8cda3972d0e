"""The reports of one session that are not yet stored, and with them the acknowledgements that wait."""

from __future__ import annotations

import math
from collections.abc import Sequence

from actors.runtime.reply import Reply


class _Read:
    """What one read of the socket brought: packet ids in order, and the appends they wait for."""

    __slots__ = ("packet_ids", "replies", "since", "size")

    def __init__(self, packet_ids: Sequence[int], replies: Sequence[Reply[int]], size: int, since: float) -> None:
        self.packet_ids = packet_ids
        self.replies = replies
        self.size = size
        self.since = since


class Inflight:
    """Reads in the order in which they came; a read's PUBACKs leave when it and all before it are stored.

    Acknowledgements keep the order of the PUBLISH packets (MQTT-4.6.0-2), whichever partition answers first.
    `size` is in bytes: that of the records not yet stored, and of the reports not yet acknowledged.
    """

    __slots__ = ("_reads", "size")

    def __init__(self) -> None:
        # A list: an empty one weighs a tenth of an empty deque, and few reads stand at a time.
        self._reads: list[_Read] = []
        self.size = 0

    def __len__(self) -> int:
        """How many reads are outstanding."""
        return len(self._reads)

    def add(self, packet_ids: Sequence[int], replies: Sequence[Reply[int]], size: int, now: float) -> None:
        """Note one read: the ids to acknowledge, once all of `replies` are there."""
        self._reads.append(_Read(packet_ids, replies, size, now))
        self.size += size

    def is_ready(self) -> bool:
        """Whether `take` would bring something (or raise) now."""
        return bool(self._reads) and (_is_answered(self._reads[0]) or _failure(self._reads[0]) is not None)

    def oldest(self) -> float:
        """When the oldest outstanding read came; infinity where there is none."""
        return self._reads[0].since if self._reads else math.inf

    def take(self) -> list[int]:
        """The packet ids that may be acknowledged now, in order.

        Raises:
            PenstockError: the oldest read's append failed; nothing from it on may ever be acknowledged.
        """
        packet_ids: list[int] = []
        taken = 0
        for read in self._reads:
            failure = _failure(read)
            if failure is not None:
                if not taken:
                    # One error may answer many sessions: without this, each of them would lengthen its traceback.
                    raise failure.with_traceback(None)
                break
            if not _is_answered(read):
                break
            packet_ids += read.packet_ids
            self.size -= read.size
            taken += 1
        del self._reads[:taken]
        return packet_ids


def _is_answered(read: _Read) -> bool:
    for reply in read.replies:  # noqa: SIM110 - a generator costs more than the look
        if not reply.done:
            return False
    return True


def _failure(read: _Read) -> BaseException | None:
    for reply in read.replies:
        if reply.error is not None:
            return reply.error
    return None
