"""Kind `topic`: a durable, partitioned log of records."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, TopicName


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How long records are kept: whole segments go once older than `hours` or while their partition is over `bytes`."""

    hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 72
    bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Topic(
    AppResource,
    tag_field="kind",
    tag="topic",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A topic. `sync: true` puts records on disk before a producer is answered; partitions are never lowered."""

    name: TopicName
    access: Literal["publish", "subscribe", "publish+subscribe"] = "publish+subscribe"
    partitions: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1
    retention: Retention = Retention()
    sync: bool = True
    max_message_bytes: Annotated[int, msgspec.Meta(ge=1, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
