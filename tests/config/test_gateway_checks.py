"""The gateway's resources by themselves and beside others."""

from __future__ import annotations

import pytest

from config.manifest import load
from config.references import check
from config.variables import filled_in, stray_mark, variables_in

APPS = "{kind: app, name: a}\n---\n{kind: app, name: b}\n---\n"


def findings(text: str) -> list[tuple[str, str]]:
    found = check([document.resource for document in load(APPS + text)])
    # What others build next is refused by a table of its own.
    return [(one.path, one.reason) for one in found if "not served by this version yet" not in one.reason]


def route(extra: str = "", path: str = "/r", name: str = "r", backend: str = "{mock: {}}", request: str = "") -> str:
    asked = f'{{path: "{path}"{request}}}'
    return f"{{kind: route, app: a, name: {name}, request: {asked}, backend: {backend}{extra}}}\n---\n"


def group(extra: str = "", name: str = "g", app: str = "a") -> str:
    return f"{{kind: api_group, app: {app}, name: {name}{extra}}}\n---\n"


def test_variables_stand_side_by_side_and_differ_by_case() -> None:
    """Each pair of marks is one variable; values are taken as they are."""
    assert list(variables_in("/#path##request#/#Path#")) == ["path", "request", "Path"]
    assert filled_in("/#a##b#/#a#", {"a": "x", "b": "#a#"}) == "/x#a#/x"
    assert filled_in("/plain", {}) == "/plain"
    with pytest.raises(KeyError, match="A"):
        filled_in("#A#", {"a": "x"})
    assert [stray_mark(text) for text in ("/a#b", "#a##", "#1#", "#a#", "#a##b#")] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (route(path="/a#b"), "$.request.path", "belongs to no variable"),
        (route(path="/#v#"), "$.request.path", "#v# is not defined in environment RELEASE of group a"),
        (group(", variables: {RELEASE: {V: x}}", "a") + route(path="/#v#"), "$.request.path", "#v# is not defined"),
        (group(name="b", app="a"), "$.name", "would be the default group of app b"),
        (route(", group: g"), "$.group", "there is no api_group g"),
        (group(app="b") + route(", group: g"), "$.group", "belongs to app b"),
        (group(", variables: {dev: {}}"), "$.variables.dev", "there is no environment dev"),
        (
            group(", domains: [{name: x.y}]") + group(", domains: [{name: X.Y}]", "h"),
            "$.domains[0].name",
            "is already that of api_group g",
        ),
        (group(", domains: [{name: x.y}, {name: X.y}]"), "$.domains[1].name", "stands there twice"),
        (group(", domains: [{name: x.y, redirect: true}]"), "$.domains[0].redirect", "has no `certificate`"),
        (
            group(", domains: [{name: x.y, minimum_tls: '1.3'}]"),
            "$.domains[0].minimum_tls",
            "add the domain's `certificate`",
        ),
        (
            group(", domains: [{name: x.y, client_authorities: PEM}]"),
            "$.domains[0].client_authorities",
            "add the domain's `certificate`",
        ),
        (route(backend="{name: none}"), "$.backend.name", "there is no backend none"),
        (route(", throttles: [t, t]"), "$.throttles[1]", "named twice"),
        (route() + route(name="s"), "$.request", "GET /r is already served by route r"),
        ("{kind: certificate, app: a, name: c, chain: x}", "$", "`private_key` is missing"),
        (
            '{kind: backend, app: a, name: b, path: "/{x}/{x}", mock: {}}',
            "$.path",
            "the parameter {x} stands there twice",
        ),
        (
            "{kind: backend, app: a, name: b, path: /b, mock: {}, inputs: [{name: i}, {name: i}]}",
            "$.inputs[1].name",
            "is written twice",
        ),
        ("{kind: grant, app: a, name: g, to: b, routes: [r], environment: dev}", "$.environment", "no environment dev"),
    ],
)
def test_what_makes_no_sense_is_told(text: str, path: str, reason: str) -> None:
    """Where it stands, and why, before anything is applied."""
    assert [one for one in findings(text) if one[0] == path and reason in one[1]], findings(text)


@pytest.mark.parametrize(
    "text",
    [
        route(", group: a"),
        group(", variables: {RELEASE: {v: x, w: y}}", "a") + route(path="/#v##w#/{id}"),
        route(", publish: false", path="/#v#"),
        group(", domains: [{name: x.y}]") + route(", group: g") + route(name="s"),
        "{kind: environment, name: dev}\n---\n" + group(", variables: {dev: {v: x}}"),
        "{kind: environment, name: RELEASE}",
        group(", domains: [{name: '*.x.y'}, {name: a.x.y}]"),
        route(request=", protocol: https"),
    ],
)
def test_what_makes_sense_is_taken(text: str) -> None:
    """Default groups need not be written, drafts may wait for their variables, groups with domains stand apart."""
    assert findings(text) == []


@pytest.mark.parametrize("name", ["*", "*.", "a.*.b", "*a.b", "-a.b", "a..b", "a b", "a.b:80", "a/b"])
def test_names_of_domains_are_names(name: str) -> None:
    """A wildcard stands first, for a whole label; ports and paths are no part of a name."""
    with pytest.raises(Exception, match=r"expected a domain name, such as api\.example\.com"):
        load(group(f", domains: [{{name: '{name}'}}]"))


def test_a_group_that_loses_its_domains_must_not_be_in_the_way() -> None:
    """Its routes come to be called as others are, though neither of them has changed."""
    before = [
        one.resource for one in load(APPS + group(", domains: [{name: x.y}]") + route(", group: g") + route(name="s"))
    ]
    (after,) = [one.resource for one in load(group()[:-5])]
    (found,) = check([after], before)
    assert (found.path, found.identity.name) == ("$.request", "s")
    assert found.reason == "GET /r is already served by route r"


@pytest.mark.parametrize("variables", ["{'': {}}", "{'a b': {}}", "{RELEASE: {1x: y}}", "{RELEASE: {'a#': y}}"])
def test_names_of_variables_are_names(variables: str) -> None:
    """A key is checked as every other text is."""
    with pytest.raises(Exception, match="expected a"):
        load(group(f", variables: {variables}"))
