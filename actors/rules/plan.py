"""What becomes of a message that a client publishes: decided once for each topic, kept until the directory changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.directory.directory import Directory, sources
from actors.directory.identities import Identity
from actors.directory.rights import DeviceTopic, may_publish, parse_topic
from actors.directory.thing_model import Checker, check_json
from actors.rules.envelope import around_payload, device_information
from actors.rules.forward import Batch, Forward
from actors.rules.keys import compile_key, constant_key
from actors.wire.mqtt.topics import matches
from config.resources import Rule


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of messages to one topic by one client.

    Where `allowed` is false the rest is empty. `check` tells why a payload breaks the product's thing model (None
    where any payload is good); `forwards` are the targets of all rules that match, none where no rule does.
    """

    allowed: bool
    place: DeviceTopic | None = None
    check: Checker | None = None
    forwards: tuple[Forward, ...] = ()


_DENIED = Plan(allowed=False)


def compile_plan(identity: Identity, topic: str, directory: Directory) -> Plan:
    """Decide what becomes of what `identity` publishes to `topic`; good until `directory.version` changes.

    Reports of devices (`out`) are checked against the thing model; what apps send (`in`) is not, as a thing model
    says what reports look like.
    """
    place = parse_topic(topic)
    product = directory.product(place.product) if place is not None else None
    if place is None or product is None or not may_publish(identity, topic, directory):
        return _DENIED
    check = directory.checker(product.name) if place.direction == "out" else None
    rules = [rule for rule in directory.rules(place.product, place.device) if _takes(rule, place)]
    information = device_information(product, place.device, directory.device(place.product, place.device))
    forwards = tuple(
        _forward(rule, target.topic, place, information, may_be_any=check is None)
        for rule in rules
        for target in rule.to
    )
    return Plan(allowed=True, place=place, check=check, forwards=forwards)


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


def _takes(rule: Rule, place: DeviceTopic) -> bool:
    return rule.enabled and any(
        source.product == place.product
        and (source.devices == "all" or place.device in source.devices)
        and matches(source.topic or f"{place.product}/out/+", str(place))
        for source in sources(rule)
    )


def _forward(rule: Rule, topic: str, place: DeviceTopic, information: bytes, *, may_be_any: bool) -> Forward:
    prefix, suffix = around_payload(information, base64=rule.base64) if rule.include_device else (b"", b"")
    # A payload that is not JSON would make the whole envelope unreadable, or say that it is from another device.
    check = check_json if may_be_any and rule.include_device and not rule.base64 else None
    return Forward(
        rule=rule.name,
        topic=topic,
        key=constant_key(rule.key, place.device),
        prefix=prefix,
        suffix=suffix,
        base64=rule.base64,
        extract_key=compile_key(rule.key),
        check=check,
        spread=rule.key_suffix == "random",
    )
