"""Manifests: what is taken, and what is said about what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import config
from config.errors import ManifestError, Problem, ProblemsError
from config.manifest import KINDS, dump, load, load_all
from config.resources import App, Connection, Device, Product, Route, Rule, Secret, SecretReference, Task, Topic

PARKING = Path(config.__file__).parent / "examples" / "parking.yaml"

DEVICE = "kind: device\napp: a\nproduct: p\n"
TASK = """\
kind: task
app: a
name: t
source: {topic: x, fields: [{name: id, path: id}]}
target: {connection: c, table: T, columns: {Id: id}}
"""


def problems(text: str | bytes, **more: Any) -> list[str]:
    with pytest.raises(ManifestError) as refusal:
        load(text, "m.yaml", **more)
    return [str(problem) for problem in refusal.value.problems]


def device(text: str) -> Device:
    (document,) = load(DEVICE + text)
    assert isinstance(document.resource, Device)
    return document.resource


def test_the_parking_lot_loads_as_it_stands() -> None:
    """The reference manifest is taken without a word, each document where it stands."""
    documents = load(PARKING.read_bytes(), "parking.yaml")
    assert [(document.number, document.line, str(document.identity)) for document in documents] == [
        (1, 5, "app city-parking"),
        (2, 10, "product parking-sensor"),
        (3, 22, "device parking-sensor/lot-000001"),
        (4, 29, "device parking-sensor/lot-000002"),
        (5, 36, "topic parking-status"),
        (6, 44, "rule forward-status"),
        (7, 53, "connection parking-db"),
        (8, 59, "task status-to-table"),
        (9, 77, "route free-lots"),
        (10, 89, "route lot"),
    ]


def test_the_parking_lot_means_what_it_says() -> None:
    """Values, references to secrets and defaults arrive typed."""
    app, product, lot, _, topic, rule, _, task, free, _ = (
        document.resource for document in load(PARKING.read_bytes(), "parking.yaml")
    )
    assert isinstance(app, App)
    assert app.secret == SecretReference(env="CITY_PARKING_SECRET", default="city-parking-secret")
    assert isinstance(product, Product)
    assert product.services[0].properties[1].enum == ("0", "1")
    assert isinstance(lot, Device)
    assert lot.secret == "lot-secret-000001"
    assert isinstance(topic, Topic)
    assert (topic.partitions, topic.retention.hours) == (4, 72)
    assert isinstance(rule, Rule)
    assert not isinstance(rule.sources, tuple)
    assert isinstance(task, Task)
    assert task.target.columns == {"DeviceId": "deviceId", "Status": "status"}
    assert isinstance(free, Route)
    assert free.backend.data is not None
    assert free.backend.data.sql.endswith("WHERE Status = '0'")


def test_the_parking_lot_survives_being_written() -> None:
    """Writing and reading are inverse, and what is written is what a person would write."""
    resources = [document.resource for document in load(PARKING.read_bytes())]
    text = dump(resources)
    assert [document.resource for document in load(text)] == resources
    assert "---\nkind: device\napp: city-parking\nproduct: parking-sensor\nname: lot-000001\ntags: [north]\n" in text
    assert 'enum: ["0", "1"]' in text


@pytest.mark.parametrize(
    "name", ["10:20:30:40:50:10", "490154203237518", "012345670", "1.10", "true", "No", "1e5", "0x10", "2024-01-01"]
)
def test_identifiers_are_taken_as_written(name: str) -> None:
    """Where text is wanted, a plain scalar's text is the value, whatever else it could be."""
    assert device(f"name: {name}\nsecret: 0042\ntags: [{name}, 007]\n") == Device(
        app="a", product="p", name=name, secret="0042", tags=(name, "007")
    )


@pytest.mark.parametrize("written", ["", "~", "null"])
def test_nothing_is_none_only_where_none_is_wanted(written: str) -> None:
    """A secret may be nothing; in quotes it is text."""
    assert device(f"name: d\nsecret: {written}\n").secret is None
    assert device(f'name: d\nsecret: "{written}"\n').secret == written


def test_nothing_is_refused_where_text_is_wanted() -> None:
    """No title becomes "null"."""
    assert problems(f"{DEVICE}name: d\ntitle: null\n") == [
        'm.yaml:5: document 1 (device d): $.title: null means nothing at all; write "null" in quotes for that text'
    ]


def test_a_text_left_empty_is_told_how_to_be_written() -> None:
    """`title:` with nothing after it is neither nothing nor text."""
    assert problems(f"{DEVICE}name: d\ntitle:\n") == [
        (
            'm.yaml:5: document 1 (device d): $.title: nothing is written here; write "" for empty text or leave the '
            "field out"
        )
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: tsak\nname: x\n", ("m.yaml:1: document 1 (tsak x): $.kind: unknown kind `tsak`; known kinds: "
         + ", ".join(KINDS))),
        ("kind: functor\nname: x\n", ("m.yaml:1: document 1 (functor x): $.kind: unknown kind `functor`; "
         "known kinds: " + ", ".join(KINDS))),
        ("name: x\n", ("m.yaml:1: document 1 (x): $: the field `kind` is missing; known kinds: "
         + ", ".join(KINDS))),
        ("- kind: app\n", ("m.yaml:1: document 1: $: a document is a mapping with a `kind`; known kinds: "
         + ", ".join(KINDS))),
        (TASK + "runers: 2\n", "m.yaml:6: document 1 (task t): $: unknown field `runers`; did you mean `runners`?"),
        (TASK + "zzz: 2\n", ("m.yaml:6: document 1 (task t): $: unknown field `zzz`; known here: name, title, "
         "description, tags, app, shared_with, mode, source, target, runners, backlog, enabled")),
        (TASK + 'runners: "1"\n', ('m.yaml:6: document 1 (task t): $.runners: expected a whole number, got "1" (quoted '
         "text); write it without quotes")),
        (TASK + "runners: 1.5\n", "m.yaml:6: document 1 (task t): $.runners: expected a whole number, got 1.5"),
        (TASK + "runners: 51\n", "m.yaml:6: document 1 (task t): $.runners: must be at most 50, got 51"),
        (TASK + "runners: [1]\n", "m.yaml:6: document 1 (task t): $.runners: expected a whole number, got a list"),
        (TASK + "enabled: yes\n", ("m.yaml:6: document 1 (task t): $.enabled: expected true or false, got 'yes'; YAML "
         "1.2 knows only true and false")),
        (TASK + 'enabled: "true"\n', ('m.yaml:6: document 1 (task t): $.enabled: expected true or false, got "true" '
         "(quoted text); write it without quotes")),
        (TASK + "app: b\n", "m.yaml:6: document 1 (task t): $: `app` is written twice, first in line 2"),
        (TASK.replace("path: id", "path: id, type: str"), ("m.yaml:4: document 1 (task t): $.source.fields[0].type: "
         "Invalid enum value 'str', expected one of boolean, integer, json, number, string")),
        (TASK.replace("topic: x, ", ""), "m.yaml:4: document 1 (task t): $.source: the field `topic` is missing"),
        (TASK.replace("{Id: id}", "{}"), "m.yaml:5: document 1 (task t): $.target.columns: must not be empty"),
        (TASK.replace("app: a", "app: a/b"), ("m.yaml:2: document 1 (task t): $.app: expected a name (letters, digits, "
         "`.`, `_`, `-`; a letter or digit first), got 'a/b'")),
        (DEVICE + "name: a+b\n", ("m.yaml:4: document 1 (device a+b): $.name: expected a device's name (letters, "
         "digits, `.`, `_`, `:`, `@`, `-`; a letter or digit first), got 'a+b'")),
        (DEVICE + "name: d\nsecret: {env: A, file: B}\n", ("m.yaml:5: document 1 (device d): $.secret: a secret is "
         "written as text, as {env: NAME, default: ...} or as {file: PATH}")),
        ("kind: rule\napp: a\nname: r\nto: [{topic: t}]\nfrom: {product: p, devices: lot}\n", ("m.yaml:5: document 1 "
         "(rule r): $.from.devices: expected `all` or a list, got 'lot'")),
        ("kind: rule\napp: a\nname: r\nto: [{topic: t}]\nfrom: p\n", ("m.yaml:5: document 1 (rule r): $.from: expected "
         "a mapping or a list, got 'p'")),
        ("kind: app\nname: a\napp_codes: [1, 2, 3, 4, 5, 6]\n", ("m.yaml:3: document 1 (app a): $.app_codes: must have "
         "at most 5 entries, has 6")),
        ("kind: route\napp: a\nname: r\nrequest: {path: /x}\nbackend: {}\n", ("m.yaml:5: document 1 (route r): "
         "$.backend: a route has exactly one backend: `data`, `function`, `mock`, `topic` or `name` (of a backend)")),
        ("kind: topic\napp: a\nname: t\nretention: {hours: .inf}\n", ("m.yaml:4: document 1 (topic t): "
         "$.retention.hours: .inf is not a finite number")),
        ("kind: app\nname: a\n---\nname: [\n", ("m.yaml:4: document 2: while parsing a flow node, did not "
                "find expected node content")),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_reason(text: str, expected: str) -> None:
    """File, line, document, path and reason, in one line."""
    assert problems(text) == [expected]


def test_everything_wrong_in_a_file_is_told_at_once() -> None:
    """All documents, and within one all fields, in the order of lines; a broken end does not hide what is before."""
    text = TASK.replace("topic: x", "topik: x").replace("app: a\n", "") + "enabled: no\n---\nkind: x\n---\na: ["
    assert [(problem.split(": ", 3)[0], problem.rsplit(": ", 1)[-1]) for problem in problems(text)] == [
        ("m.yaml:1", "the field `app` is missing"),
        ("m.yaml:3", "unknown field `topik`; did you mean `topic`?"),
        ("m.yaml:3", "the field `topic` is missing"),
        ("m.yaml:5", "expected true or false, got 'no'; YAML 1.2 knows only true and false"),
        ("m.yaml:7", ", ".join(KINDS)),
        ("m.yaml:9", "while parsing a flow node, did not find expected node content"),
    ]


def test_a_resource_written_twice_is_refused() -> None:
    """In one file or across files, devices by their product."""
    one = "kind: app\nname: a\n"
    with pytest.raises(ManifestError) as refusal:
        load_all([("a.yaml", one), ("b.yaml", f"kind: app\nname: b\n---\n{one}")])
    assert str(refusal.value) == ("b.yaml:5: document 2 (app a): $.name: app a is written twice, first in a.yaml:1")
    other = DEVICE.replace("product: p", "product: q")
    assert len(load(f"{DEVICE}name: d\n---\n{other}name: d\n")) == 2


def test_numbers_keep_their_type() -> None:
    """Bounds and enums of a property are what the core schema makes of them."""
    (document,) = load(
        "kind: product\napp: a\nname: p\nservices:\n- name: s\n  properties:\n"
        '  - {name: x, type: number, min: 1, max: 2.5, enum: [1, 2.5, true, "1", one]}\n'
    )
    assert isinstance(document.resource, Product)
    (item,) = document.resource.services[0].properties
    assert [type(value) for value in (item.min, item.max, *item.enum)] == [int, float, int, float, bool, str, str]


class SqlSettings(msgspec.Struct, forbid_unknown_fields=True):
    host: str
    password: Secret = None
    port: int = 5432


def test_settings_of_a_connection_are_read_by_its_connectors_type() -> None:
    """Text is taken as written, what was not written stays away, and mistakes have their line."""
    text = "kind: connection\napp: a\nname: c\nconnector: sql\nsettings:\n  host: 10.1\n  password: 0042\n"
    (document,) = load(text, settings_types={"sql": SqlSettings})
    assert isinstance(document.resource, Connection)
    assert document.resource.settings == {"host": "10.1", "password": "0042"}
    assert problems(text.replace("host", "hots"), settings_types={"sql": SqlSettings}) == [
        "m.yaml:6: document 1 (connection c): $.settings: unknown field `hots`; did you mean `host`?",
        "m.yaml:6: document 1 (connection c): $.settings: the field `host` is missing",
    ]


def test_an_error_shows_so_much_and_no_more() -> None:
    """A file with a thousand mistakes does not fill the screen; all are kept for programs."""
    error = ProblemsError([Problem("odd", file="a", line=line) for line in range(1, 1001)])
    assert len(str(error).splitlines()) == 51
    assert str(error).endswith("... and 950 more problems")
    assert len(error.problems) == 1000


def test_a_problem_found_later_is_told_where_it_was_written() -> None:
    """A document knows the line of each of its paths."""
    document = load(PARKING.read_bytes(), "parking.yaml")[7]
    problem = document.problem("$.source.fields[1].path", "odd")
    assert str(problem) == "parking.yaml:69: document 8 (task status-to-table): $.source.fields[1].path: odd"
