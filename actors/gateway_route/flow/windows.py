"""The windows of many callers, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from actors.gateway_route.flow.window import Rate, Window

# How many windows are looked at to find one that may go; those that were exhausted first have room first.
_LOOKS = 8


class Windows:
    """A window for each key, at most `most` of them.

    Where all places are taken, whoever called least recently is forgotten, but nobody whose limit is exhausted before
    that one has room again: to fill the table up buys no calls. Where all are exhausted, those who come new share one
    window until there is a place.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[Hashable, Window] = OrderedDict()
        self._exhausted: OrderedDict[Hashable, tuple[Window, Rate]] = OrderedDict()
        self._rest = Window()

    def __len__(self) -> int:
        return len(self._open) + len(self._exhausted)

    @property
    def exhausted(self) -> int:
        """How many keys have no room, or had none when they last called."""
        return len(self._exhausted)

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._exhausted.clear()
        self._rest = Window()

    def wait(self, key: Hashable, now: float, rate: Rate) -> float:
        """Seconds until a call of this key passes; 0.0 where one passes now."""
        window = self._find(key)
        if window is None:
            window = None if self._have_room(now) else self._rest
        return 0.0 if window is None else window.wait(now, rate)

    def count(self, key: Hashable, now: float, rate: Rate) -> None:
        """Remember a call that passes now; `wait` was just asked."""
        window = self._find(key)
        if window is None:
            if len(self) >= self._most:
                self._rest.count(now, rate)
                return
            window = Window()
        window.count(now, rate)
        if window.wait(now, rate) > 0:
            self._open.pop(key, None)
            self._exhausted[key] = window, rate
            self._exhausted.move_to_end(key)
        else:
            self._exhausted.pop(key, None)
            self._open[key] = window
            self._open.move_to_end(key)

    def remaining(self, key: Hashable, now: float, rate: Rate) -> int:
        """How many calls of this key would pass now."""
        window = self._find(key)
        if window is None:
            window = Window() if self._have_room(now) else self._rest
        return window.remaining(now, rate)

    def _find(self, key: Hashable) -> Window | None:
        window = self._open.get(key)
        if window is None and (held := self._exhausted.get(key)) is not None:
            return held[0]
        return window

    def _have_room(self, now: float) -> bool:
        """Whether there is a place for one more, made by forgetting somebody where need be."""
        self._forget_idle(now)
        if len(self) < self._most:
            return True
        if self._open:
            self._open.popitem(last=False)
            return True
        free = [key for key, (window, rate) in self._first_exhausted() if window.wait(now, rate) <= 0]
        for key in free:
            del self._exhausted[key]
        return bool(free)

    def _forget_idle(self, now: float) -> None:
        """Up to two of each kind for each that comes, so that the table shrinks once its callers have gone."""
        for _ in range(min(2, len(self._open))):
            key, window = next(iter(self._open.items()))
            if not window.idle(now):
                break
            del self._open[key]
        for _ in range(min(2, len(self._exhausted))):
            key, (window, _rate) = next(iter(self._exhausted.items()))
            if not window.idle(now):
                break
            del self._exhausted[key]

    def _first_exhausted(self) -> list[tuple[Hashable, tuple[Window, Rate]]]:
        return [item for item, _ in zip(self._exhausted.items(), range(_LOOKS), strict=False)]
