"""Kind `rule`: which reports go to which topics, and how."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, DeviceName, Name, TopicName


class RuleSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Whose reports: all devices of a product, or those named, published to MQTT topics that `topic` matches.

    Without `topic`: their own topics, `<product>/out/<device>`. With `lifecycle` it is not reports that are taken but
    what becomes of the devices' connections, as JSON: `{"event": "online" | "offline" | "will", "device": ...,
    "product": ..., "client_id": ..., "reason": ..., "time": <milliseconds since the epoch>}`.
    """

    product: Name
    lifecycle: bool = False
    devices: Literal["all"] | tuple[DeviceName, ...] = "all"
    topic: Annotated[str, msgspec.Meta(min_length=1)] | None = None


class RuleTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where to."""

    topic: TopicName


class RuleCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which reports a rule takes: those for which `function` answers true.

    It is called for many reports at once, each as `{"product": ..., "device": ..., "topic": ..., "time": <milliseconds
    since the epoch>, "data": <payload>}`; a payload that is not JSON comes as text, or where `base64` is true as that.

    A report for which it fails is dropped and counted (`on_error: drop`) or taken (`take`). Where it cannot be called
    at all, reports wait unacknowledged until it can.
    """

    function: Name
    on_error: Literal["drop", "take"] = "drop"


class Rule(
    AppResource, tag_field="kind", tag="rule", frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """Reports of the sources, or events of their connections, become records of the targets.

    With `include_device` a record's value is `{"device": {...}, "data": <payload>}`. `base64` encodes the payload (then
    `data` is a string). `key` is `device` (the device's name), `none`, or the path of a JSON field.
    `key_suffix: random` spreads the records of a key over the partitions; they do not stay in order then.
    """

    sources: RuleSource | Annotated[tuple[RuleSource, ...], msgspec.Meta(min_length=1)] = msgspec.field(name="from")
    to: Annotated[tuple[RuleTarget, ...], msgspec.Meta(min_length=1)]
    include_device: bool = False
    base64: bool = False
    key: Annotated[str, msgspec.Meta(min_length=1)] = "device"
    key_suffix: Literal["random"] | None = None
    condition: RuleCondition | None = None
    enabled: bool = True
