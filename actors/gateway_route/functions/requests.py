"""A call as the JSON object that functions get."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from actors.gateway_route.call import Call
from actors.http_calls.callers import CODE_HEADER
from actors.http_calls.errors import BAD_REQUEST, CallRefusedError
from config.resources import Auth, Route

# As many fields as a query may have anywhere in the gateway.
_MAX_FIELDS = 1_000
_NOTHING: frozenset[str] = frozenset()
# What an app or a user shows to the gateway lasts for years, and is nobody else's business.
_CREDENTIALS = frozenset({"authorization", "x-auth-token", "x-hw-appkey", CODE_HEADER})


def hidden_headers(route: Route) -> frozenset[str]:
    """The headers that the gateway itself checks for a route: what comes after that does not get to see them."""
    auth = route.auth
    if isinstance(auth, Auth):
        return _CREDENTIALS if auth.app is not None or auth.iam else _NOTHING
    return _NOTHING if auth == "none" else _CREDENTIALS


def request_data(call: Call, route: str, hidden: Collection[str]) -> dict[str, Any]:
    """All of a request: what the function of a backend gets, and that of a request mapping.

    Raises:
        CallRefusedError: 400, the query cannot be read.
    """
    request, caller = call.request, call.caller
    return {
        "method": request.method,
        "path": request.path,
        "path_parameters": dict(call.path),
        "query": query_fields(request.query),
        "headers": header_fields(request.headers, hidden),
        **body_fields(call.body),
        "parameters": dict(call.parameters),
        "caller": {"kind": caller.kind, "name": caller.name, "app": caller.app},
        "authorizer": dict(caller.claims),
        "source_address": call.peer_ip or request.peer,
        "route": route,
        "stage": call.stage,
        "request_id": call.request_id,
    }


def header_fields(headers: Iterable[tuple[str, str]], hidden: Collection[str] = _NOTHING) -> dict[str, str]:
    """Headers by their names in lower case; one that comes several times is one list (RFC 9110 5.3, RFC 6265 5.4)."""
    found: dict[str, str] = {}
    for written, value in headers:
        name = written.lower()
        if name not in hidden:
            before = found.get(name)
            found[name] = value if before is None else f"{before}{'; ' if name == 'cookie' else ', '}{value}"
    return found


def query_fields(query: str) -> dict[str, str | list[str]]:
    """The fields of a query string; one that comes several times is a list, in order.

    Raises:
        CallRefusedError: 400, it cannot be read.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        reason = f"the query string is not UTF-8 once decoded, or has more than {_MAX_FIELDS} fields"
        raise CallRefusedError(BAD_REQUEST, reason) from None
    found: dict[str, str | list[str]] = {}
    for name, value in pairs:
        before = found.get(name)
        match before:
            case None:
                found[name] = value
            case list():
                before.append(value)
            case _:
                found[name] = [before, value]
    return found


def body_fields(body: bytes) -> Mapping[str, Any]:
    """`body` as text, or as base64 with `base64` true where it is no UTF-8."""
    try:
        return {"body": body.decode(), "base64": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "base64": True}
