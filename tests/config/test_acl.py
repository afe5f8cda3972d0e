"""Access control lists as they are written: what is nonsense, what is odd, and what a filter covers."""

from __future__ import annotations

import pytest

from config.errors import ManifestError
from config.manifest import dump, load
from config.references import check
from config.resources import AclEntry, AnyResource, Product
from config.resources.filters import covers, overlaps
from config.validate import validate

HOUSE = """\
{kind: app, name: a}
---
{kind: app, name: b}
---
{kind: product, app: b, name: closed}
---
{kind: product, app: b, name: lent, shared_with: [a]}
---
{kind: topic, app: a, name: t}
"""


def resources(text: str) -> list[AnyResource]:
    return [document.resource for document in load(text)]


def product(acl: str) -> str:
    return f"kind: product\napp: a\nname: p\nacl:\n{acl}"


def rule(source: str) -> str:
    return f"{{kind: rule, app: a, name: r, from: {source}, to: [{{topic: t}}]}}"


def findings(text: str) -> list[tuple[str, str, bool]]:
    return [(one.path, one.reason, one.warning) for one in check(resources(text), resources(HOUSE))]


def test_the_entries_of_the_standard_example_are_taken_as_they_stand() -> None:
    """Deny, allow with names, allow all: no word of complaint, and written back as they were."""
    text = product(
        '- {deny: subscribe, topic: "private/#"}\n'
        '- {allow: publish, topic: "${productId}/out/${deviceId}/#"}\n'
        '- {allow: all, topic: "open/#"}\n'
    )
    assert findings(text) == []
    (one,) = resources(text)
    assert isinstance(one, Product)
    assert one.acl[0] == AclEntry(deny="subscribe", topic="private/#")
    assert resources(dump([one])) == [one]


@pytest.mark.parametrize(
    ("entry", "path", "reason"),
    [
        ("{topic: a}", "$.acl[0]", "says exactly one of `allow` and `deny`: publish, subscribe or all"),
        ("{allow: all, deny: all, topic: a}", "$.acl[0]",
         "says exactly one of `allow` and `deny`: publish, subscribe or all"),
        ('{allow: all, topic: ""}', "$.acl[0].topic", "'' is not an MQTT topic filter: it is empty"),
        ('{allow: all, topic: "a/#/b"}', "$.acl[0].topic",
         "'a/#/b' is not an MQTT topic filter: `#` stands only alone, as the last level"),
        ('{allow: all, topic: "a+/b"}', "$.acl[0].topic",
         "'a+/b' is not an MQTT topic filter: `+` stands only alone, as a whole level"),
        ('{allow: all, topic: "${deviceId}+"}', "$.acl[0].topic",
         "'${deviceId}+' is not an MQTT topic filter: `+` stands only alone, as a whole level"),
        ('{allow: all, topic: "a/${clientid}"}', "$.acl[0].topic",
         "${clientid} stands for nothing; there are ${productId} and ${deviceId}"),
        ('{allow: all, topic: "a/${deviceId/b"}', "$.acl[0].topic",
         "${deviceId/b stands for nothing; there are ${productId} and ${deviceId}"),
        ('{allow: all, topic: "a/%c/b"}', "$.acl[0].topic",
         "'a/%c/b' has no placeholder of this daemon: write ${deviceId}"),
        ('{allow: subscribe, topic: "$share/g/a/#"}', "$.acl[0].topic",
         "a shared subscription is judged by the filter in it: leave out `$share/<group>/`"),
        ('{allow: subscribe, topic: "closed/out/#"}', "$.acl[0].topic",
         ("what begins with closed/ belongs to product closed of app b, which does not share it with app a "
          "(`shared_with: [a]` there would)")),
    ],
)  # fmt: skip
def test_nonsense_entries_are_told_with_path_and_reason(entry: str, path: str, reason: str) -> None:
    """Each mistake of an entry is one finding, and an error."""
    assert findings(product(f"- {entry}\n")) == [(path, reason, False)]


def test_a_nonsense_entry_is_told_with_its_line() -> None:
    """`check` says in which line of the manifest the entry stands."""
    text = product('- {allow: all, topic: "open/#"}\n- {allow: all, topic: "a/#/b"}\n')
    with pytest.raises(ManifestError) as refused:
        validate(load(text, "m.yaml"), resources(HOUSE))
    assert str(refused.value).startswith("m.yaml:6: document 1 (product p): $.acl[1].topic: 'a/#/b' is not")


@pytest.mark.parametrize("word", ["read", "Publish", "yes"])
def test_unknown_actions_are_refused(word: str) -> None:
    """Only publish, subscribe and all can be allowed or denied."""
    with pytest.raises(ManifestError, match=r"m.yaml:5: .*\$.acl\[0\].allow"):
        load(product(f"- {{allow: {word}, topic: a}}\n"), "m.yaml")


@pytest.mark.parametrize(
    ("acl", "path", "reason"),
    [
        ('- {allow: all, topic: "a/#"}\n- {deny: publish, topic: "a/b"}\n', "$.acl[1]",
         "is never asked: entry 0 ($.acl[0]) covers all of it, and the first match wins"),
        ('- {deny: all, topic: "#"}\n', "$.acl[0]",
         "devices can no longer publish to their own topic, p/out/<device>"),
        ('- {deny: subscribe, topic: "${productId}/+/${deviceId}"}\n', "$.acl[0]",
         "devices can no longer subscribe to their own topic, p/in/<device>"),
    ],
)  # fmt: skip
def test_odd_entries_are_warned_of(acl: str, path: str, reason: str) -> None:
    """An entry that is never asked, and one that takes away what devices have by default, are taken with a warning."""
    (first, *_) = findings(product(acl))
    assert first[0] == path
    assert first[1].startswith(reason)
    assert all(warning for _, _, warning in findings(product(acl)))


@pytest.mark.parametrize(
    "acl",
    [
        '- {deny: publish, topic: "a/b"}\n- {allow: all, topic: "a/#"}\n',
        '- {allow: publish, topic: "a/#"}\n- {allow: subscribe, topic: "a/b"}\n',
        '- {allow: all, topic: "#"}\n',
        '- {allow: all, topic: "lent/out/#"}\n',
        '- {allow: all, topic: "$data/#"}\n',
        '- {allow: all, topic: "données/+/温度"}\n',
        '- {allow: all, topic: "x-${deviceId}/y"}\n',
        '- {allow: all, topic: "${productId}/+/${deviceId}"}\n- {deny: all, topic: "#"}\n',
    ],
)
def test_what_makes_sense_is_taken(acl: str) -> None:
    """No false alarms; a product that is shared may be named, and a name may be a part of a level."""
    assert [one for one in findings(product(acl)) if not one[2]] == []


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("#", "a"), ("#", "a/b/#"), ("#", "+/x"), ("+/#", "#"), ("#", "+/#"), ("a/#", "a"), ("a/#", "a/#"),
        ("a/#", "a/+/b"), ("+", "a"), ("+", "+"), ("a/+/c", "a/b/c"), ("+/+", "/"), ("a/+", "a/"), ("$x/#", "$x/+"),
        ("+/$x", "a/$x"), ("ü/#", "ü/ö"),
    ],
)  # fmt: skip
def test_a_filter_covers(wide: str, narrow: str) -> None:
    """Everything that the narrow filter matches, the wide one matches."""
    assert covers(wide.split("/"), narrow.split("/"))
    assert overlaps(wide.split("/"), narrow.split("/"))


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("+", "#"), ("+", "a/b"), ("a", "+"), ("a/+", "a/#"), ("a/+", "a"), ("a/+/#", "a/#"), ("a/b", "a"),
        ("#", "$x"), ("+/x", "$x/x"), ("#", "$x/#"), ("$x/#", "#"), ("a", "A"), ("a/#", "ab"), ("/#", "a"),
    ],
)  # fmt: skip
def test_a_filter_does_not_cover(wide: str, narrow: str) -> None:
    """There is a topic that the narrow filter matches and the wide one does not."""
    assert not covers(wide.split("/"), narrow.split("/"))


@pytest.mark.parametrize(
    ("one", "other"), [("a/+", "+/b"), ("a/#", "+/b/c"), ("#", "+/x"), ("a/#", "a"), ("+", "a"), ("$x/+", "$x/#")]
)
def test_filters_overlap(one: str, other: str) -> None:
    """There is a topic that both match."""
    assert overlaps(one.split("/"), other.split("/"))
    assert overlaps(other.split("/"), one.split("/"))


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("a/+", "+"), ("a/b/#", "+/c"), ("#", "$x"), ("+/a", "$x/a"), ("a/b", "a")]
)
def test_filters_do_not_overlap(one: str, other: str) -> None:
    """No topic is matched by both."""
    assert not overlaps(one.split("/"), other.split("/"))
    assert not overlaps(other.split("/"), one.split("/"))


def test_rules_may_take_what_the_list_allows() -> None:
    """A rule's topic need not be a device's own, where the list lets devices publish there."""
    open_product = product('- {allow: publish, topic: "open/#"}\n')
    assert findings(f"{open_product}---\n" + rule('{product: p, topic: "open/+/x"}')) == []
    ((path, reason, warning),) = findings(f"{open_product}---\n" + rule('{product: p, topic: "shut/#"}'))
    assert (path, warning) == ("$.from.topic", False)
    assert "matches nothing that devices of p publish to" in reason


def test_a_right_can_be_taken_away_though_a_rule_rests_on_it() -> None:
    """Rules on the instance that then take nothing are warned of, and do not refuse the product."""
    with_rule = [*resources(HOUSE), *resources(product('- {allow: publish, topic: "open/#"}\n'))]
    with_rule += resources(rule('{product: p, topic: "open/#"}'))
    ((path, _, warning),) = [
        (one.path, one.reason, one.warning) for one in check(resources(product("  []\n")), with_rule)
    ]
    assert (path, warning) == ("$.from.topic", True)


def test_lifecycle_has_no_topic() -> None:
    """Events of connections are not published to any topic."""
    text = product("  []\n") + "---\n" + rule("{product: p, lifecycle: true, topic: p/out/+}")
    assert [(path, warning) for path, _, warning in findings(text)] == [("$.from.topic", False)]
    assert findings(product("  []\n") + "---\n" + rule("{product: p, lifecycle: true}")) == []
    assert findings(product("  []\n") + "---\n" + rule("[{product: p, lifecycle: true}, {product: p}]")) == []


def test_a_rule_leaves_shared_subscriptions_to_clients() -> None:
    """`$share/...` in a rule's topic is told to be what it is."""
    text = product("  []\n") + "---\n" + rule("{product: p, topic: $share/g/p/out/+}")
    assert [path for path, _, _ in findings(text)] == ["$.from.topic"]
