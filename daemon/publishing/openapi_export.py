"""Routes of a group as an OpenAPI 3.1 document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from actors.gateway_route.backends.paging import DEFAULT_SIZE, paging_parameters
from actors.gateway_route.published import Published
from actors.wire.http.responses import has_body
from config.resources import RELEASE, ApiGroup, Auth, Parameter, Route
from config.resources.route_parts import APP_METHODS
from daemon.publishing.urls import spoken

ANY_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
ROUTE = "x-penstock-route"
METHOD = "x-penstock-method"
MATCH = "x-penstock-match"
PROTOCOL = "x-penstock-protocol"
JSON = "application/json"

_SCHEMES: dict[str, dict[str, Any]] = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "SDK-HMAC-SHA256 Access=KEY, SignedHeaders=..., Signature=... (with X-Sdk-Date)",
    },
    "appcode": {"type": "apiKey", "in": "header", "name": "X-Apig-AppCode"},
    "secret": {"type": "apiKey", "in": "header", "name": "X-HW-AppKey", "description": "with the key in X-HW-ID"},
    "basic": {"type": "http", "scheme": "basic", "description": "an app's key and secret"},
    "iam": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    # What its function asks for, nobody but its author knows.
    "custom": {"type": "http", "scheme": "custom", "description": "Decided by an authorizer of the API's own."},
}
_ERROR = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("error_code", "error_msg", "request_id")},
    "required": ["error_code", "error_msg", "request_id"],
}
_MEDIA = {"json": JSON, "xml": "application/xml", "stream": "application/octet-stream"}
_BOUNDS = (
    ("min", "minimum"),
    ("max", "maximum"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("pattern", "pattern"),
    ("default", "default"),
)


def openapi(
    name: str, group: ApiGroup | None, published: Iterable[Published], servers: Sequence[str]
) -> dict[str, Any]:
    """The document of a group's routes, in one environment: of those that its reader may see."""
    paths: dict[str, dict[str, Any]] = {}
    used: set[str] = set()
    versions = sorted(published, key=lambda one: (one.route.request.match, one.route.request.path, one.route.name))
    for one in versions:
        schemes = _schemes(one.route)
        used |= set(schemes)
        own = one.route.request.method
        methods = ANY_METHODS if own == "ANY" else (own.lower(),)
        for method in methods:
            # A path of its own goes before a prefix, and a route of one method before one of any.
            operations = paths.setdefault(one.route.request.path, {})
            if method not in operations or (own != "ANY" and one.route.request.match == "exact"):
                operations[method] = _operation(one, method, schemes) | _own_servers(one, servers)
    title = group.title if group is not None and group.title else name
    info = {"title": title, "version": str(max((one.version for one in versions), default=0))}
    if group is not None and group.description:
        info["description"] = group.description
    return {
        "openapi": "3.1.0",
        "info": info,
        "servers": list(map(_server, servers)),
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {scheme: _SCHEMES[scheme] for scheme in sorted(used)},
        },
    }


def _server(url: str) -> dict[str, Any]:
    """A wildcard is a part of the name that callers choose."""
    if "//*." not in url:
        return {"url": url}
    chosen = {"default": "www", "description": "any one label"}
    return {"url": url.replace("//*.", "//{label}."), "variables": {"label": chosen}}


def _own_servers(published: Published, servers: Sequence[str]) -> dict[str, Any]:
    """Those of a route that does not take all that its group is called by."""
    taken = list(spoken(published, servers))
    return {} if len(taken) == len(servers) else {"servers": list(map(_server, taken))}


def _operation(published: Published, method: str, schemes: Sequence[str]) -> dict[str, Any]:
    route = published.route
    own = route.request.method
    written = [one for one in route.request.parameters if one.place != "body"]
    declared = {one.name for one in written if one.place == "path"}
    named = [segment[1:-1] for segment in route.request.path.split("/") if segment.startswith("{")]
    in_path = [_in_path(name) for name in named if name not in declared]
    operation: dict[str, Any] = {
        "operationId": route.name if own != "ANY" else f"{route.name}-{method}",
        ROUTE: route.name,
        "summary": route.title,
        "description": route.description,
        "tags": list(route.tags),
        "parameters": [
            *in_path,
            *map(_parameter, [*written, *_paging(published)]),
            *_stage(published.environment),
        ],
        "responses": _responses(published),
        "security": [{scheme: []} for scheme in schemes],
    }
    body = [one for one in route.request.parameters if one.place == "body"]
    if body:
        operation["requestBody"] = _body(body)
    if own == "ANY":
        operation[METHOD] = "ANY"
    if route.request.protocol != "both":
        operation[PROTOCOL] = route.request.protocol
    if route.request.match != "exact":
        operation[MATCH] = route.request.match
    return {key: value for key, value in operation.items() if value not in ("", []) or key == "security"}


def _schemes(route: Route) -> tuple[str, ...]:
    """Any one of these opens it; none: it is open."""
    auth = route.auth
    if isinstance(auth, Auth):
        return auth.app or (("iam",) if auth.iam else ("jwt",) if auth.jwt is not None else ("custom",))
    return {"none": (), "app": APP_METHODS, "iam": ("iam",)}[auth]


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameter(one: Parameter) -> dict[str, Any]:
    required = one.required or one.place == "path"
    shown: dict[str, Any] = {"name": one.name, "in": one.place, "required": required, "schema": _schema(one)}
    return shown | ({"description": one.description} if one.description else {})


def _schema(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = _type(one)
    schema |= {word: getattr(one, name) for name, word in _BOUNDS if getattr(one, name) is not None}
    return schema | ({"enum": list(one.enum)} if one.enum else {})


def _type(one: Parameter) -> dict[str, Any]:
    if one.type != "json":
        return {"type": one.type}
    # In a body anything that JSON is; elsewhere its text.
    return {} if one.place == "body" else {"type": "string", "contentMediaType": "application/json"}


def _stage(environment: str) -> list[dict[str, Any]]:
    if environment == RELEASE:
        return []
    schema = {"type": "string", "const": environment}
    return [{"name": "X-Stage", "in": "header", "required": True, "schema": schema}]


def _paging(published: Published) -> Iterable[Parameter]:
    """What callers may say beyond what the route declares."""
    data = published.backend.data
    if data is None or not data.paging:
        return ()
    added = paging_parameters(published.route.request.parameters, data.max_rows or DEFAULT_SIZE)
    # Where the backend has no limit of its own, that of the gateway holds, which is no part of the route.
    return added if data.max_rows else [msgspec.structs.replace(one, max=None) for one in added]


def _body(parameters: Sequence[Parameter]) -> dict[str, Any]:
    described = {
        one.name: _schema(one) | ({"description": one.description} if one.description else {}) for one in parameters
    }
    required = [one.name for one in parameters if one.required]
    schema = {"type": "object", "properties": described} | ({"required": required} if required else {})
    return {"required": bool(required), "content": {JSON: {"schema": schema}}}


def _responses(published: Published) -> dict[str, Any]:
    samples, (status, media) = published.route.samples, _success(published)
    done: dict[str, Any] = {"description": "Done"}
    if has_body(status):
        done["content"] = {media: _content({}, samples.success)}
    problem = {JSON: _content({"$ref": "#/components/schemas/Error"}, samples.failure)}
    return {str(status): done, "default": {"description": "A problem", "content": problem}}


def _content(schema: dict[str, Any], sample: Any) -> dict[str, Any]:
    return {"schema": schema} | ({} if sample is None else {"example": sample})


def _success(published: Published) -> tuple[int, str]:
    """Status and media type of what callers get when all goes well, as far as it is known beforehand."""
    backend, changed = published.backend, published.route.response.status
    if backend.data is not None:
        status, media = HTTPStatus.OK.value, _MEDIA[backend.data.returns]
    elif backend.mock is not None:
        headers = {name.lower(): value for name, value in backend.mock.headers.items()}
        text = isinstance(backend.mock.body, str) and backend.mock.body
        status, media = backend.mock.status, headers.get("content-type", "text/plain" if text else JSON)
    else:
        status, media = HTTPStatus.OK.value, JSON
    return changed.get(str(status), status), media
