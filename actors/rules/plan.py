"""What becomes of a message that a client publishes: decided once for each topic, kept until the directory changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from actors.directory.directory import Directory, sources
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity, Identity
from actors.directory.rights import DeviceTopic, parse_topic
from actors.directory.thing_model import Checker, check_json
from actors.rules.condition import Condition
from actors.rules.envelope import around_payload, device_information
from actors.rules.forward import Batch, Forward
from actors.rules.keys import compile_key, constant_key
from actors.wire.mqtt.topics import matches
from config.resources import Product, Rule, RuleSource


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of messages to one topic by one client.

    Where `allowed` is false the rest is empty. `place` says which device's topic it is, where it is one. `check` tells
    why a payload breaks the product's thing model (None where any payload is good); `forwards` are the targets of all
    rules that match, none where no rule does.
    """

    allowed: bool
    place: DeviceTopic | None = None
    check: Checker | None = None
    forwards: tuple[Forward, ...] = ()


_DENIED = Plan(allowed=False)


class _Origin(NamedTuple):
    """Whose message it is for the rules: the device that sent it, or the one that an app sends it to."""

    product: Product
    device: str
    own: str
    """The topic that a rule means which names none."""


def compile_plan(identity: Identity, topic: str, directory: Directory) -> Plan:
    """Decide what becomes of what `identity` publishes to `topic`; good until `directory.version` changes.

    Rules take what a device publishes as that device's, whatever topic it has a right to: a topic that has another
    device's name in it does not make it a report of that one. What is published as a device's report (to
    `<product>/out/<device>`) is checked against the thing model, anything else is not, as a thing model says what
    reports look like.
    """
    if not directory.rights(identity).may_publish(topic):
        return _DENIED
    place = parse_topic(topic)
    check = directory.checker(place.product) if place is not None and place.direction == "out" else None
    origin = _origin(identity, place, directory)
    if origin is None:
        return Plan(allowed=True, place=place, check=check)
    rules = [rule for rule in directory.rules(origin.product.name, origin.device) if _takes(rule, origin, topic)]
    forwards = _forwards(rules, origin, directory, topic, may_be_any=check is None)
    return Plan(allowed=True, place=place, check=check, forwards=forwards)


def compile_lifecycle(product: str, device: str, directory: Directory) -> tuple[Forward, ...]:
    """Where the events of a device's connections go (rules `from: {lifecycle: true}`); as a plan's forwards.

    Good until `directory.version` changes; none where no rule asks for them.
    """
    known = directory.product(product)
    if known is None:
        return ()
    rules = [rule for rule in directory.rules(product, device) if _follows(rule, product, device)]
    # Events are always JSON, so that there is nothing to check.
    return _forwards(rules, _Origin(known, device, ""), directory, "", may_be_any=False)


def records_for(plan: Plan, payloads: Sequence[bytes], timestamp: int) -> list[Batch]:
    """The records that payloads become, one batch for each forward of the plan, payloads in their order.

    The payloads have passed `plan.check`. For many payloads at once, as one socket read brings them: what is the same
    for all of them is looked up once.
    """
    return [_batch(forward, payloads, timestamp) for forward in plan.forwards]


def _batch(forward: Forward, payloads: Sequence[bytes], timestamp: int) -> Batch:
    if forward.check is None:
        return Batch(forward, forward.records(payloads, timestamp), [])
    reasons = [forward.check(payload) for payload in payloads]
    good = [payload for payload, reason in zip(payloads, reasons, strict=True) if reason is None]
    return Batch(forward, forward.records(good, timestamp), [reason for reason in reasons if reason is not None])


def _origin(identity: Identity, place: DeviceTopic | None, directory: Directory) -> _Origin | None:
    match identity:
        case DeviceIdentity(name, device) | AnonymousIdentity(name, device):
            own = f"{name}/out/{device}"
        case AppIdentity():
            # It is about the device that the topic names; about no other device can a rule ask.
            name, device = (place.product, place.device) if place is not None else ("", "")
            own = ""
        case _:
            assert_never(identity)
    product = directory.product(name)
    return _Origin(product, device, own) if product is not None else None


def _takes(rule: Rule, origin: _Origin, topic: str) -> bool:
    return rule.enabled and any(
        not source.lifecycle
        and _is_from(source, origin.product.name, origin.device)
        and (topic == origin.own if source.topic is None else matches(source.topic, topic))
        for source in sources(rule)
    )


def _follows(rule: Rule, product: str, device: str) -> bool:
    return rule.enabled and any(source.lifecycle and _is_from(source, product, device) for source in sources(rule))


def _is_from(source: RuleSource, product: str, device: str) -> bool:
    return source.product == product and (source.devices == "all" or device in source.devices)


def _forwards(
    rules: list[Rule], origin: _Origin, directory: Directory, topic: str, *, may_be_any: bool
) -> tuple[Forward, ...]:
    information = b""
    if any(rule.include_device for rule in rules):
        entry = directory.device(origin.product.name, origin.device)
        information = device_information(origin.product, origin.device, entry)
    return tuple(
        _forward(rule, target.topic, origin.device, information, _condition(rule, origin, topic), may_be_any=may_be_any)
        for rule in rules
        for target in rule.to
    )


def _condition(rule: Rule, origin: _Origin, topic: str) -> Condition | None:
    asked = rule.condition
    if asked is None:
        return None
    return Condition(
        rule.name, asked.function, rule.app, asked.on_error == "take", origin.product.name, origin.device, topic
    )


def _forward(
    rule: Rule, topic: str, device: str, information: bytes, condition: Condition | None, *, may_be_any: bool
) -> Forward:
    prefix, suffix = around_payload(information, base64=rule.base64) if rule.include_device else (b"", b"")
    # A payload that is not JSON would make the whole envelope unreadable, or say that it is from another device.
    check = check_json if may_be_any and rule.include_device and not rule.base64 else None
    return Forward(
        rule=rule.name,
        topic=topic,
        key=constant_key(rule.key, device),
        prefix=prefix,
        suffix=suffix,
        base64=rule.base64,
        extract_key=compile_key(rule.key),
        check=check,
        spread=rule.key_suffix == "random",
        condition=condition,
    )
