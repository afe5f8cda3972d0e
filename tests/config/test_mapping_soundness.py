"""Parameters, mappings and statements that make no sense are refused where they are written."""

from __future__ import annotations

import re
import time

import pytest

from config.errors import ManifestError
from config.manifest import load
from config.pattern_soundness import pattern_flaw
from config.validate import validate

APP = "kind: app\nname: a\n---\n"
CONNECTION = "kind: connection\napp: a\nname: db\nconnector: sqlite\nsettings: {path: x.db}\n---\n"
ROUTE = "kind: route\napp: a\nname: r\n"


def flaws(text: str) -> list[tuple[str, str]]:
    """Path and reason of each problem."""
    try:
        documents = load(APP + CONNECTION + text)
        validate(documents)
    except ManifestError as error:
        return [(problem.path, problem.reason) for problem in error.problems]
    return []


def with_parameter(parameter: str, method: str = "GET") -> str:
    request = f"request: {{method: {method}, path: '/x/{{p}}', parameters: [{parameter}]}}\n"
    return f"{ROUTE}{request}backend: {{mock: {{}}}}\n"


def with_data(data: str, rest: str = "") -> str:
    return f"{ROUTE}request: {{path: /x}}\nbackend: {{data: {data}}}\n{rest}"


@pytest.mark.parametrize(
    ("parameter", "path", "reason"),
    [
        ("{name: n, in: query, min: 1}", "min", "means nothing for type string"),
        ("{name: n, in: query, type: integer, pattern: x}", "pattern", "means nothing for type integer"),
        ("{name: n, in: query, type: integer, min: 3, max: 2}", "min", "no value fits"),
        ("{name: n, in: query, min_length: 3, max_length: 2}", "min_length", "no value fits"),
        ("{name: n, in: query, pattern: '('}", "pattern", "is no regular expression"),
        ("{name: n, in: query, pattern: '(a+)+$'}", "pattern", "exponentially long"),
        ("{name: n, in: query, type: integer, enum: [1, '2']}", "enum[1]", "is no integer"),
        ("{name: n, in: query, type: boolean, default: 1}", "default", "is no boolean"),
        ("{name: n, in: query, required: true, default: x}", "default", "never used"),
        ("{name: n, in: query, enum: [a], default: b}", "default", "not among"),
        ("{name: p, in: path, default: b}", "default", "never used"),
        ("{name: n, in: body}", "in", "a GET request has no body"),
        ("{name: q, in: path}", "name", "has no {q}"),
    ],
)
def test_parameters_that_no_caller_could_use(parameter: str, path: str, reason: str) -> None:
    """Bounds of another type, bounds that exclude each other, values that are none: each at its place."""
    ((where, why),) = flaws(with_parameter(parameter))
    assert where == f"$.request.parameters[0].{path}"
    assert reason in why


def test_a_name_is_read_in_one_place() -> None:
    """A backend knows parameters by name, so that one of two places would be lost."""
    found = flaws(with_parameter("{name: n, in: query}, {name: n, in: header}"))
    assert [path for path, _ in found] == ["$.request.parameters[0].name", "$.request.parameters[1].name"]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ("{connection: db, sql: SELECT 1, statements: [{connection: db, sql: SELECT 1}]}", "$.backend.data"),
        ("{statements: [{connection: db, sql: SELECT 1}], timeout_ms: 5}", "$.backend.data"),
        ("{statements: [&s {connection: db, sql: SELECT 1}, *s]}", "$.backend.data.statements[1].result"),
        ("{statements: [{connection: db, sql: SELECT 1, result: total}]}", "$.backend.data.statements[0].result"),
        (
            "{paging: true, statements: [{connection: db, sql: SELECT 1}, {connection: db, sql: SELECT 1, result: b}]}",
            "$.backend.data.paging",
        ),
        ("{connection: db, sql: SELECT 1, paging: true, returns: stream}", "$.backend.data.paging"),
        (
            "{connection: db, sql: SELECT 1, parameters: [{name: a, constant: 1}, {name: a, constant: 2}]}",
            "$.backend.data.parameters[1].name",
        ),
        (
            "{connection: db, sql: SELECT 1, parameters: [{name: a, system: nobody}]}",
            "$.backend.data.parameters[0].system",
        ),
    ],
)
def test_backends_of_statements_that_make_no_sense(data: str, path: str) -> None:
    """Two results of one name, pages of two statements, and the like."""
    assert [where for where, _ in flaws(with_data(data))] == [path]


@pytest.mark.parametrize(
    ("response", "path"),
    [
        ("{status: {ok: 200}}", "$.response.status.ok"),
        ("{status: {'200': 99}}", "$.response.status.200"),
        ("{fields: {a..b: c}}", "$.response.fields"),
        ("{fields: {a: ''}}", "$.response.fields"),
        ("{system: {a: authorizer.}}", "$.response.system.a"),
    ],
)
def test_mappings_that_lead_nowhere(response: str, path: str) -> None:
    """Statuses that are none, paths with nothing between their dots, values that nobody knows."""
    found = flaws(with_data("{connection: db, sql: SELECT 1}", f"response: {response}\n"))
    assert [where for where, _ in found] == [path]


def test_devices_take_no_commands_yet() -> None:
    """The reason says what to do instead."""
    text = f"{ROUTE}request: {{path: /x}}\nbackend: {{device: {{product: p}}}}\n"
    ((path, reason),) = flaws(text)
    assert path == "$.backend.device"
    assert "take no commands yet" in reason


@pytest.mark.parametrize(
    "pattern",
    [
        "^[a-z]+(-[a-z]+)*$",
        r"^[A-Z]{2}-\d+(\.\d+)?$",
        "(a|b)*c",
        "(?:a++b)*",
        r"\w+@\w+\.\w+",
        "(?:ab)*",
        r"(,\s*\w+)*",
    ],
)
def test_patterns_that_end_soon_are_taken(pattern: str) -> None:
    """And do end soon, for a long text that does not match."""
    assert not pattern_flaw(pattern)
    began = time.perf_counter()
    re.search(pattern + "\\Z", "a" * 1000 + "!")
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", r"(\d?\d)*x", "(x+x+)+y", "((a)*b?)*c", r"(a)(?:\1+)+b"])
def test_patterns_that_may_take_for_ever_are_not(pattern: str) -> None:
    """Whatever can be matched in exponentially many ways."""
    assert "exponentially" in pattern_flaw(pattern)
