"""How many calls of a route run at a time, how many may wait for it, and what they waited."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import trio

from actors.errors import PenstockError


class AdmissionFullError(PenstockError):
    """As many calls run and wait as may."""


@dataclass(frozen=True, slots=True)
class AdmissionStatistics:
    """What a route's admission has seen; `waited` is in seconds, those who wait now not counted."""

    running: int
    waiting: int
    capacity: int
    high_water: int
    admitted: int
    refused: int
    waited: float


class Admission:
    """Bounds the calls of one route: at most `capacity` run, at most `queue` more wait, first come, first served.

    `queue` left out is `capacity`; nobody waits longer than `patience` seconds.

    It stands where other stages have a mailbox, and is measured alike; but a call runs in its connection's own task, so
    that what is admitted is a place and not a message.
    """

    __slots__ = (
        "_admitted", "_capacity", "_high_water", "_line", "_patience", "_queue", "_refused", "_running", "_waited",
    )  # fmt: skip

    def __init__(self, capacity: int, queue: int | None = None, patience: float = math.inf) -> None:
        self._capacity = capacity
        self._queue = capacity if queue is None else queue
        self._patience = patience
        self._running = 0
        self._line: deque[trio.Event] = deque()
        self._high_water = 0
        self._admitted = 0
        self._refused = 0
        self._waited = 0.0

    async def enter(self) -> None:
        """Take a place, waiting for one where there is none; whoever entered must `leave`.

        Raises:
            AdmissionFullError: nobody more may even wait, or it waited long enough.
        """
        if self.enter_nowait():
            return
        if len(self._line) >= self._queue:
            self._refused += 1
            raise AdmissionFullError("the route is busy")
        await self._wait()

    def enter_nowait(self) -> bool:
        """Take a place, if there is one; as `enter` does, for those who would rather not make a coroutine for it."""
        running = self._running
        if running >= self._capacity:
            return False
        self._running = running = running + 1
        self._admitted += 1
        if running > self._high_water:  # noqa: PLR1730 - `max` costs as much as all the rest
            self._high_water = running
        return True

    def passed(self) -> None:
        """Count a call that came and went at once: it shared its place with nobody."""
        self._admitted += 1
        self._high_water = self._high_water or 1

    def leave(self) -> None:
        """Give the place up, to whoever waits longest."""
        if self._line:
            self._admitted += 1
            self._line.popleft().set()
        else:
            self._running -= 1

    def statistics(self) -> AdmissionStatistics:
        """What it has seen so far."""
        return AdmissionStatistics(
            running=self._running,
            waiting=len(self._line),
            capacity=self._capacity,
            high_water=self._high_water,
            admitted=self._admitted,
            refused=self._refused,
            waited=self._waited,
        )

    async def _wait(self) -> None:
        place = trio.Event()
        self._line.append(place)
        since = trio.current_time()
        try:
            with trio.move_on_after(self._patience):
                await place.wait()
        except trio.Cancelled:
            if place.is_set():
                self.leave()
            else:
                self._line.remove(place)
            raise
        finally:
            self._waited += trio.current_time() - since
        if not place.is_set():
            self._line.remove(place)
            self._refused += 1
            raise AdmissionFullError("the route was busy for too long")
