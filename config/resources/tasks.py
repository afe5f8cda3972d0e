"""Kind `task`: moves the records of a topic into a table."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, Name, TopicName

OnDamage = Literal["stop", "skip"]
"""What to do about records that are not what was written: wait for a person, or go on after them."""

FieldType = Literal["string", "integer", "number", "boolean", "json"]


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A field read out of each record: `path` is dotted (`data.deviceId`, `readings.0.value`).

    With `function` it is what that answers, called for many records at once, each as `{"value": ..., "key": ...,
    "topic": ..., "partition": ..., "offset": ..., "timestamp": ...}`; `value` is what stands at `path`, or without one
    the whole record.
    """

    name: Name
    type: FieldType = "string"
    path: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    function: Name | None = None
    required: bool = True

    def __post_init__(self) -> None:
        """It must come from somewhere."""
        if self.path is None and self.function is None:
            raise ValueError("a field needs a `path`, or a `function` that makes it of the record")


class TaskSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where records come from and what is read out of them.

    At records that are damaged on disk the task stops, or it leaves them out, counts them, and goes on.
    """

    topic: TopicName
    start: Literal["earliest", "latest"] = "latest"
    on_damage: OnDamage = "stop"
    format: Literal["json"] = "json"
    fields: tuple[Field, ...] = ()


class TaskTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where rows go: `columns` maps a column to a field's name, or to one of $topic $partition $offset $timestamp $key.

    With `key` rows are upserted by those columns, without it they are inserted. `create` makes a missing table.
    """

    connection: Name
    table: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    columns: Annotated[dict[str, str], msgspec.Meta(min_length=1)]
    key: tuple[str, ...] = ()
    create: bool = False


class TaskBacklog(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What the daemon may do by itself about a backlog.

    `off`: nothing. `advise`: say in the log what would help. `auto`: do what is harmless, for as long as there is lag:
    more runners, up to `max_runners` (left out: one for each partition); larger transactions, up to `max_batch` rows
    (left out: as the settings have it); restart a runner that is stuck.
    """

    heal: Literal["off", "advise", "auto"] = "advise"
    max_runners: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    max_batch: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None


class Task(
    AppResource, tag_field="kind", tag="task", frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A running movement of data. `runners` at most as many as the topic has partitions; left out: one for all."""

    mode: Literal["realtime"] = "realtime"
    source: TaskSource
    target: TaskTarget
    runners: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1
    backlog: TaskBacklog = TaskBacklog()
    enabled: bool = True
