"""Kind `backend`: what answers behind routes; and the forms of it that a route may carry inline."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from config.resources.base import AppResource, Name, TopicName
from config.resources.route_parts import BackendParameter

StatementTimeout = Annotated[int, msgspec.Meta(ge=1, le=600_000)]


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One SQL statement, and the name of its result in the answer; `:name` and `${name}` are both bound.

    `timeout_ms` is what the statement has, its wait for a connection of the pool included; left out, only the route's
    own time-out counts.
    """

    connection: Name
    sql: Annotated[str, msgspec.Meta(min_length=1)]
    result: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = "default"
    timeout_ms: StatementTimeout | None = None


class DataBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """SQL: one statement written here, or several; `:name` is bound to the caller's parameter of that name.

    Several run one after the other, each in a transaction of its own, and the first that fails ends the call.
    `paging` adds `pageNo` and `pageSize` to one statement, and a total to its answer. `format` lays the answer out for
    people to read. `returns: stream` sends the values of one column as they are. `parameters` rename what the caller
    sends, or set what it cannot. `max_rows` and `max_bytes` bound the answer; the gateway's own bounds hold as well.
    """

    connection: Name | None = None
    sql: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    timeout_ms: StatementTimeout | None = None
    statements: tuple[Statement, ...] = ()
    paging: bool = False
    returns: Literal["json", "xml", "stream"] = "json"
    format: bool = False
    max_rows: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    parameters: tuple[BackendParameter, ...] = ()

    def __post_init__(self) -> None:
        """Either one statement or several must be there."""
        if self.statements and (self.connection is not None or self.sql is not None):
            raise ValueError("a data backend has `connection` and `sql`, or `statements`, not both")
        if self.statements and self.timeout_ms is not None:
            raise ValueError("with `statements` each of them has its own `timeout_ms`")
        if not self.statements and (self.connection is None or self.sql is None):
            raise ValueError("a data backend needs `connection` and `sql`, or `statements`")

    @property
    def all_statements(self) -> tuple[Statement, ...]:
        """Every statement, however it is written."""
        if self.connection is not None and self.sql is not None:
            return (Statement(connection=self.connection, sql=self.sql, timeout_ms=self.timeout_ms),)
        return self.statements


class FunctionBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A function answers: `name` is its resource's, and it gets the request as a JSON object.

    That has `method`, `path`, `path_parameters`, `query`, `headers` (names in lower case), `body` (text, or base64
    where `base64` is true), `parameters`, `caller`, `authorizer` (the context), `source_address`, `route`, `stage` and
    `request_id`. It answers `{"status": ..., "headers": {...}, "body": ...}`, or any other JSON value, which is the
    body of an answer of status 200. `parameters` rename what the caller sends, or set what it cannot.
    """

    name: Name
    parameters: tuple[BackendParameter, ...] = ()


class MockBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A fixed answer; a body that is not text is sent as JSON."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200
    headers: dict[str, str] = {}
    body: Any = ""


class TopicBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The body becomes a record of a topic, and the answer comes once it is stored.

    `key` is that of the record; `#name#` in it stands for an environment's variable, `{name}` for a parameter.
    """

    topic: TopicName
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None


DeviceBackend = dict[str, Any]
"""A command for a device; it may be written, and is refused until devices take commands."""


class BackendInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One thing that a backend takes from its caller; `test_default` serves tests only."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    place: Literal["header", "query"] = msgspec.field(name="in", default="query")
    required: bool = False
    test_default: str | int | float | bool | None = None
    description: str = ""


class Backend(
    AppResource,
    tag_field="kind",
    tag="backend",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A backend that several routes may use, and that is tested by itself.

    What is applied is a saved copy. `penstock backend deploy` makes it what is published from then on, and `penstock
    backend publish` makes or updates its route, which has its name, in `group` (left out: the app's default one).
    `format` lays JSON and XML out for people to read. With `signature_key` it answers only routes bound to that key.
    `backend_authorizer` is that of its routes that name none themselves.
    """

    path: Annotated[str, msgspec.Meta(pattern="^/", max_length=1024)]
    method: Literal["GET", "POST", "PUT", "DELETE"] = "GET"
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "1.0"
    group: Name | None = None
    inputs: tuple[BackendInput, ...] = ()
    signature_key: Name | None = None
    returns: Literal["json", "xml", "stream"] = "json"
    format: bool = False
    backend_authorizer: Name | None = None
    data: DataBackend | None = None
    function: FunctionBackend | None = None
    mock: MockBackend | None = None
    topic: TopicBackend | None = None
    device: DeviceBackend | None = None

    def __post_init__(self) -> None:
        """Exactly one form must be there."""
        if sum(one is not None for one in (self.data, self.function, self.mock, self.topic, self.device)) != 1:
            raise ValueError("a backend has exactly one form: `data`, `function`, `mock` or `topic`")
