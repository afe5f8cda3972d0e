"""The reports of one session that are not yet stored, and with them the answers that wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from actors.runtime.reply import Reply


class _Read:
    """What one read of the socket brought: answers in order, and what they wait for."""

    __slots__ = ("answers", "replies", "since", "size")

    def __init__(self, answers: Sequence[int], replies: Sequence[Reply[Any]], size: int, since: float) -> None:
        self.answers = answers
        self.replies = replies
        self.size = size
        self.since = since


class Inflight:
    """Reads in the order in which they came; a read's answers leave when it and all before it are stored.

    Answers are words of `answers` and keep the order of the packets they answer [MQTT-4.6.0-2, MQTT-4.6.0-3], whichever
    partition answers first. `size` is in bytes: that of records not yet stored, and of reports not yet answered.
    """

    __slots__ = ("_reads", "size")

    def __init__(self) -> None:
        # A list: an empty one weighs a tenth of an empty deque, and few reads stand at a time.
        self._reads: list[_Read] = []
        self.size = 0

    def __len__(self) -> int:
        """How many reads are outstanding."""
        return len(self._reads)

    def add(self, answers: Sequence[int], replies: Sequence[Reply[Any]], size: int, now: float) -> None:
        """Note one read: what to answer, once all of `replies` are there."""
        self._reads.append(_Read(answers, replies, size, now))
        self.size += size

    def is_ready(self) -> bool:
        """Whether `take` would bring something (or raise) now."""
        return bool(self._reads) and (_is_answered(self._reads[0]) or _failure(self._reads[0]) is not None)

    def oldest(self) -> float:
        """When the oldest outstanding read came; infinity where there is none."""
        return self._reads[0].since if self._reads else math.inf

    def take(self) -> list[int]:
        """What may be answered now, in order.

        Raises:
            PenstockError: what the oldest read waits for failed; nothing from it on may ever be acknowledged.
        """
        answers: list[int] = []
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
            answers += read.answers
            self.size -= read.size
            taken += 1
        del self._reads[:taken]
        return answers


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
