"""Answers that are kept for a while: bounded in bytes and in number, the ones asked for least recently go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Literal, NamedTuple

from actors.wire.http.messages import Response

# What an answer costs beside its text: its objects, and its places in two tables.
_ENTRY_BYTES = 600

Freshness = Literal["fresh", "stale"]


class Found(NamedTuple):
    """An answer that is kept, for how many seconds by now, and whether its time is over."""

    response: Response
    age: float
    freshness: Freshness


class CacheStatistics(NamedTuple):
    """What a route's cache has seen, and what it holds now."""

    hits: int
    stale_hits: int
    misses: int
    entries: int
    bytes: int


class _Entry(NamedTuple):
    owner: AnswerCache
    response: Response
    stored: float
    size: int


class CacheSpace:
    """The bytes that all caches of a gateway have together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0
        # By cache and key: least recently asked for first, over all routes.
        self.order: OrderedDict[tuple[int, Hashable], _Entry] = OrderedDict()

    def make_room(self) -> None:
        """Let go of the answers asked for least recently, until the rest fits."""
        while self.used > self.max_bytes:
            (_, key), entry = next(iter(self.order.items()))
            entry.owner.forget(key)


class AnswerCache:
    """The answers of one published route. Times in seconds of a clock that never goes back.

    An answer is fresh for `seconds`, and stale for `stale_seconds` more. Once closed it keeps nothing: what comes of
    calls to a version that was replaced is gone with it.
    """

    def __init__(
        self, space: CacheSpace, *, seconds: float, stale_seconds: float, max_bytes: int, max_entries: int
    ) -> None:
        self._space = space
        self._seconds = seconds
        self._stale_seconds = stale_seconds
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._bytes = 0
        self._closed = False
        self._hits = 0
        self._stale_hits = 0
        self._misses = 0

    def find(self, key: Hashable, now: float) -> Found | None:
        """What is kept under a key."""
        entry = self._entries.get(key)
        age = 0.0 if entry is None else now - entry.stored
        if entry is None or age >= self._seconds + self._stale_seconds:
            if entry is not None:
                self.forget(key)
            self._misses += 1
            return None
        self._entries.move_to_end(key)
        self._space.order.move_to_end((id(self), key))
        if age < self._seconds:
            self._hits += 1
            return Found(entry.response, age, "fresh")
        self._stale_hits += 1
        return Found(entry.response, age, "stale")

    def keep(self, key: Hashable, response: Response, now: float) -> bool:
        """Keep an answer, in the place of what was kept; False where it is too large."""
        self.forget(key)
        size = _size(key, response)
        if self._closed or size > min(self._max_bytes, self._space.max_bytes):
            return False
        entry = _Entry(self, response, now, size)
        self._entries[key] = self._space.order[id(self), key] = entry
        self._bytes += size
        self._space.used += size
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self.forget(next(iter(self._entries)))
        self._space.make_room()
        return True

    def forget(self, key: Hashable) -> None:
        """Keep nothing under a key; nothing there is no error."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            del self._space.order[id(self), key]
            self._bytes -= entry.size
            self._space.used -= entry.size

    def clear(self) -> int:
        """Forget every answer; says how many there were."""
        count = len(self._entries)
        for key in tuple(self._entries):
            self.forget(key)
        return count

    def close(self) -> None:
        """Forget every answer, and keep none any more."""
        self._closed = True
        self.clear()

    def statistics(self) -> CacheStatistics:
        """What it has seen, and what it holds."""
        return CacheStatistics(self._hits, self._stale_hits, self._misses, len(self._entries), self._bytes)


def _size(key: Hashable, response: Response) -> int:
    headers = sum(len(name) + len(value) for name, value in response.headers)
    body = len(response.body) if isinstance(response.body, bytes) else 0
    return _ENTRY_BYTES + headers + body + _text_bytes(key)


def _text_bytes(key: object) -> int:
    if isinstance(key, tuple):
        return sum(_text_bytes(part) for part in key)
    return len(key) if isinstance(key, str) else 8
