"""What refers to what, and what is refused because of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from config.errors import ManifestError
from config.manifest import load
from config.references import check, referrers
from config.resources import AnyResource
from config.resources.filters import filter_problem
from config.resources.identity import Identity
from config.validate import validate

PARKING = Path(config.__file__).parent / "examples" / "parking.yaml"

HOUSE = """\
{kind: app, name: a, key: key-a}
---
{kind: app, name: b}
---
{kind: product, app: a, name: p}
---
{kind: device, app: a, product: p, name: d1}
---
{kind: topic, app: a, name: t, partitions: 4}
---
{kind: topic, app: a, name: in-only, access: publish}
---
{kind: topic, app: a, name: out-only, access: subscribe}
---
{kind: topic, app: a, name: shared, shared_with: [b]}
---
{kind: connection, app: a, name: c, connector: sqlite}
---
{kind: route, app: a, name: r, request: {path: "/x/{id}"}, backend: {mock: {}}}
"""


def resources(text: str) -> list[AnyResource]:
    return [document.resource for document in load(text)]


def findings(text: str) -> list[tuple[str, str]]:
    return [(finding.path, finding.reason) for finding in check(resources(text), resources(HOUSE))]


def task(
    extra: str = "", *, columns: str = "{Id: id}", fields: str = "[{name: id, path: id}]", topic: str = "t"
) -> str:
    return (
        f"kind: task\napp: a\nname: t1\nsource: {{topic: {topic}, fields: {fields}}}\n"
        f"target: {{connection: c, table: T, columns: {columns}{extra}}}\n"
    )


def product(properties: str) -> str:
    return f"{{kind: product, app: a, name: q, services: [{{name: s, properties: [{properties}]}}]}}"


def rule(source: str, to: str = "[{topic: t}]", extra: str = "") -> str:
    return f"kind: rule\napp: a\nname: r1\nfrom: {source}\nto: {to}\n{extra}"


def route(name: str, path: str, *, method: str = "GET", extra: str = "") -> str:
    request = f'request: {{method: {method}, path: "{path}"}}'
    return f"{{kind: route, app: a, name: {name}, {request}, backend: {{mock: {{}}}}{extra}}}"


def test_the_parking_lot_is_sound() -> None:
    """The reference manifest has neither errors nor warnings, alone or on top of itself."""
    documents = load(PARKING.read_bytes())
    assert validate(documents) == []
    assert validate(documents, [document.resource for document in documents]) == []


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("{kind: device, app: a, product: pp, name: d}", "$.product", "there is no product pp; did you mean p?"),
        ("{kind: topic, app: nobody, name: x}", "$.app", "there is no app nobody"),
        ("{kind: topic, app: a, name: x, shared_with: [nobody]}", "$.shared_with[0]", "there is no app nobody"),
        (task(topic="tt"), "$.source.topic", "there is no topic tt; did you mean t?"),
        (rule("{product: p}", "[{topic: t}, {topic: nix}]"), "$.to[1].topic", "there is no topic nix"),
        (rule("[{product: p}, {product: z}]"), "$.from[1].product", "there is no product z"),
        (rule("{product: p, devices: [d1, d9]}"), "$.from.devices[1]", "there is no device p/d9; did you mean p/d1?"),
        (task().replace("app: a", "app: b", 1).replace("topic: t,", "topic: shared,"), "$.target.connection",
         "connection c belongs to app a, which does not share it with app b (`shared_with: [b]` there would)"),
        (rule("{product: p}", "[{topic: out-only}]"), "$.to[0].topic",
         "topic out-only has `access: subscribe`, so nothing can be published to it"),
        (task(topic="in-only"), "$.source.topic",
         "topic in-only has `access: publish`, so nothing can be read from it"),
        (task() + "runners: 5\n", "$.runners", "more runners (5) than topic t has partitions (4)"),
        (task() + "runners: 3\nbacklog: {heal: auto, max_runners: 2}\n", "$.backlog.max_runners",
         "2 is less than `runners`, 3; it says how many there may be at most"),
        ("{kind: topic, app: a, name: t, partitions: 3}", "$.partitions",
         "the topic has 4 partitions; they are never lowered, 3 is not taken"),
        (task(columns="{Id: ids}"), "$.target.columns.Id", ("there is no field ids in `source.fields`; a column takes "
         "one of id, $topic, $partition, $offset, $timestamp, $key")),
        (task(", key: [Key]"), "$.target.key[0]", "Key is not one of the `columns`"),
        (task(", key: [Id, Id]"), "$.target.key[1]", "Id is in the key twice"),
        (task(fields="[{name: id, path: id}, {name: id, path: x}]"), "$.source.fields[1].name",
         "another field is called id too"),
        (task(fields="[{name: id, path: a..b}]"), "$.source.fields[0].path",
         "'a..b' is not a dotted path such as data.deviceId"),
        (rule("{product: p}", extra="key: a..b\n"), "$.key",
         "'a..b' is neither `device`, `none` nor the dotted path of a field"),
        (rule("{product: p}", extra="key: none\nkey_suffix: random\n"), "$.key_suffix",
         "there is no key to add it to; records without a key are spread anyway"),
        (rule("{product: p, devices: []}"), "$.from.devices",
         "names no device; write `all` for all of the product's"),
        (rule("{product: p}", "[{topic: t}, {topic: t}]"), "$.to[1].topic", "topic t is a target twice"),
        (rule('{product: p, topic: "p/out/a+"}'), "$.from.topic",
         "'p/out/a+' is not an MQTT topic filter: `+` stands only alone, as a whole level"),
        (rule('{product: p, topic: "q/out/+"}'), "$.from.topic",
         "'q/out/+' matches nothing that devices of p publish to: p/out/<device>, and what the product's `acl` allows"),
        (rule('{product: p, topic: "p/in/+"}'), "$.from.topic",
         "'p/in/+' matches nothing that devices of p publish to: p/out/<device>, and what the product's `acl` allows"),
        (route("x", "/x/{other}"), "$.request", "GET /x/{other} is already served by route r"),
        (route("x", "/x/{a}/{a}"), "$.request.path", "the parameter {a} stands there twice"),
        (route("x", "/x/a{b}"), "$.request.path",
         "'a{b}' is neither plain text of a URL (RFC 3986 3.3) nor one {parameter}"),
        (route("x", "/x?y=1"), "$.request.path",
         "'x?y=1' is neither plain text of a URL (RFC 3986 3.3) nor one {parameter}"),
        ("{kind: app, name: z, key: key-a}", "$.key", "the key key-a is already that of app a"),
        (product("{name: x, type: integer, max_length: 3}"), "$.services[0].properties[0].max_length",
         "is for strings, and x is of type integer"),
        (product("{name: x, type: string, min: 3}"), "$.services[0].properties[0].min",
         "is for numbers, and x is of type string"),
        (product("{name: x, type: number, min: 3, max: 2.5}"), "$.services[0].properties[0].min",
         "3 is more than `max`, 2.5"),
        (product("{name: x, type: string, enum: [0]}"), "$.services[0].properties[0].enum[0]",
         '0 is not of type string; written as text it is "0"'),
        (product('{name: x, type: integer, enum: [1, "1"]}'), "$.services[0].properties[0].enum[1]",
         "'1' is not of type integer"),
        (product("{name: x, type: integer, enum: [true]}"), "$.services[0].properties[0].enum[0]",
         "True is not of type integer"),
        (product("{name: x, type: string, max_length: 2, enum: [abc]}"), "$.services[0].properties[0].enum[0]",
         "'abc' is longer than `max_length`, 2"),
        (product("{name: x, type: integer, max: 2, enum: [3]}"), "$.services[0].properties[0].enum[0]",
         "3 is more than `max`, 2"),
        (product("{name: x, type: string}, {name: x, type: string}"), "$.services[0].properties[1].name",
         "another property of this service is called x too"),
        (("{kind: product, app: a, name: q, services: [{name: s, properties: [{name: x, type: string}]}, {name: u, "
         "properties: [{name: x, type: integer}]}]}"), "$.services[1].properties[0].name",
         "service s describes the property x differently"),
        ("{kind: product, app: a, name: q, services: [{name: s}, {name: s}]}", "$.services[1].name",
         "another service is called s too"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_path_and_reason(text: str, path: str, reason: str) -> None:
    """Each mistake is one finding."""
    assert findings(text) == [(path, reason)]


@pytest.mark.parametrize(
    "text",
    [
        rule("{product: p, devices: [d9]}"),
        rule('{product: p, topic: "p/out/x/y"}'),
        rule("{product: p}", extra="key_suffix: random\n"),
        "{kind: topic, app: a, name: x, shared_with: [nobody]}",
        task() + "backlog: {heal: auto, max_runners: 5}\n",
        task() + "backlog: {heal: off, max_batch: 5}\n",
    ],
)
def test_what_may_come_later_is_only_a_warning(text: str) -> None:
    """A rule may name a device that is not there yet, a resource be shared with an app that is not there yet."""
    (warning,) = validate(load(text, "m.yaml"), resources(HOUSE))
    assert warning.warning
    assert str(warning).startswith("m.yaml:1: document 1 (") or warning.line > 1


@pytest.mark.parametrize(
    "text",
    [
        rule("{product: p, devices: [d1]}"),
        rule('{product: p, topic: "p/out/#"}'),
        rule('[{product: p, topic: "p/out/+/#"}, {product: p, topic: p/out/d1}]', extra="key: data.id\n"),
        task(columns="{P: $partition, O: $offset, T: $timestamp, K: $key, N: $topic}"),
        task() + "runners: 4\n",
        task() + "runners: 2\nbacklog: {heal: auto, max_runners: 4, max_batch: 20000}\n",
        route("r", "/x/{other}"),
        route("x", "/x/{id}", method="POST"),
        route("x", "/x/{id}", extra=", enabled: false"),
        "{kind: topic, app: a, name: t, partitions: 5}",
        "{kind: app, name: a, key: key-a}",
        product("{name: x, type: number, min: 1, max: 2, enum: [1, 1.5]}"),
        (
            "{kind: product, app: a, name: q, services: [{name: s, properties: [{name: x, type: string}]}, {name: u, "
            "properties: [{name: x, type: string}]}, {name: v, enabled: false, properties: [{name: x, type: number}]}]}"
        ),
        rule("{product: p}", "[{topic: shared}]"),
    ],
)
def test_what_fits_is_taken(text: str) -> None:
    """Neither an error nor a warning."""
    assert findings(text) == []


def test_a_change_is_checked_against_those_who_refer_to_it() -> None:
    """Taking back a share, or the right to read a topic, is refused while somebody uses it."""
    user = resources("{kind: rule, app: b, name: r2, shared_with: [], from: {product: q}, to: [{topic: shared}]}\n---\n"
                     "{kind: product, app: b, name: q}")  # fmt: skip
    instance = [*resources(HOUSE), *user]
    unshared = load("{kind: topic, app: a, name: shared}")
    with pytest.raises(ManifestError, match=r"rule r2, which is on the instance: .*does not share it with app b"):
        validate(unshared, instance)


def test_the_same_finding_is_not_told_of_what_nobody_touches() -> None:
    """What is on the instance and refers to nothing in the manifest is not looked at."""
    broken = resources("{kind: device, app: gone, product: gone, name: d}")
    assert check(resources("{kind: app, name: new}"), broken) == []


def test_who_refers_to_a_resource_is_known() -> None:
    """Deletion is refused by naming them."""
    instance = [document.resource for document in load(PARKING.read_bytes())]
    assert referrers(Identity("connection", "parking-db"), instance) == [
        Identity("route", "free-lots"),
        Identity("route", "lot"),
        Identity("task", "status-to-table"),
    ]
    assert referrers(Identity("product", "parking-sensor"), instance) == [
        Identity("device", "parking-sensor/lot-000001"),
        Identity("device", "parking-sensor/lot-000002"),
        Identity("rule", "forward-status"),
    ]
    assert len(referrers(Identity("app", "city-parking"), instance)) == 9
    assert referrers(Identity("route", "lot"), instance) == []


@pytest.mark.parametrize("good", ["#", "+", "a/+/b", "a/#", "/", "a//b", "$SYS/#"])
def test_topic_filters_of_mqtt_are_taken(good: str) -> None:
    """MQTT-4.7.1-2, MQTT-4.7.1-3."""
    assert filter_problem(good) == ""


@pytest.mark.parametrize("bad", ["a#", "a/#/b", "#/#", "a/b+", "++", "a\0b", "x" * 65_536])
def test_others_are_refused(bad: str) -> None:
    """MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-4.7.3-2, MQTT-4.7.3-3."""
    assert filter_problem(bad)
