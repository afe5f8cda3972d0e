"""Kind `route`: one API of the gateway, as callers see it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from config.resources.backends import DataBackend, DeviceBackend, MockBackend, TopicBackend
from config.resources.base import AppResource, Name
from config.resources.route_parts import Auth, Cache, Compression, Cors, HeaderName, Parameter, ResponseMapping

Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "ANY"]
Protocol = Literal["http", "https", "both"]

RELEASE = "RELEASE"
"""The environment that is always there, and that a call is for unless it says otherwise."""

TIMEOUT_MS = 60_000
"""How long a backend has, unless the route says otherwise."""


class RouteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a caller sends: a method and a path, whose `{parameters}` stand for one segment each.

    `match: prefix` takes it and every path below. `protocol` is what callers may speak. `undeclared: refuse` answers
    400 to a query or a body with a field that is not among `parameters`; else such fields go on to the backend.
    """

    path: Annotated[str, msgspec.Meta(pattern="^/", max_length=1024)]
    method: Method = "GET"
    match: Literal["exact", "prefix"] = "exact"
    protocol: Protocol = "both"
    parameters: tuple[Parameter, ...] = ()
    undeclared: Literal["take", "refuse"] = "take"


class RouteBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What answers: exactly one of `data`, `mock` and `topic`, or `name`, a resource of kind `backend`."""

    name: Name | None = None
    data: DataBackend | None = None
    mock: MockBackend | None = None
    topic: TopicBackend | None = None
    device: DeviceBackend | None = None

    def __post_init__(self) -> None:
        """Exactly one backend must be there."""
        given = [one for one in (self.name, self.data, self.mock, self.topic, self.device) if one is not None]
        if len(given) != 1:
            raise ValueError("a route has exactly one backend: `data`, `mock`, `topic` or `name` (of a backend)")


class SampleAnswers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Answers as documentation shows them: one of a success, one of a failure."""

    success: Any = None
    failure: Any = None


class Route(
    AppResource,
    tag_field="kind",
    tag="route",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """An API that callers see.

    It is published to RELEASE once applied, unless it says `publish: false`: then what is applied is a draft, which is
    tested, published, switched and taken offline by hand. `group` left out is the app's default one, which has the
    app's name. `enabled: false` serves it nowhere, whatever is published.

    `timeout_ms` is what the backend has. `retries` (-1: none) are made for methods that are idempotent (RFC 9110
    9.2.2), with `retry_any_method` for all. `concurrency` calls are answered at a time; `queue` more
    (left out: as many) wait for their turn, for `queue_ms` (left out: until the time-out); others get 503.
    `response_headers` changes what the backend answers: a text is set, each of a list is added to what is there, null
    takes the header away. A `private` route is left out of the documents and lists that other apps get.
    `throttles`, `access_lists` and `signature_key` name resources that apply to every version that is served.
    """

    request: RouteRequest
    backend: RouteBackend
    group: Name | None = None
    auth: Literal["none", "app", "iam"] | Auth = "app"
    visibility: Literal["public", "private"] = "public"
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = TIMEOUT_MS
    retries: Annotated[int, msgspec.Meta(ge=-1, le=10)] = 0
    retry_any_method: bool = False
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 128
    queue: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    queue_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] | None = None
    response: ResponseMapping = ResponseMapping()
    response_headers: dict[HeaderName, str | tuple[str, ...] | None] = {}
    cors: Cors | None = None
    compression: bool | Compression = False
    cache: Cache | None = None
    throttles: tuple[Name, ...] = ()
    access_lists: tuple[Name, ...] = ()
    signature_key: Name | None = None
    samples: SampleAnswers = SampleAnswers()
    publish: bool = True
    enabled: bool = True

    @property
    def group_name(self) -> str:
        """The API group that it belongs to."""
        return self.group or self.app
