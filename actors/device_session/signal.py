"""Wakes one waiting task; lighter than an event, because each session has two of them for as long as it lives."""

from __future__ import annotations

import trio


class Signal:
    """A flag with at most one waiter. Setting it twice before the waiter runs wakes it once."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: trio.lowlevel.Task | None = None

    def set(self) -> None:
        """Wake the waiter, or let the next wait return at once."""
        if self._waiter is None:
            self._set = True
            return
        trio.lowlevel.reschedule(self._waiter)
        self._waiter = None

    async def wait(self) -> None:
        """Wait until set since the last wait, and clear it."""
        if self._set:
            self._set = False
            await trio.lowlevel.checkpoint()
            return
        self._waiter = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abandon)

    def _abandon(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED
