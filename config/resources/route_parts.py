"""The parts of a route: what callers send, who they are, and what becomes of requests and answers on their way."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Place = Literal["path", "query", "header", "body"]
BackendPlace = Literal["path", "query", "header", "body"]
ParameterType = Literal["string", "integer", "number", "boolean", "json"]
AppMethod = Literal["signature", "appcode", "secret", "basic"]

ParameterName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
HeaderName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$(?!\n)", max_length=128, description="a header's name")
]
SystemValue = Annotated[
    str,
    msgspec.Meta(
        pattern=(
            r"^(?:source_address|app|user|request_id|stage|method|path|rest_of_path|host|route|client_certificate|"
            r"authorizer\.[^\x00-\x1f]{1,128})$(?!\n)"
        ),
        description=(
            "a system value: source_address, app, user, request_id, stage, method, path, rest_of_path (what is below "
            "a prefix), host, route, client_certificate (the subject of the one that the caller showed), or "
            "authorizer.NAME (what the caller's authentication says under NAME, such as a token's claim)"
        ),
    ),
]

APP_METHODS: tuple[AppMethod, ...] = ("signature", "appcode", "secret", "basic")
"""Every way in which an app may show who it is."""


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One thing that a caller sends, checked before the backend sees it.

    `min` and `max` bound numbers, `min_length` and `max_length` text; `pattern` is found anywhere in the text unless it
    is anchored, as in OpenAPI. A parameter in the path is always required. One in the body is a field of its JSON
    object, or of its form. `json` takes whatever JSON is, and hands it on as its text.
    """

    name: ParameterName
    place: Place = msgspec.field(name="in")
    type: ParameterType = "string"
    required: bool = False
    default: str | int | float | bool | None = None
    min: int | float | None = None
    max: int | float | None = None
    min_length: Annotated[int, msgspec.Meta(ge=0)] | None = None
    max_length: Annotated[int, msgspec.Meta(ge=0)] | None = None
    enum: tuple[str | int | float | bool, ...] = ()
    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None
    description: str = ""


class BackendParameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One thing that the backend gets: exactly one of a caller's parameter, a constant and a system value."""

    name: ParameterName
    place: BackendPlace = msgspec.field(name="in", default="query")
    parameter: ParameterName | None = None
    constant: str | int | float | bool | None = None
    system: SystemValue | None = None

    def __post_init__(self) -> None:
        """Exactly one source must be there."""
        if sum(one is not None for one in (self.parameter, self.constant, self.system)) != 1:
            raise ValueError("what a backend gets comes from exactly one of `parameter`, `constant` and `system`")


class ResponseMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What becomes of the backend's answer.

    `status` maps one status to another. `headers` maps headers of the backend to those that the caller gets. `fields`
    maps a JSON answer's fields by dotted path to where the caller finds them: a number is an index of a list, and any
    other name goes through each object of a list. `constants` are put into a JSON answer by dotted path, and `system`
    values likewise.
    """

    status: dict[str, int] = {}
    headers: dict[str, str] = {}
    fields: dict[str, str] = {}
    constants: dict[str, Any] = {}
    system: dict[str, SystemValue] = {}


class Cors(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which pages of other origins may call (the Fetch standard's CORS protocol); the gateway answers preflights.

    `origins` are `*` or origins such as https://example.com. `methods` left out are the route's own. `headers` are what
    a page may send beyond what every page may, `expose` what it may read of an answer beyond that. Credentials and `*`
    do not go together. `max_age` is how many seconds a browser may remember it.
    """

    origins: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    methods: tuple[str, ...] = ()
    headers: tuple[HeaderName, ...] = ()
    expose: tuple[HeaderName, ...] = ()
    credentials: bool = False
    max_age: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 600


class Jwt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Bearer tokens (RFC 7519): exactly one of `jwks_file` and `jwks_url` has the keys. Times in seconds."""

    jwks_file: str | None = None
    jwks_url: str | None = None
    issuer: str | None = None
    audience: tuple[str, ...] = ()
    algorithms: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("RS256", "ES256")
    clock_skew: Annotated[int, msgspec.Meta(ge=0, le=900)] = 60
    required_claims: tuple[str, ...] = ()
    cache_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 300

    def __post_init__(self) -> None:
        """Exactly one place for keys must be there."""
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("jwt needs exactly one of `jwks_file` and `jwks_url`")


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Exactly one of: `app`, with the ways in which an app may show who it is; `iam`; `jwt`.

    `appcode_over_http` lets AppCodes travel unencrypted; `unsigned_payload` takes signatures that leave the body out.
    """

    app: Annotated[tuple[AppMethod, ...], msgspec.Meta(min_length=1)] | None = None
    iam: bool = False
    jwt: Jwt | None = None
    appcode_over_http: bool = False
    unsigned_payload: bool = False

    def __post_init__(self) -> None:
        """Exactly one way must be there."""
        if sum((self.app is not None, self.iam, self.jwt is not None)) != 1:
            raise ValueError("auth has exactly one of `app`, `iam` and `jwt`")


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Answers to GET and HEAD that are kept for `seconds`, keyed by path and what is named here; sizes in bytes.

    `query` left out is the whole query; where it is written, other parameters make no difference to an answer.
    `by_caller: false` lets all who may call share answers. For `stale_seconds` more an answer is given while one caller
    at a time fetches the next (RFC 5861 3), or while the backend fails (RFC 5861 4).
    """

    seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    query: tuple[ParameterName, ...] | None = None
    headers: tuple[HeaderName, ...] = ()
    by_caller: bool = True
    stale_seconds: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 16 * 1024 * 1024
    max_entries: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000


class Compression(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How answers of at least `min_bytes` are made smaller: by whichever of `codings` the caller prefers.

    Of those that a caller likes alike, the first. What is compressed already by its media type stays as it is.
    """

    codings: Annotated[tuple[Literal["zstd", "gzip"], ...], msgspec.Meta(min_length=1)] = ("zstd", "gzip")
    min_bytes: Annotated[int, msgspec.Meta(ge=0, le=1024 * 1024)] = 1024
