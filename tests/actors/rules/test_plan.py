"""What becomes of a message: allowed or not, checked by what, forwarded where and how."""

import json
from typing import Any

import pytest

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity
from actors.directory.rights import DeviceTopic
from actors.records import Record
from actors.rules.plan import Plan, compile_lifecycle, compile_plan, records_for
from actors.topic_partition.partitioner import partition_for_key
from config.resources import AclEntry, Product, Property, Rule, RuleSource, RuleTarget, Service

LOT = DeviceIdentity("sensor", "lot-1", "city")
CITY = AppIdentity("city")
OUT = "sensor/out/lot-1"
IN = "sensor/in/lot-1"
REPORT = b'{"status":"0"}'


def rule(name: str = "r", *, topic: str | None = None, to: tuple[str, ...] = ("t",), **more: Any) -> Rule:
    source = RuleSource(product="sensor", topic=topic)
    targets = tuple(RuleTarget(topic=target) for target in to)
    return Rule(**{"app": "city", "name": name, "sources": source, "to": targets} | more)


def product(*, services: tuple[Service, ...] = (), **more: Any) -> Product:
    return Product(app="city", name="sensor", services=services, **more)


STATUS = Service(name="S", properties=(Property(name="status", type="string", enum=("0", "1")),))


def build(*rules: Rule, services: tuple[Service, ...] = ()) -> Directory:
    directory = Directory(lambda secret: secret)
    directory.put_app(AppEntry("city", "city-key", b"s"))
    directory.put_product(product(services=services, manufacturer="Acme", model="PS-1"))
    directory.put_device(DeviceEntry("sensor", "lot-1", "city", b"s", tags=("north",)))
    for one in rules:
        directory.put_rule(one)
    return directory


def records(plan: Plan, *payloads: bytes) -> list[tuple[str, list[Record]]]:
    return [(batch.forward.topic, batch.records) for batch in records_for(plan, payloads, 1000)]


def test_without_a_right_nothing_is_planned() -> None:
    """A topic that the client may not publish to is denied, whatever rules there are."""
    directory = build(rule(topic="#"))
    for identity, topic in [(LOT, "sensor/out/lot-2"), (LOT, IN), (CITY, OUT), (LOT, "x"), (LOT, "nothing/out/lot-1")]:
        assert compile_plan(identity, topic, directory) == Plan(allowed=False)


def test_without_a_rule_it_is_allowed_and_goes_nowhere() -> None:
    """No rule: acknowledged and dropped, but still checked."""
    plan = compile_plan(LOT, OUT, build(services=(STATUS,)))
    assert plan.allowed
    assert plan.place == DeviceTopic("sensor", "out", "lot-1")
    assert plan.check is not None
    assert plan.check(b'{"status":"2"}') == "S.status: is none of '0', '1'"
    assert plan.forwards == ()
    assert records(plan, REPORT) == []


def test_a_report_goes_as_it_came_keyed_by_its_device() -> None:
    """By default a record is the payload, and its key the device's name."""
    plan = compile_plan(LOT, OUT, build(rule()))
    assert records(plan, REPORT, b"\xff") == [("t", [Record(b"lot-1", REPORT, 1000), Record(b"lot-1", b"\xff", 1000)])]
    assert all(type(record) is Record for batch in records_for(plan, [REPORT], 1) for record in batch.records)


def test_the_envelope_says_which_device_it_is() -> None:
    """`include_device` wraps the payload, byte for byte, beside what the manifest says of device and product."""
    plan = compile_plan(LOT, OUT, build(rule(include_device=True), services=(STATUS,)))
    payload = b'{ "status": "0", "x": 1.0 }'
    ((_, [record]),) = records(plan, payload)
    assert record.value is not None
    assert payload in record.value
    assert json.loads(record.value) == {
        "device": {
            "product": "sensor",
            "name": "lot-1",
            "app": "city",
            "tags": ["north"],
            "manufacturer": "Acme",
            "model": "PS-1",
            "device_type": "Default Type",
        },
        "data": {"status": "0", "x": 1.0},
    }


def test_base64_encodes_the_payload() -> None:
    """`base64` alone makes the value the payload's base64 text; any bytes may be sent."""
    plan = compile_plan(LOT, OUT, build(rule(base64=True)))
    assert records(plan, b"\xff\xfe\xfd" * 30) == [("t", [Record(b"lot-1", b"//79" * 30, 1000)])]


def test_base64_in_an_envelope_encodes_only_data() -> None:
    """With `include_device` only `data` is base64, as a JSON string."""
    plan = compile_plan(LOT, OUT, build(rule(base64=True, include_device=True)))
    ((_, [record]),) = records(plan, b"\xff\xfe\xfd")
    assert record.value is not None
    envelope = json.loads(record.value)
    assert envelope["data"] == "//79"
    assert envelope["device"]["name"] == "lot-1"


def test_an_envelope_takes_only_json_where_nothing_else_checks() -> None:
    """A payload that is not JSON stays out of a JSON envelope: it could claim to be from another device."""
    forged = b'1},"device":{"name":"lot-2"},"data":{"x":1'
    directory = build(rule("a", include_device=True, to=("wrapped",)), rule("b", to=("plain",)))
    plan = compile_plan(LOT, OUT, directory)
    assert plan.check is None
    wrapped, plain = records_for(plan, [b"1", forged, b'"x"', b""], 1000)
    assert [json.loads(record.value or b"")["data"] for record in wrapped.records] == [1, "x"]
    assert len(wrapped.refused) == 2
    assert all("not JSON" in reason for reason in wrapped.refused)
    assert [record.value for record in plain.records] == [b"1", forged, b'"x"', b""]
    assert plain.refused == []


def test_a_thing_model_makes_the_second_check_unnecessary() -> None:
    """Where the thing model has parsed the payload, it is not parsed again for the envelope."""
    (forward,) = compile_plan(LOT, OUT, build(rule(include_device=True), services=(STATUS,))).forwards
    assert forward.check is None


@pytest.mark.parametrize(
    ("key", "payload", "expected"),
    [
        ("device", b'{"lot":"a"}', b"lot-1"),
        ("none", b'{"lot":"a"}', None),
        ("lot", b'{"lot":"a"}', b"a"),
        ("lot", '{"lot":"é"}'.encode(), "é".encode()),
        ("lot", b'{"lot":17}', b"17"),
        ("lot", b'{"lot":1.5}', b"1.5"),
        ("lot", b'{"lot":true}', b"true"),
        ("lot", b'{"lot":{"b": [1, 2]}}', b'{"b":[1,2]}'),
        ("lot", b'{"lot":""}', b""),
        ("lot", b'{"lot":null}', None),
        ("lot", b"{}", None),
        ("lot", b"[]", None),
        ("lot", b"not json", None),
        ("lot", b"[" * 100_000, None),
        ("lot.id", b'{"lot":{"id":"a"}}', b"a"),
        ("lot.id", b'{"lot":"a"}', None),
        ("lots.1.id", b'{"lots":[{},{"id":"b"}]}', b"b"),
        ("lots.2", b'{"lots":["a","b"]}', None),
        ("lots.-1", b'{"lots":["a","b"]}', None),
        ("lots." + "9" * 5000, b'{"lots":["a","b"]}', None),
        ("0", b'{"0":"a"}', b"a"),
    ],
)
def test_keys(key: str, payload: bytes, expected: bytes | None) -> None:
    """The key is the device, nothing, or a field of the payload; a field that is not there is no key."""
    plan = compile_plan(LOT, OUT, build(rule(key=key, base64=True)))
    ((_, [record]),) = records(plan, payload)
    assert record.key == expected


def test_a_key_is_constant_where_it_can_be() -> None:
    """Only a path is read out of each payload; otherwise the session may keep the partition."""
    plan = compile_plan(LOT, OUT, build(rule("a"), rule("b", key="none"), rule("c", key="lot")))
    assert [(forward.key, forward.extract_key is None) for forward in plan.forwards] == [
        (b"lot-1", True),
        (None, True),
        (None, False),
    ]


def test_several_rules_and_targets() -> None:
    """Each target of each enabled rule gets its record, in the order of names; the same topic twice gets two."""
    directory = build(rule("b", to=("x", "y")), rule("a", to=("x",)), rule("c", to=("z",), enabled=False))
    plan = compile_plan(LOT, OUT, directory)
    assert [(forward.rule, forward.topic) for forward in plan.forwards] == [("a", "x"), ("b", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("topic", "reports", "sent"),
    [
        (None, True, False),
        ("sensor/out/+", True, False),
        ("sensor/out/#", True, False),
        ("sensor/out/lot-1", True, False),
        ("sensor/out/lot-2", False, False),
        ("sensor/in/+", False, True),
        ("sensor/#", True, True),
        ("+/+/lot-1", True, True),
        ("#", True, True),
        ("other/#", False, False),
    ],
)
def test_a_rule_takes_the_topics_that_its_filter_matches(topic: str | None, reports: bool, sent: bool) -> None:  # noqa: FBT001
    """Left out, the filter means the reports; a filter may also take what apps send to the device."""
    directory = build(rule(topic=topic))
    assert bool(compile_plan(LOT, OUT, directory).forwards) == reports
    assert bool(compile_plan(CITY, IN, directory).forwards) == sent


def test_named_devices_only() -> None:
    """A source that names devices takes no other; several sources of one rule count once."""
    named = RuleSource(product="sensor", devices=("lot-1",))
    others = RuleSource(product="sensor", devices=("lot-2",))
    everything = RuleSource(product="sensor")
    other_product = RuleSource(product="meter")
    assert len(compile_plan(LOT, OUT, build(rule(sources=(named, everything)))).forwards) == 1
    assert len(compile_plan(LOT, OUT, build(rule(sources=(others, other_product)))).forwards) == 0


def test_what_an_app_sends_is_not_held_to_the_thing_model() -> None:
    """A thing model says what reports look like; commands to a device are the app's own affair."""
    directory = build(rule(topic="sensor/in/+", include_device=True), services=(STATUS,))
    plan = compile_plan(CITY, IN, directory)
    assert plan.check is None
    (batch,) = records_for(plan, [b'{"open":true}', b"\x01"], 1000)
    assert [record.key for record in batch.records] == [b"lot-1"]
    assert len(batch.refused) == 1


def test_an_app_may_send_to_a_device_that_is_not_known() -> None:
    """The envelope then says of the device what its product says."""
    plan = compile_plan(CITY, "sensor/in/later", build(rule(topic="#", include_device=True)))
    ((_, [record]),) = records(plan, b"1")
    assert (
        json.loads(record.value or b"")["device"] | {"tags": [], "app": "city", "name": "later"}
        == json.loads(record.value or b"")["device"]
    )


def test_a_plan_follows_the_directory() -> None:
    """After a change the next plan is another one, and the version says that it is time to ask."""
    directory = build(rule())
    version = directory.version
    assert len(compile_plan(LOT, OUT, directory).forwards) == 1
    directory.remove("rule", "r")
    assert directory.version != version
    assert compile_plan(LOT, OUT, directory).forwards == ()
    directory.put_device(DeviceEntry("sensor", "lot-1", "city", b"s", enabled=False))
    assert not compile_plan(LOT, OUT, directory).allowed


def test_one_record_is_the_first_of_many() -> None:
    """A forward makes of one payload what it makes of a batch of one."""
    (forward,) = compile_plan(LOT, OUT, build(rule(include_device=True), services=(STATUS,))).forwards
    assert [forward.record(REPORT, 7)] == forward.records([REPORT], 7)


def test_a_random_suffix_spreads_the_batches_of_a_key() -> None:
    """Records of one read keep one key, those of many reads get many; a record without a key stays without."""
    for key, prefix in (("device", b"lot-1~"), ("status", b"0~")):
        plan = compile_plan(LOT, OUT, build(rule(key=key, key_suffix="random")))
        assert not plan.forwards[0].fixed
        batches = [records(plan, REPORT, REPORT)[0][1] for _ in range(200)]
        keys = [batch[0].key for batch in batches]
        assert all(batch[0].key == batch[1].key for batch in batches)
        assert all(one is not None and one.startswith(prefix) for one in keys)
        assert {partition_for_key(one, 8) for one in keys if one is not None} == set(range(8))
    plan = compile_plan(LOT, OUT, build(rule(key="absent", key_suffix="random")))
    assert records(plan, REPORT)[0][1][0].key is None


def allowing(*topics: str) -> tuple[AclEntry, ...]:
    return tuple(AclEntry(allow="all", topic=topic) for topic in topics)


def with_acl(*rules: Rule, topics: tuple[str, ...], services: tuple[Service, ...] = ()) -> Directory:
    directory = build(*rules, services=services)
    directory.put_product(product(services=services, acl=allowing(*topics)))
    return directory


def test_a_rule_takes_what_the_list_lets_a_device_publish() -> None:
    """A topic beyond the device's own needs a rule that names it; the record is the device's, whatever the topic."""
    directory = with_acl(rule(topic="open/+/x"), topics=("open/#",))
    (forward,) = compile_plan(LOT, "open/a/x", directory).forwards
    assert forward.key == b"lot-1"
    assert compile_plan(LOT, "open/a", directory) == Plan(allowed=True)
    assert compile_plan(LOT, OUT, directory).forwards == ()
    assert compile_plan(LOT, "open/a/x", with_acl(rule(), topics=("open/#",))).forwards == ()


def test_a_topic_below_the_own_one_is_no_report() -> None:
    """The thing model says what a report to `<product>/out/<device>` looks like, and of nothing else."""
    directory = with_acl(rule(topic="sensor/out/#"), topics=("sensor/out/lot-1/#",), services=(STATUS,))
    assert compile_plan(LOT, OUT, directory).check is not None
    below = compile_plan(LOT, f"{OUT}/log", directory)
    assert below.check is None
    assert [forward.key for forward in below.forwards] == [b"lot-1"]


def test_nobody_reports_as_another_device() -> None:
    """With the right to publish to another's topic a device is still itself: that device's rules take nothing."""
    named = RuleSource(product="sensor", devices=("lot-2",))
    directory = with_acl(rule("a"), rule("b", sources=named), rule("c", topic="sensor/out/+"), topics=("#",))
    plan = compile_plan(LOT, "sensor/out/lot-2", directory)
    assert [(forward.rule, forward.key) for forward in plan.forwards] == [("c", b"lot-1")]


def test_a_passing_devices_reports_go_through_rules_like_a_devices() -> None:
    """Its client id stands where the device's name does, in topic, key and envelope."""
    directory = with_acl(rule(include_device=True), topics=("${productId}/out/${deviceId}",), services=(STATUS,))
    plan = compile_plan(AnonymousIdentity("sensor", "phone"), "sensor/out/phone", directory)
    assert plan.check is not None
    ((_, [record]),) = records(plan, REPORT)
    assert record.key == b"phone"
    assert json.loads(record.value or b"")["device"]["name"] == "phone"
    assert not compile_plan(AnonymousIdentity("sensor", "phone"), OUT, directory).allowed


def test_what_an_app_says_elsewhere_is_about_no_device() -> None:
    """An app's message to a topic that names no device is taken by no rule, and delivered like any other."""
    directory = with_acl(rule(topic="#"), topics=("open/#",))
    assert compile_plan(CITY, "open/x", directory) == Plan(allowed=True)


def test_events_of_connections_go_where_lifecycle_rules_say() -> None:
    """They take no reports, and rules for reports take no events; a list of sources may have both."""
    events = RuleSource(product="sensor", lifecycle=True)
    named = RuleSource(product="sensor", lifecycle=True, devices=("lot-2",))
    both = (events, RuleSource(product="sensor"))
    directory = build(
        rule("a", sources=events, include_device=True), rule("b", sources=named), rule("c"), rule("d", sources=both)
    )
    assert [forward.rule for forward in compile_lifecycle("sensor", "lot-1", directory)] == ["a", "d"]
    assert [forward.rule for forward in compile_lifecycle("sensor", "lot-2", directory)] == ["a", "b", "d"]
    assert [forward.rule for forward in compile_plan(LOT, OUT, directory).forwards] == ["c", "d"]
    assert compile_lifecycle("nothing", "lot-1", directory) == ()
    record = compile_lifecycle("sensor", "lot-1", directory)[0].record(b'{"event":"online"}', 7)
    assert record.key == b"lot-1"
    assert json.loads(record.value or b"")["data"] == {"event": "online"}


def test_whether_any_rule_asks_for_events_is_known_at_once() -> None:
    """Where none does, sessions make no events."""
    events = RuleSource(product="sensor", lifecycle=True)
    directory = build(rule("a", sources=events), rule("b"))
    assert directory.has_lifecycle_rules
    directory.put_rule(rule("a"))
    assert not directory.has_lifecycle_rules
    directory.put_rule(rule("b", sources=(events,)))
    directory.remove("rule", "b")
    assert not directory.has_lifecycle_rules
    disabled = build(rule("a", sources=events, enabled=False))
    assert compile_lifecycle("sensor", "lot-1", disabled) == ()
