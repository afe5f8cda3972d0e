"""Where resources name functions and authorizers: what is refused before anything runs."""

from __future__ import annotations

import pytest

from config.manifest import ManifestError, load
from config.references import check

WORLD = """
{kind: app, name: a}
---
{kind: app, name: b}
---
{kind: function, app: a, name: f, language: javascript, source: "function execute() {}"}
---
{kind: function, app: b, name: theirs, language: javascript, source: "function execute() {}"}
---
{kind: authorizer, app: a, name: front, function: f}
---
{kind: authorizer, app: a, name: back, type: back, function: f}
---
{kind: product, app: a, name: p}
---
{kind: topic, app: a, name: t}
---
{kind: connection, app: a, name: db, connector: sqlite, settings: {path: x}}
---
"""


def findings(text: str) -> list[tuple[str, str, bool]]:
    found = check([document.resource for document in load(WORLD + text)])
    return [(one.path, one.reason, one.warning) for one in found]


def route(extra: str = "", backend: str = "{mock: {}}", request: str = "{path: /r}") -> str:
    return f"{{kind: route, app: a, name: r, request: {request}, backend: {backend}{extra}}}"


def rule(condition: str, source: str = "{product: p}") -> str:
    return f"{{kind: rule, app: a, name: r, from: {source}, to: [{{topic: t}}], condition: {condition}}}"


def task(fields: str) -> str:
    target = "{connection: db, table: x, columns: {x: x}}"
    return f"{{kind: task, app: a, name: k, source: {{topic: t, fields: {fields}}}, target: {target}}}"


@pytest.mark.parametrize(
    "text",
    [
        route(", auth: {custom: front}"),
        route(", backend_authorizer: back"),
        route(backend="{function: {name: f, parameters: [{name: x, system: authorizer.y}]}}"),
        route(", response: {function: f}", request="{path: /r, function: f}"),
        "{kind: backend, app: a, name: k, path: /k, function: {name: f}, backend_authorizer: back}",
        rule("{function: f, on_error: take}"),
        task("[{name: x, function: f}]"),
        task("[{name: x, path: a.b, function: f, required: false}]"),
        "{kind: authorizer, app: a, name: x, function: f, ttl: 60, identities: [{in: query, name: t}, {name: T}]}",
    ],
)
def test_uses_of_functions_are_sound(text: str) -> None:
    """Each place takes a function, or an authorizer, of the same app."""
    assert findings(text) == []


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (route(", auth: {custom: back}"), "$.auth.custom", "authorizer back is of type back"),
        (route(", backend_authorizer: front"), "$.backend_authorizer", "authorizer front is of type front"),
        (route(", auth: {custom: fornt}"), "$.auth.custom", "did you mean front?"),
        (route(backend="{function: {name: theirs}}"), "$.backend.function.name", "belongs to app b"),
        (route(request="{path: /r, function: theirs}"), "$.request.function", "belongs to app b"),
        (route(", response: {function: g}"), "$.response.function", "there is no function g"),
        (
            route(", response: {function: f}", "{data: {connection: db, sql: SELECT 1, returns: stream}}"),
            "$.response.function",
            "a raw answer is for no function",
        ),
        (
            route(backend="{function: {name: f, parameters: [{name: x, constant: 1}, {name: x, constant: 2}]}}"),
            "$.backend.function.parameters[1].name",
            "x is set twice",
        ),
        (
            "{kind: backend, app: a, name: k, path: /k, function: {name: f}, backend_authorizer: front}",
            "$.backend_authorizer",
            "of type front",
        ),
        (rule("{function: theirs}"), "$.condition.function", "belongs to app b"),
        (rule("{function: f}", "{product: p, lifecycle: true}"), "$.condition", "events of connections"),
        (task("[{name: x, function: theirs}]"), "$.source.fields[0].function", "belongs to app b"),
        (
            "{kind: authorizer, app: a, name: x, function: f, identities: [{name: x-a}, {name: X-A}]}",
            "$.identities[1].name",
            "written twice",
        ),
        (
            "{kind: authorizer, app: a, name: x, function: f, identities: [{name: 'x a'}]}",
            "$.identities[0].name",
            "no name of a header",
        ),
        ("{kind: authorizer, app: b, name: x, function: f}", "$.function", "belongs to app a"),
    ],
)
def test_uses_that_cannot_be_are_refused(text: str, path: str, reason: str) -> None:
    """At the place where they are written, with the reason."""
    ((where, why, warning),) = findings(text)
    assert (where, warning) == (path, False)
    assert reason in why


def test_an_authorizer_that_others_ask_keeps_its_type() -> None:
    """A change of it is refused where it would leave a route without one."""
    before = [document.resource for document in load(WORLD + route(", auth: {custom: front}"))]
    (changed,) = load("{kind: authorizer, app: a, name: front, type: back, function: f}")
    (found,) = check([changed.resource], before)
    assert (str(found.identity), found.path) == ("route r", "$.auth.custom")


def test_decisions_that_are_remembered_for_hardly_anybody_are_odd() -> None:
    """A `ttl` without `identities` is taken, with a warning."""
    ((path, reason, warning),) = findings("{kind: authorizer, app: a, name: x, function: f, ttl: 1}")
    assert (path, warning) == ("$.ttl", True)
    assert "identities" in reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (route(", auth: {custom: front, iam: true}"), "exactly one of"),
        (task("[{name: x}]"), "needs a `path`, or a `function`"),
        ("{kind: authorizer, app: a, name: x, function: f, ttl: 3601}", "3600"),
        (rule("{function: f, on_error: hold}"), "hold"),
    ],
)
def test_what_has_no_meaning_is_no_resource(text: str, reason: str) -> None:
    """It is refused where it is read."""
    with pytest.raises(ManifestError, match=reason):
        load(WORLD + text)
