"""Whose turn it is at the connections of a pool: so many at a time, none of them all the time, and a line that ends."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from itertools import count

import trio

from plugins.api import ConnectionBusyError

SYSTEM = ""
"""Who works for the daemon itself (tasks' writes, tests): bounded by its own number, and so never refused."""


class _Waiting:
    __slots__ = ("event", "granted", "number", "who")

    def __init__(self, who: Hashable, number: int) -> None:
        self.who = who
        self.number = number
        self.event = trio.Event()
        self.granted = False


class Turns:
    """Lets at most `places` work at a time, and at most `line` more wait.

    The last free place goes only to one who holds none: so a statement that is slow, however often it is called, leaves
    a place to each other one. A place that becomes free goes to whoever holds the fewest, and of those to the one who
    waits longest. With one place only, all take turns one by one.
    """

    def __init__(self, places: int, line: int, where: str) -> None:
        self._places = places
        self._free = places
        self._line_length = line
        self._where = where
        self._held: dict[Hashable, int] = {}
        # Whoever is the same waits in a row of its own, so that who is next is found among rows, however long they are.
        self._rows: dict[Hashable, deque[_Waiting]] = {}
        self._waiting = 0
        self._numbers = count()
        self._vacant = trio.lowlevel.ParkingLot()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return self._waiting

    @asynccontextmanager
    async def turn(self, who: Hashable = SYSTEM) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            ConnectionBusyError: as many as may stand in line already.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._waiting and self._may_take(who):
            self._take(who)
        else:
            await self._wait(who)
        try:
            yield
        finally:
            self._give_back(who)

    def _may_take(self, who: Hashable) -> bool:
        return self._free > 1 or (self._free == 1 and who not in self._held)

    def _take(self, who: Hashable) -> None:
        self._free -= 1
        self._held[who] = self._held.get(who, 0) + 1

    def _give_back(self, who: Hashable) -> None:
        self._free += 1
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        self._call_next()
        if self._free == self._places:
            self._vacant.unpark_all()

    async def vacate(self) -> None:
        """Return once nobody holds a place; those who still wait for one get theirs first."""
        while self._free < self._places:
            await self._vacant.park()

    async def _wait(self, who: Hashable) -> None:
        if who != SYSTEM and self._waiting >= self._line_length:
            raise ConnectionBusyError(
                f"{self._where} is busy: {self._waiting} queries wait for one of its connections already; retry, or "
                "raise its pool"
            )
        place = _Waiting(who, next(self._numbers))
        self._rows.setdefault(who, deque()).append(place)
        self._waiting += 1
        # It may be his turn at once: those in line may be waiting for what he does not need.
        self._call_next()
        try:
            await place.event.wait()
        except trio.Cancelled:
            if place.granted:
                self._give_back(who)
            else:
                self._leave(place)
            raise

    def _call_next(self) -> None:
        while self._free and (place := self._next()) is not None:
            self._leave(place)
            self._take(place.who)
            place.granted = True
            place.event.set()

    def _next(self) -> _Waiting | None:
        able = [row[0] for who, row in self._rows.items() if self._may_take(who)]
        return min(able, key=lambda place: (self._held.get(place.who, 0), place.number), default=None)

    def _leave(self, place: _Waiting) -> None:
        row = self._rows[place.who]
        row.remove(place)
        self._waiting -= 1
        if not row:
            del self._rows[place.who]
