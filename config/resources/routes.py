"""Kind `route`: one API of the gateway."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from config.resources.base import AppResource, Name

Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "ANY"]


class RouteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a caller sends: a method and a path, whose `{parameters}` stand for one segment each."""

    path: Annotated[str, msgspec.Meta(pattern="^/", max_length=1024)]
    method: Method = "GET"


class DataBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One SQL statement; `:name` is bound to the path, query or body parameter of that name."""

    connection: Name
    sql: Annotated[str, msgspec.Meta(min_length=1)]


class MockBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A fixed answer; a body that is not text is sent as JSON."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200
    headers: dict[str, str] = {}
    body: Any = ""


class Backend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What answers: exactly one of `data` and `mock`."""

    data: DataBackend | None = None
    mock: MockBackend | None = None

    def __post_init__(self) -> None:
        """Exactly one backend must be there."""
        if (self.data is None) == (self.mock is None):
            raise ValueError("a route has exactly one backend: `data` or `mock`")


class Route(
    AppResource,
    tag_field="kind",
    tag="route",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """An API that callers see. It is served once applied, unless it says `publish: false`."""

    request: RouteRequest
    backend: Backend
    auth: Literal["none", "app"] = "app"
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = 60_000
    retries: Annotated[int, msgspec.Meta(ge=-1, le=0)] = 0
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 128
    publish: bool = True
    enabled: bool = True
