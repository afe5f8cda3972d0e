"""Kind `topic`: what it takes, what it refuses, and who may do what with it."""

from __future__ import annotations

import pytest

from config.errors import ManifestError
from config.manifest import dump, load
from config.references import check
from config.resources import AnyResource, BacklogLimit, Mask, Topic
from config.resources.topics import duration_seconds

HOUSE = """\
{kind: app, name: a, key: key-a}
---
{kind: app, name: b, key: key-b}
---
{kind: topic, app: a, name: spare, mask: {fields: [data.name, phone], at: store}}
---
{kind: topic, app: a, name: open}
---
{kind: topic, app: a, name: lax, mask: {fields: [phone]}}
---
{kind: topic, app: a, name: closed, access: subscribe}
---
{kind: topic, app: a, name: granted, grants: [{app: b, access: subscribe}]}
---
{kind: topic, app: a, name: chained, backlog: {limit: {age: 1h}, action: divert, divert_to: spare}}
---
{kind: topic, app: b, name: others}
"""
FULL = """\
kind: topic
app: a
name: t
tags: [north]
description: what it is for
access: publish+subscribe
grants: [{app: b, access: publish}]
partitions: 3
retention: {hours: 24, bytes: 1000000}
mask: {fields: [data.name, phone], at: store}
backlog: {limit: {messages: 10, bytes: 20, age: 10m}, action: divert, divert_to: spare, low_water: 0.25}
max_message_bytes: 1000
replicas: 1
sync_replication: false
"""


def resources(text: str) -> list[AnyResource]:
    return [document.resource for document in load(text)]


def topic(extra: str) -> Topic:
    found = resources(f"kind: topic\napp: a\nname: t\n{extra}")[0]
    assert isinstance(found, Topic)
    return found


def findings(text: str) -> list[tuple[str, str, bool]]:
    found = check(resources(text), resources(HOUSE))
    return [(finding.path, finding.reason, finding.warning) for finding in found]


def test_everything_a_topic_can_say() -> None:
    """A topic that says everything is sound, and is written back as it was read."""
    (full,) = resources(FULL)
    assert isinstance(full, Topic)
    assert full.mask == Mask(fields=("data.name", "phone"), at="store")
    assert full.backlog is not None
    assert full.backlog.limit == BacklogLimit(messages=10, bytes=20, age="10m")
    assert full.backlog.limit.age_seconds == 600
    assert findings(FULL) == []
    assert resources(dump([full])) == [full]


@pytest.mark.parametrize(
    ("extra", "path", "reason"),
    [
        ("replicas: 3", "$.replicas", "one copy; a Kafka engine will keep 3, on as many brokers"),
        ("sync_replication: true", "$.sync_replication", "a Kafka engine will answer a producer only once every"),
        ("mask: {fields: [a, b, a]}", "$.mask.fields[2]", "a is masked twice"),
        ("grants: [{app: b, access: publish}, {app: b, access: subscribe}]", "$.grants[1].app", "another grant above"),
        ("access: subscribe\ngrants: [{app: b, access: publish}]", "$.grants[0].access", "cannot grant publish"),
        ("backlog: {limit: {age: 1h}, action: divert}", "$.backlog", "`action: divert` needs `divert_to`"),
        ("backlog: {limit: {age: 1h}, action: reject, divert_to: spare}", "$.backlog.divert_to", "action is reject"),
        ("backlog: {limit: {age: 1h}, action: divert, divert_to: t}", "$.backlog.divert_to", "divert to itself"),
        ("backlog: {limit: {age: 1h}, action: divert, divert_to: spar}", "$.backlog.divert_to", "did you mean spare"),
        ("backlog: {limit: {age: 1h}, action: divert, divert_to: closed}", "$.backlog.divert_to", "nothing can be"),
        ("backlog: {limit: {age: 1h}, action: divert, divert_to: others}", "$.backlog.divert_to", "does not share it"),
        ("mask: {fields: [phone]}\nbacklog: {limit: {age: 1h}, action: divert, divert_to: open}",
         "$.backlog.divert_to", "does not mask what topic t masks"),
        ("mask: {fields: [phone], at: store}\nbacklog: {limit: {age: 1h}, action: divert, divert_to: lax}",
         "$.backlog.divert_to", "does not mask what topic t masks"),
        ("backlog: {limit: {age: 1h}, action: divert, divert_to: chained}", "$.backlog.divert_to", "itself diverts"),
    ],
)  # fmt: skip
def test_unsound_topics(extra: str, path: str, reason: str) -> None:
    """Each thing that cannot be is told at its path, and is an error."""
    found = findings(f"kind: topic\napp: a\nname: t\n{extra}\n")
    assert len(found) == 1
    assert found[0][0] == path
    assert reason in found[0][1]
    assert not found[0][2]


@pytest.mark.parametrize(
    "extra",
    [
        "backlog: {limit: {}, action: reject}",
        "backlog: {limit: {age: 10}, action: reject}",
        "backlog: {limit: {age: 0s}, action: reject}",
        "backlog: {limit: {messages: 0}, action: reject}",
        "backlog: {limit: {age: 1h}, action: drop}",
        "backlog: {limit: {age: 1h}, action: reject, low_water: 1}",
        "backlog: {action: reject}",
        "mask: {fields: []}",
        "mask: {fields: [a..b]}",
        "mask: {fields: [a], at: write}",
        "partitions: 51",
        "retention: {hours: 721}",
        "replicas: 0",
        "grants: [{app: b}]",
    ],
)
def test_topics_that_cannot_be_read(extra: str) -> None:
    """What is not of its type, or says nothing, is refused when the manifest is read."""
    with pytest.raises(ManifestError, match=r"topic t"):
        topic(extra)


def test_a_grant_that_adds_nothing_is_odd() -> None:
    """A grant to the owner, or to an app that the topic is shared with, is taken with a warning."""
    owner = findings("{kind: topic, app: a, name: t, grants: [{app: a, access: publish}]}")
    shared = findings("{kind: topic, app: a, name: t, shared_with: [b], grants: [{app: b, access: publish}]}")
    assert [(path, warning) for path, _, warning in owner + shared] == [("$.grants[0].app", True)] * 2


def test_rights() -> None:
    """The owner and whom it is shared with may do what the access allows; a grant gives what it says; else nothing."""
    granted = topic("grants: [{app: b, access: subscribe}]\nshared_with: [c]")
    assert [granted.allows(app, "publish") for app in "abcd"] == [True, False, True, False]
    assert [granted.allows(app, "subscribe") for app in "abcd"] == [True, True, True, False]
    closed = topic("access: subscribe\nshared_with: [c]")
    assert not any(closed.allows(app, "publish") for app in "abcd")


def test_a_task_of_another_app_needs_the_right_to_subscribe() -> None:
    """A grant opens a topic for what it names, and for nothing else."""
    house = (
        HOUSE + "---\n{kind: product, app: b, name: p}\n---\n{kind: connection, app: b, name: c, connector: sqlite}\n"
    )
    task = (
        "{kind: task, app: b, name: k, source: {topic: granted, fields: [{name: id, path: id}]}, "
        "target: {connection: c, table: T, columns: {Id: id}}}"
    )
    rule = "{kind: rule, app: b, name: r, from: {product: p}, to: [{topic: granted}]}"
    assert check(resources(task), resources(house)) == []
    (finding,) = check(resources(rule), resources(house))
    assert finding.path == "$.to[0].topic"
    assert "grants: [{app: b, access: publish}]" in finding.reason


def test_durations() -> None:
    """A duration is a number and a unit; anything else is no duration."""
    assert [duration_seconds(text) for text in ("90s", "10m", "2h", "1d")] == [90, 600, 7200, 86_400]
    with pytest.raises(ValueError, match="no duration"):
        duration_seconds("10")
