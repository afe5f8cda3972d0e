"""Tests: one call of a route that nobody else can call, and all that became of it."""

from __future__ import annotations

import base64
import secrets
from time import perf_counter
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from actors.errors import PenstockError
from actors.gateway_route.call import Call, Caller
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.paths import Parameter, parse_route
from actors.gateway_route.published import Published
from actors.gateway_route.router import ANY, Router
from actors.wire.http.messages import Request, Response
from config.resources import RouteRequest

_SHOWN_BYTES = 64 * 1024
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class TrialError(PenstockError):
    """The call that a test asks for cannot be made."""


class TrialCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a test sends; `parameters` are those of the path by name, `rest` is what it is called by below a prefix.

    Without `method` it is the route's own.
    """

    method: str | None = None
    parameters: dict[str, str | int | float | bool] = {}
    rest: str = ""
    query: dict[str, str | int | float | bool] = {}
    headers: dict[str, str] = {}
    body: str = ""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The request as it was, the answer, and the milliseconds of each step, in order.

    `reasons` are those of an error, as callers never hear them.
    """

    request: dict[str, Any]
    answer: dict[str, Any]
    reasons: list[str]
    steps: list[dict[str, Any]]
    milliseconds: float


async def try_out(gateway: Gateway, published: Published, asked: TrialCall) -> Tried:
    """Call a version as its own app would, for real: what its backend does is done.

    Raises:
        TrialError: the call does not fit the route.
        ConfigurationError: the version cannot be served.
    """
    route = gateway.trial(published)
    request = _request(published, asked)
    router: Router[Published] = Router()
    written = published.route.request
    router.add(written.method, parse_route(written.path), published, prefix=written.match == "prefix")
    try:
        match = router.match(request.method, request.path)
    except ValueError as error:
        raise TrialError(f"{request.path} cannot be called: {error}") from error
    if match.value is None:
        raise TrialError(f"{request.method} {request.path} is not a call of route {published.route.name}")
    timings: list[tuple[str, float]] = []
    reasons: list[str] = []
    owner = published.route.app
    call = Call(
        request,
        f"test-{secrets.token_hex(8)}",
        published.environment,
        published.group,
        request.peer,
        caller=Caller("app", owner, owner),
        path=match.parameters,
        rest=match.rest,
        timings=timings,
        reasons=reasons,
    )
    started = perf_counter()
    response = await route.answer(call)
    seconds = perf_counter() - started
    return Tried(
        request=_shown_request(request),
        answer=await _shown(response),
        reasons=reasons,
        steps=[{"step": name, "milliseconds": _milliseconds(spent)} for name, spent in timings],
        milliseconds=_milliseconds(seconds),
    )


def _request(published: Published, asked: TrialCall) -> Request:
    own = published.route.request.method
    method = asked.method or ("GET" if own == ANY else own)
    headers = [(name.lower(), value) for name, value in asked.headers.items()]
    if asked.body and method not in _BODILESS and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    return Request(
        method,
        _path(published.route.request, asked),
        urlencode({name: _text(value) for name, value in asked.query.items()}),
        headers,
        asked.body.encode(),
        "127.0.0.1",
    )


def _path(request: RouteRequest, asked: TrialCall) -> str:
    path, parameters = request.path, asked.parameters
    if asked.rest and request.match == "exact":
        raise TrialError(f"the path {path} is exact: nothing is below it")
    segments = parse_route(path.removesuffix("/") + "/" if asked.rest else path)
    named = {segment.name for segment in segments if isinstance(segment, Parameter)}
    missing = sorted(named - {name for name, value in parameters.items() if value != ""})
    if missing:
        raise TrialError(f"the path {path} needs a value for {', '.join(missing)}")
    unknown = sorted(parameters.keys() - named)
    if unknown:
        raise TrialError(f"the path {path} has no parameter {', '.join(unknown)}")
    called = "".join(
        "/" + quote(_text(parameters[one.name]) if isinstance(one, Parameter) else one, safe="") for one in segments
    )
    return called + quote(asked.rest.removeprefix("/"))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown_request(request: Request) -> dict[str, Any]:
    body = request.body if isinstance(request.body, bytes) else b""
    target = f"{request.path}?{request.query}" if request.query else request.path
    return {"method": request.method, "target": target, "headers": dict(request.headers), **_body(body)}


async def _shown(response: Response) -> dict[str, Any]:
    return {"status": response.status, "headers": [list(one) for one in response.headers], **await _read(response)}


async def _read(response: Response) -> dict[str, Any]:
    """As much of the body as is shown; what is left of a stream is not asked for."""
    if isinstance(response.body, bytes):
        return _body(response.body)
    read = b""
    pieces = response.body
    try:
        async for piece in pieces:
            read += piece
            if len(read) > _SHOWN_BYTES:
                break
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    return _body(read)


def _body(body: bytes) -> dict[str, Any]:
    """Text as it is, else base64."""
    shown = body[:_SHOWN_BYTES]
    try:
        # A character that is cut in two is no reason to show none of them.
        text = shown.decode("utf-8", "strict" if len(shown) == len(body) else "ignore")
        part: dict[str, Any] = {"body": text}
    except UnicodeDecodeError:
        part = {"body_base64": base64.b64encode(shown).decode()}
    return part | ({"truncated": True} if len(shown) < len(body) else {})


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
