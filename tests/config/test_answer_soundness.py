"""Response headers and CORS that make no sense, or that no browser should be told, are refused."""

from __future__ import annotations

import pytest

from config.errors import ManifestError
from config.manifest import dump, load
from config.resources import Route
from config.validate import validate

ROUTE = "kind: app\nname: a\n---\nkind: route\napp: a\nname: r\nrequest: {path: /x}\nbackend: {mock: {}}\n"


def flaws(text: str) -> list[tuple[str, str]]:
    """Path and reason of each problem."""
    try:
        validate(load(ROUTE + text))
    except ManifestError as error:
        return [(problem.path, problem.reason) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ('{X-A: "a\\r\\nSet-Cookie: b"}', "without line breaks"),
        ('{X-A: "a\\nb"}', "without line breaks"),
        ('{X-A: ["ok", "a\\rb"]}', "without line breaks"),
        ('{X-A: "a\\0"}', "printable ASCII"),
        ("{X-A: ä}", "printable ASCII"),
        ('{X-A: " a"}', "no blank at its ends"),
        ('{"X A": a}', "a header's name"),
        ('{"X-A:": a}', "a header's name"),
        ('{"X\\r\\nSet-Cookie": a}', "a header's name"),
        ('{"": a}', "a header's name"),
        ("{Connection: close}", "belongs to the connection"),
        ("{transfer-encoding: chunked}", "belongs to the connection"),
        ("{Content-Length: '7'}", "belongs to the connection"),
        ("{Keep-Alive: null}", "belongs to the connection"),
        ("{Proxy-Authenticate: Basic}", "belongs to the connection"),
        ("{TE: trailers}", "belongs to the connection"),
        ("{Trailer: x}", "belongs to the connection"),
        ("{Upgrade: h2c}", "belongs to the connection"),
        ("{Date: now}", "belongs to the connection"),
        ("{x-request-id: mine}", "set by the gateway itself"),
        ("{Access-Control-Allow-Origin: '*'}", "what `cors` says"),
        ("{X-A: a, x-a: b}", "stands there twice"),
    ],
)
def test_headers_that_cannot_be_set(headers: str, reason: str) -> None:
    """What would break out of its line, is no name, or is not the route's to say: refused at the header."""
    ((where, why),) = flaws(f"response_headers: {headers}\n")
    assert where.startswith("$.response_headers")
    assert reason in why


@pytest.mark.parametrize("name", ["X-Request-Id", "Access-Control-Allow-Origin", "Connection"])
def test_no_mapped_header_takes_their_names_either(name: str) -> None:
    """A backend's header cannot come to be one of these under another name."""
    ((where, _),) = flaws(f"response: {{headers: {{X-Mine: {name}}}}}\n")
    assert where == "$.response.headers.X-Mine"


def test_headers_are_set_added_and_taken_away() -> None:
    """A text, a list and null are three things, and come out of a manifest as they went in; numbers are text."""
    text = "response_headers: {Cache-Control: no-store, Link: [<a>, <b>], Server: null, X-Version: 1.10}\n"
    assert flaws(text) == []
    route = load(ROUTE + text)[-1].resource
    assert isinstance(route, Route)
    assert route.response_headers == {
        "Cache-Control": "no-store", "Link": ("<a>", "<b>"), "Server": None, "X-Version": "1.10",
    }  # fmt: skip
    assert load(dump([route]))[0].resource == route


@pytest.mark.parametrize(
    ("cors", "path", "reason"),
    [
        ("{origins: ['*'], credentials: true}", "origins", "does not go with `credentials: true`"),
        ("{origins: ['https://a.example'], headers: ['*'], credentials: true}", "headers", "does not go with"),
        ("{origins: ['https://a.example'], expose: ['*'], credentials: true}", "expose", "does not go with"),
        ("{origins: []}", "origins", "must not be empty"),
        ("{origins: ['*', 'https://a.example']}", "origins", "leave out the others"),
        ("{origins: ['https://a.example', 'https://a.example']}", "origins[1]", "twice"),
        ("{origins: ['https://a.example/']}", "origins[0]", "is not how browsers write an origin: https://a.example"),
        ("{origins: ['https://A.example']}", "origins[0]", "https://a.example"),
        ("{origins: ['https://a.example:443']}", "origins[0]", "https://a.example"),
        ("{origins: ['http://a.example:80/x']}", "origins[0]", "http://a.example"),
        ("{origins: ['https://*.example']}", "origins[0]", "is no origin"),
        ("{origins: ['https://u@a.example']}", "origins[0]", "is no origin"),
        ("{origins: ['a.example']}", "origins[0]", "is no origin"),
        ("{origins: ['null']}", "origins[0]", "is no origin"),
        ("{origins: ['https://a.example:x']}", "origins[0]", "is no origin"),
        ("{origins: ['*'], methods: [GET, TRACE]}", "methods[1]", "is none of"),
        ("{origins: ['*'], methods: [POST]}", "methods", "the route's own method"),
        ("{origins: ['*'], headers: ['a b']}", "headers[0]", "a header's name"),
        ("{origins: ['*'], max_age: 86401}", "max_age", "86400"),
    ],
)
def test_policies_that_no_browser_takes(cors: str, path: str, reason: str) -> None:
    """Above all `*` with credentials: a page of anybody could read what its user may (OWASP API8:2023)."""
    ((where, why),) = flaws(f"cors: {cors}\n")
    assert where == f"$.cors.{path}"
    assert reason in why


@pytest.mark.parametrize(
    "cors",
    [
        "{origins: ['*']}",
        "{origins: ['*'], headers: ['*'], expose: ['*'], max_age: 0}",
        "{origins: ['https://a.example:8443', 'http://[::1]:3000'], methods: [GET, POST], credentials: true}",
    ],
)
def test_policies_that_are_sound(cors: str) -> None:
    """Every origin without credentials, and named ones with."""
    assert flaws(f"cors: {cors}\n") == []


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("{path: /p}", "{path: /p, match: prefix}", False),
        ("{path: /p, match: prefix}", "{path: /p/, match: prefix}", True),
        ("{path: '/{a}', match: prefix}", "{path: '/{b}/', match: prefix}", True),
        ("{path: '/%61b'}", "{path: /ab}", True),
        ("{path: '/%7B%7D'}", "{path: '/{b}'}", False),
        ("{path: '/a%2Fb'}", "{path: /a/b}", False),
        ("{path: /p/}", "{path: /p}", False),
    ],
)
def test_prefixes_collide_as_paths_do(one: str, other: str, *, collide: bool) -> None:
    """A slash at the end of a prefix and the spelling of a path tell no two routes apart; being a prefix does."""
    second = f"---\nkind: route\napp: a\nname: s\nrequest: {other}\nbackend: {{mock: {{}}}}\n"
    found = flaws("---\n" + f"kind: route\napp: a\nname: t\nrequest: {one}\nbackend: {{mock: {{}}}}\n" + second)
    assert [where for where, _ in found] == (["$.request"] if collide else [])


def test_only_a_prefix_has_a_rest() -> None:
    """A backend that asks for what is below an exact path would get nothing, ever."""
    text = (
        "---\nkind: connection\napp: a\nname: db\nconnector: sqlite\nsettings: {path: x.db}\n---\nkind: route\napp: a\n"
        "name: d\nrequest: {path: /d%s}\nbackend: {data: {connection: db, sql: 'SELECT :rest AS r', parameters: "
        "[{name: rest, system: rest_of_path}]}}\n"
    )
    ((where, _),) = flaws(text % "")
    assert where == "$.backend.data.parameters[0].system"
    assert flaws(text % ", match: prefix") == []
