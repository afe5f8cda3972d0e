"""Which route a request is for."""

from __future__ import annotations

import sys
from types import FrameType

import pytest

from actors.errors import ConfigurationError
from actors.gateway_route.paths import parse_route
from actors.gateway_route.router import Router, RouteTakenError


def router(*routes: str) -> Router[str]:
    built = Router()
    for route in routes:
        method, path = route.removesuffix("/*").split(" ")
        built.add(method, parse_route(path or "/"), route, prefix=route.endswith("/*"))
    return built


def found(built: Router[str], method: str, path: str) -> tuple[str | None, dict[str, str]]:
    match = built.match(method, path)
    return match.value, dict(match.parameters)


def test_an_exact_path_goes_before_a_parameter() -> None:
    """From left to right, an exact segment is preferred to a parameter."""
    built = router("GET /lots/{lot}", "GET /lots/free", "GET /{any}/free", "GET /lots/{lot}/{part}", "GET /lots/{l}/x")
    assert found(built, "GET", "/lots/free") == ("GET /lots/free", {})
    assert found(built, "GET", "/lots/7") == ("GET /lots/{lot}", {"lot": "7"})
    assert found(built, "GET", "/cars/free") == ("GET /{any}/free", {"any": "cars"})
    assert found(built, "GET", "/lots/7/x") == ("GET /lots/{l}/x", {"l": "7"})
    assert found(built, "GET", "/lots/7/y") == ("GET /lots/{lot}/{part}", {"lot": "7", "part": "y"})


def test_a_way_that_ends_nowhere_is_gone_back() -> None:
    """An exact segment that leads to no route does not hide one behind a parameter."""
    built = router("GET /a/b/c", "GET /a/b/{x}/e", "GET /a/{x}/d")
    assert found(built, "GET", "/a/b/d") == ("GET /a/{x}/d", {"x": "b"})


def test_an_exact_path_of_another_method_does_not_hide_a_parameter() -> None:
    """A method that the exact path does not take is looked for behind the parameters."""
    built = router("GET /lots/free", "POST /lots/{lot}")
    assert found(built, "POST", "/lots/free") == ("POST /lots/{lot}", {"lot": "free"})


def test_a_method_goes_before_any() -> None:
    """ANY takes whatever no other route of the path takes; GET serves HEAD, but a HEAD of its own goes first."""
    built = router("ANY /a", "GET /a", "GET /b", "HEAD /b", "ANY /{x}/y")
    assert found(built, "GET", "/a")[0] == "GET /a"
    assert found(built, "HEAD", "/a")[0] == "GET /a"
    assert found(built, "DELETE", "/a")[0] == "ANY /a"
    assert found(built, "HEAD", "/b")[0] == "HEAD /b"
    assert found(built, "PATCH", "/1/y") == ("ANY /{x}/y", {"x": "1"})


def test_what_is_not_there_tells_what_is() -> None:
    """No route at all: no methods. Another method's route: the methods that the path takes, over all ways it may go."""
    built = router("GET /lots/free", "POST /lots/{lot}", "DELETE /{what}/free")
    assert built.match("GET", "/nowhere").allowed == ()
    assert built.match("PUT", "/lots/free").allowed == ("DELETE", "GET", "HEAD", "OPTIONS", "POST")
    assert built.match("PUT", "/lots/7").allowed == ("OPTIONS", "POST")


def test_paths_are_what_they_are() -> None:
    """Case, slashes at the end and empty segments make other paths; a parameter is never empty."""
    built = router("GET /Lots/", "GET /lots/{lot}")
    for path in ("/Lots", "/lots/", "/lots//", "//lots", "/LOTS/", "/lots/7/", "/", "*"):
        assert built.match("GET", path).value is None, path
    assert found(built, "GET", "/Lots/")[0] == "GET /Lots/"


def test_percent_encoding_is_taken_off_once() -> None:
    """Encoded segments are equal to plain ones, %2F stays inside its segment, and nothing is decoded twice."""
    built = router("GET /a/b", "GET /parkplätze/{x}", "GET /c%2Fd/e", "GET /%2561")
    assert found(built, "GET", "/%61/%62")[0] == "GET /a/b"
    assert found(built, "GET", "/a%2Fb") == (None, {})
    assert found(built, "GET", "/a%2fb") == (None, {})
    assert found(built, "GET", "/parkpl%C3%A4tze/a%2Fb%20c%252F") == ("GET /parkplätze/{x}", {"x": "a/b c%2F"})
    assert found(built, "GET", "/c%2fd/e")[0] == "GET /c%2Fd/e"
    assert found(built, "GET", "/c/d/e") == (None, {})
    assert found(built, "GET", "/%2561")[0] == "GET /%2561"
    assert found(built, "GET", "/%252561") == (None, {})


@pytest.mark.parametrize(
    "path",
    [
        "/files/..", "/files/.", "/../files/x", "/files/%2e%2e", "/files/%2E.", "/files/.%2e", "/files/%", "/files/%4",
        "/files/%zz", "/files/%ff", "/files/%c3", "/files/%00", "/files/%ed%a0%80",
    ],
)  # fmt: skip
def test_paths_that_climb_or_cannot_be_read_are_refused(path: str) -> None:
    """`.` and `..` are never resolved, however they are spelt; broken encodings, NUL and non-UTF-8 are refused."""
    with pytest.raises(ValueError, match="path"):
        router("GET /files/{name}").match("GET", path)


@pytest.mark.parametrize(
    "path",
    [
        "lots", "/lots?x", "/lots#x", "/a//b", "/{a}/{a}", "/x{a}", "/{a}.json", "/{a-b}", "/{}", "/{1a}", "/a/../b",
        "/%zz", "/a}",
    ],
)  # fmt: skip
def test_routes_that_could_not_be_served_are_refused(path: str) -> None:
    """A route's path is checked when it is written, with the reason."""
    with pytest.raises(ConfigurationError, match="path"):
        parse_route(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [("GET /a/b", "GET /a/b"), ("GET /a/b", "GET /%61/b"), ("GET /{x}", "GET /{y}"), ("ANY /{x}/c", "ANY /{z}/c")],
)
def test_two_routes_that_collide_are_refused(one: str, other: str) -> None:
    """One method and path has one route, whatever its parameters are called; the first one stays."""
    built = router(one)
    method, path = other.split(" ")
    with pytest.raises(RouteTakenError) as refused:
        built.add(method, parse_route(path), other)
    assert refused.value.holder == one


def test_a_route_that_is_taken_out_leaves_nothing_behind() -> None:
    """Others stay, and the tree shrinks with what goes."""
    built = router("GET /a/{x}", "GET /a/{x}/b", "POST /a/{x}", "GET /a", "POST /a")
    for method, path in (("GET", "/a/{x}"), ("GET", "/a"), ("GET", "/nowhere/{x}"), ("GET", "/nowhere")):
        built.remove(method, parse_route(path))
    assert built.match("GET", "/a/7").allowed == ("OPTIONS", "POST")
    assert built.match("GET", "/a").allowed == ("OPTIONS", "POST")
    assert found(built, "GET", "/a/7/b")[0] == "GET /a/{x}/b"
    for method, path in (("GET", "/a/{x}/b"), ("POST", "/a/{x}"), ("POST", "/a")):
        built.remove(method, parse_route(path))
    assert built._root.empty
    assert not built._exact


def test_a_prefix_takes_what_is_below_it() -> None:
    """Itself, and every path below, segment by segment; neither its neighbours nor paths with empty segments."""
    built = router("GET /a/*")
    for path, rest in (("/a", ""), ("/a/", ""), ("/a/b", "b"), ("/a/b/c/", "b/c/"), ("/%61/b%20c", "b c")):
        match = built.match("GET", path)
        assert (match.value, match.rest) == ("GET /a/*", rest), path
    for path in ("/ab", "/", "/b/a", "/A/b", "//a", "/a//b", "/a//", "/a%2Fb", "*"):
        assert built.match("GET", path).value is None, path
    assert router("GET /*").match("GET", "/x/y").rest == "x/y"
    assert router("OPTIONS /*").match("OPTIONS", "*").value is None


def test_the_longest_prefix_goes_first_and_an_own_path_before_it() -> None:
    """Whatever has parameters; of two as long, the one with the exact segment further left."""
    built = router(
        "GET /*", "GET /a/*", "GET /a/{x}/c/*", "GET /a/b/{y}/*", "GET /a/b/*", "GET /{z}/b/c/d", "POST /a/b/c/*"
    )
    assert found(built, "GET", "/q") == ("GET /*", {})
    assert found(built, "GET", "/a/q/r") == ("GET /a/*", {})
    assert found(built, "GET", "/a/q/c/r") == ("GET /a/{x}/c/*", {"x": "q"})
    assert found(built, "GET", "/a/b/c/r") == ("GET /a/b/{y}/*", {"y": "c"})
    assert found(built, "GET", "/a/b") == ("GET /a/b/*", {})
    assert found(built, "GET", "/a/b/c/d") == ("GET /{z}/b/c/d", {"z": "a"})
    assert found(built, "POST", "/a/b/c/d") == ("POST /a/b/c/*", {})
    assert built.match("PUT", "/a/b/c/d").allowed == ("GET", "HEAD", "OPTIONS", "POST")
    assert built.match("PUT", "/a//b").allowed == ()


@pytest.mark.parametrize(
    "path",
    [
        "/f/..", "/f/%2e%2e/x", "/f/%252e%252e/x", "/f/%25252e%25252e", "/f/..%2fetc", "/f/x%2f..%2f..%2fetc",
        "/f/%2fetc", "/f/etc%2f", "/f/%252fetc", "/f/..\\x", "/f/%5c%5chost", "/f/a%5c..%5cb", "/f/x%00", "/f/x%2500",
        "/f/%252525252525252e", "/%2e%2e/f",
    ],
)  # fmt: skip
def test_what_hides_below_a_prefix_is_refused(path: str) -> None:
    """A backend may decode once more, or know other separators: what would climb then is refused, however it hides."""
    with pytest.raises(ValueError, match="path"):
        router("GET /f/*").match("GET", path)


def test_what_only_looks_like_climbing_is_let_through() -> None:
    """Dots in names, encoded slashes and percent signs are what they are, decoded once."""
    built = router("GET /f/*")
    for path, rest in (
        ("/f/...", "..."), ("/f/a..b/.c", "a..b/.c"), ("/f/a%2Fb", "a/b"), ("/f/1%25", "1%"), ("/f/a%255cb", "a%5cb"),
    ):  # fmt: skip
        assert built.match("GET", path).rest == rest


def test_a_prefix_and_a_path_of_the_same_segments_are_two() -> None:
    """And each is taken out by itself; a slash at the end of a prefix says nothing."""
    built = router("GET /a", "GET /a/*", "GET /{x}", "GET /{x}/*")
    with pytest.raises(RouteTakenError):
        built.add("GET", parse_route("/a/"), "again", prefix=True)
    built.remove("GET", parse_route("/a"))
    assert found(built, "GET", "/a") == ("GET /{x}", {"x": "a"})
    built.remove("GET", parse_route("/{y}"))
    assert found(built, "GET", "/a") == ("GET /a/*", {})
    built.remove("GET", parse_route("/a/"), prefix=True)
    assert found(built, "GET", "/a/b") == ("GET /{x}/*", {"x": "a"})
    built.remove("GET", parse_route("/{y}"), prefix=True)
    assert built._root.empty


def test_ten_thousand_routes_cost_no_more_steps_than_ten() -> None:
    """Finding a route, or finding that there is none, takes the same function calls among 10,000 as among 10."""

    def steps(count: int) -> int:
        built = router(
            *(f"GET /things/{n}/parts" for n in range(count)),
            *(f"GET /t{n}/{{x}}/p" for n in range(count)),
            *(f"GET /below/{n}/*" for n in range(count)),
        )
        calls = 0

        def note(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in {"call", "c_call"}

        sys.setprofile(note)
        try:
            for path in ("/things/7/parts", "/t3/1/p", "/below/5/x/y", "/nowhere/at/all"):
                built.match("GET", path)
        finally:
            sys.setprofile(None)
        return calls

    assert steps(10_000) == steps(10)
