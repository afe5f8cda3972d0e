"""Answers that are kept: how long, how many, how large. Times are handed in."""

from __future__ import annotations

import pytest

from actors.gateway_route.cache import AnswerCache, CacheSpace
from actors.wire.http.messages import Response


def answer(size: int = 1000) -> Response:
    return Response(200, (), b"x" * size)


def cache(space: CacheSpace | None = None, **more: float) -> AnswerCache:
    settings = {"seconds": 10, "stale_seconds": 0, "max_bytes": 100_000, "max_entries": 100, **more}
    return AnswerCache(space or CacheSpace(1_000_000), **settings)


def test_an_answer_is_fresh_then_stale_then_gone() -> None:
    """For its seconds, for its stale seconds, and no longer."""
    kept = cache(stale_seconds=5)
    kept.keep("k", answer(), now=100)
    assert [found.freshness for at in (100, 109.9, 110, 114.9) if (found := kept.find("k", at))] == [
        "fresh",
        "fresh",
        "stale",
        "stale",
    ]
    assert kept.find("k", 109).age == 9
    assert kept.find("k", 115) is None
    assert kept.statistics().entries == 0


def test_those_asked_for_least_recently_go_first() -> None:
    """By number, and by bytes."""
    few = cache(max_entries=2)
    for key in "abc":
        few.keep(key, answer(), 0)
        few.find("a", 0)
    assert [key for key in "abc" if few.find(key, 0)] == ["a", "c"]
    small = cache(max_bytes=4000)
    for key in "abc":
        small.keep(key, answer(), 0)
        small.find("a", 0)
    assert [key for key in "abc" if small.find(key, 0)] == ["a", "c"]
    assert small.statistics().bytes <= 4000


def test_what_is_too_large_is_not_kept() -> None:
    """It would push out all others, and what was kept before is out of date."""
    kept = cache(max_bytes=4000)
    assert kept.keep("k", answer(), 0)
    assert not kept.keep("k", answer(5000), 0)
    assert kept.find("k", 0) is None
    assert kept.statistics()[3:] == (0, 0)


def test_all_routes_share_their_space() -> None:
    """Whichever route's answer was asked for least recently makes room for another's."""
    space = CacheSpace(5000)
    one, two = cache(space), cache(space)
    one.keep("a", answer(), 0)
    two.keep("a", answer(), 0)
    one.keep("b", answer(), 0)
    one.find("a", 0)
    two.keep("b", answer(), 0)
    assert (bool(one.find("a", 0)), bool(one.find("b", 0))) == (True, True)
    assert (bool(two.find("a", 0)), bool(two.find("b", 0))) == (False, True)
    assert space.used == one.statistics().bytes + two.statistics().bytes <= 5000


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_what_is_forgotten_leaves_no_trace(size: int) -> None:
    """Bytes are counted back whatever way an answer goes; a closed cache keeps nothing."""
    space = CacheSpace(1_000_000)
    kept = cache(space)
    for number in range(8):
        kept.keep(("k", number % 3), answer(size), now=number)
    kept.forget(("k", 0))
    kept.forget(("k", 0))
    assert kept.clear() == 2
    assert (space.used, len(space.order), kept.statistics().bytes) == (0, 0, 0)
    kept.close()
    assert not kept.keep("k", answer(), 0)
    assert space.used == 0


def test_lookups_are_counted() -> None:
    """Hits, stale hits and misses, each by itself."""
    kept = cache(stale_seconds=5)
    kept.find("k", 0)
    kept.keep("k", answer(), 0)
    for at in (1, 2, 12):
        kept.find("k", at)
    assert kept.statistics()[:3] == (2, 1, 1)
