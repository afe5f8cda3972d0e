"""What applying would change."""

from __future__ import annotations

from config.manifest import load
from config.plan import PlannedChange, in_order, plan
from config.resources import AnyResource, App
from config.resources.identity import Identity, identity

MANIFEST = """\
{kind: route, app: a, name: r, request: {path: /x}, backend: {mock: {}}}
---
{kind: device, app: a, product: p, name: d}
---
{kind: product, app: a, name: p}
---
{kind: app, name: a}
"""


def resources(text: str) -> dict[Identity, AnyResource]:
    return {identity(document.resource): document.resource for document in load(text)}


def test_resources_are_applied_after_what_they_refer_to() -> None:
    """Apps, products, devices, topics, rules, connections, tasks, routes; else as written."""
    assert [identity(resource).kind for resource in in_order(resources(MANIFEST).values())] == [
        "app",
        "product",
        "device",
        "route",
    ]


def test_applying_the_same_again_changes_nothing() -> None:
    """Idempotent: everything is created once and unchanged ever after, defaults written out or not."""
    wanted = resources(MANIFEST)
    assert {change.action for change in plan({}, wanted.values())} == {"created"}
    explicit = resources(MANIFEST.replace("name: p}", "name: p, device_type: Default Type, services: []}"))
    assert {change.action for change in plan(wanted, explicit.values())} == {"unchanged"}


def test_a_change_names_the_fields_as_they_are_written() -> None:
    """`from`, not what it is called inside."""
    rule = "{kind: rule, app: a, name: r, from: {product: p}, to: [{topic: t}]}"
    changed = rule.replace("product: p", "product: q").replace("name: r", "name: r, title: x")
    assert plan(resources(rule), resources(changed).values()) == [
        PlannedChange(Identity("rule", "r"), "changed", ("title", "from"))
    ]


def test_a_secret_that_is_left_out_stays_as_it_is() -> None:
    """What was generated is kept when a manifest that does not say it is applied again."""
    there = resources("{kind: app, name: a, key: k, secret: s, app_codes: [c]}")
    assert plan(there, resources("{kind: app, name: a}").values()) == [PlannedChange(Identity("app", "a"), "unchanged")]
    dropped = resources("{kind: app, name: a, app_codes: []}")
    assert plan(there, dropped.values()) == [PlannedChange(Identity("app", "a"), "changed", ("app_codes",))]


def test_secrets_are_compared_by_whoever_keeps_them() -> None:
    """The store has no plain secrets to compare with: it is asked, about those fields only."""
    there = resources("{kind: app, name: a, key: k}")
    wanted = resources("{kind: app, name: a, key: k, secret: s, app_codes: [c]}")
    asked = []

    def differs(old: AnyResource, new: AnyResource, field: str) -> bool:
        assert isinstance(old, App)
        assert isinstance(new, App)
        asked.append(field)
        return field == "secret"

    assert plan(there, wanted.values(), differs) == [PlannedChange(Identity("app", "a"), "changed", ("secret",))]
    assert asked == ["secret", "app_codes"]
