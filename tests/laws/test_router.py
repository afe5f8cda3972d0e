"""Laws of the router, held against the plain way: to look at every route, and take the best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway_route.paths import Parameter, parse_route
from actors.gateway_route.router import Router, RouteTakenError


class Added(NamedTuple):
    """A route as it is written."""

    method: str
    path: str
    prefix: bool


# Few words, so that paths meet often.
WORDS = st.sampled_from(["a", "b", "ab"])
METHODS = st.sampled_from(["GET", "POST", "HEAD"])
SEGMENTS = st.lists(st.one_of(WORDS, st.sampled_from(["{x}", "{y}", "{z}"])), max_size=4)


@st.composite
def added(draw: st.DrawFn) -> Added:
    segments = draw(SEGMENTS)
    names = iter("pqrs")
    path = "/" + "/".join(f"{{{next(names)}}}" if one.startswith("{") else one for one in segments)
    slash = "/" if segments and draw(st.booleans()) else ""
    return Added(draw(st.one_of(METHODS, st.just("ANY"))), path + slash, draw(st.booleans()))


ROUTES = st.lists(added(), max_size=12)
PATHS = st.lists(st.one_of(WORDS, st.just("c"), st.just("")), max_size=6).map(lambda parts: "/" + "/".join(parts))


def stem(route: Added) -> list[str]:
    segments = route.path.split("/")[1:]
    return segments[:-1] if route.prefix and segments[-1] == "" else segments


def shape(route: Added) -> tuple[object, ...]:
    return route.method, route.prefix, *("{}" if one.startswith("{") else one for one in stem(route))


def takes(route: Added, segments: list[str]) -> bool:
    own = stem(route)
    if route.prefix:
        if len(own) > len(segments) or "" in segments[:-1]:
            return False
    elif len(own) != len(segments):
        return False
    pairs = zip(own, segments, strict=False)
    return all(bool(given) if one.startswith("{") else one == given for one, given in pairs)


def rank(route: Added) -> tuple[object, ...]:
    """The smaller, the sooner: a path of its own, the longer prefix, exact segments from left to right."""
    own = stem(route)
    return route.prefix, -len(own), [one.startswith("{") for one in own]


def naive(routes: Iterable[Added], method: str, path: str) -> Added | None:
    segments = path.split("/")[1:]
    fallbacks = [method, *(["GET"] if method == "HEAD" else []), "ANY"]
    fitting = [one for one in routes if takes(one, segments) and one.method in fallbacks]
    return min(fitting, key=lambda one: (rank(one), fallbacks.index(one.method)), default=None)


def methods_of(routes: Iterable[Added], path: str) -> set[str]:
    found = {one.method for one in routes if takes(one, path.split("/")[1:])}
    return found | ({"OPTIONS"} if found else set()) | ({"HEAD"} if "GET" in found else set())


def unique(routes: Iterable[Added]) -> list[Added]:
    return list({shape(one): one for one in reversed(list(routes))}.values())


def built(routes: Iterable[Added]) -> Router[Added]:
    router: Router[Added] = Router()
    for one in routes:
        router.add(one.method, parse_route(one.path), one, prefix=one.prefix)
    return router


@given(routes=ROUTES, method=METHODS, path=PATHS)
def test_the_best_of_all_routes_is_found(routes: list[Added], method: str, path: str) -> None:
    """The same one as by looking at every route, with its parameters, and what is below its prefix."""
    kept = unique(routes)
    wanted = naive(kept, method, path)
    match = built(kept).match(method, path)
    assert match.value == wanted
    if wanted is None:
        assert set(match.allowed) == methods_of(kept, path)
        return
    segments, own = path.split("/")[1:], stem(wanted)
    assert dict(match.parameters) == {
        one[1:-1]: given for one, given in zip(own, segments, strict=False) if one.startswith("{")
    }
    assert match.rest == ("/".join(segments[len(own) :]) if wanted.prefix else "")


@given(routes=ROUTES, method=METHODS, path=PATHS, data=st.data())
def test_encoding_makes_no_difference(routes: list[Added], method: str, path: str, data: st.DataObject) -> None:
    """However much of a path is percent-encoded, it is the same path."""
    router = built(unique(routes))
    spelt = "".join(f"%{ord(one):02x}" if one != "/" and data.draw(st.booleans()) else one for one in path)
    assert router.match(method, spelt) == router.match(method, path)


@given(routes=ROUTES, gone=st.sets(st.integers(0, 11)), method=METHODS, path=PATHS)
def test_what_is_taken_out_was_never_there(routes: list[Added], gone: set[int], method: str, path: str) -> None:
    """A router that routes were taken out of is that of the others; one that all were taken out of is empty."""
    kept = unique(routes)
    router = built(kept)
    for number, one in enumerate(kept):
        if number in gone:
            router.remove(one.method, parse_route(one.path), prefix=one.prefix)
    left = [one for number, one in enumerate(kept) if number not in gone]
    assert router.match(method, path) == built(left).match(method, path)
    for one in left:
        router.remove(one.method, parse_route(one.path), prefix=one.prefix)
    assert router._root.empty
    assert not router._exact


@given(routes=st.lists(added(), min_size=1, max_size=12), again=added())
def test_only_what_has_another_shape_is_taken(routes: list[Added], again: Added) -> None:
    """Two routes collide where method, match and segments are the same, whatever parameters are called."""
    kept = unique(routes)
    router = built(kept)
    holder = next((one for one in kept if shape(one) == shape(again)), None)
    if holder is None:
        router.add(again.method, parse_route(again.path), again, prefix=again.prefix)
        return
    with pytest.raises(RouteTakenError) as refused:
        router.add(again.method, parse_route(again.path), again, prefix=again.prefix)
    assert refused.value.holder == holder


CLIMBS = st.sampled_from(
    ["..", ".", "%2e%2e", "%2E.", ".%252e", "%252e%252e", "..%2f", "%5c..", "..%5C..", "\\..", "%00"]
)


@given(before=st.lists(WORDS, max_size=2), climb=CLIMBS, after=st.lists(WORDS, max_size=2), deeper=st.integers(0, 2))
def test_nothing_climbs_out_of_a_prefix(before: list[str], climb: str, after: list[str], deeper: int) -> None:
    """However often it is encoded, and whatever separator it has, a path that climbs is refused."""
    for _ in range(deeper):
        climb = climb.replace("%", "%25")
    path = "/".join(["", "files", *before, climb, *after])
    router = built([Added("GET", "/files", prefix=True), Added("GET", "/", prefix=True)])
    with pytest.raises(ValueError, match="path"):
        router.match("GET", path)


def test_parameters_are_told_apart_from_segments() -> None:
    """What the model calls a parameter is one to the router too."""
    assert parse_route("/a/{p}") == ("a", Parameter("p"))
