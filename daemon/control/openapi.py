"""The API's description (OpenAPI 3.1), made from the resources' own types, so that the two never differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from config.manifest import KINDS
from daemon.control.context import Family

_REF = "#/components/schemas/{name}"
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean", "default": False}
_VERBS = (
    ("/api/v1/tasks/{name}/start", "Start a task, now and at every start of the daemon"),
    ("/api/v1/tasks/{name}/stop", "Stop a task, until it is started again"),
    ("/api/v1/devices/{product}/{device}/rotate-secret", "Give a device a new secret, shown this once"),
    ("/api/v1/devices/{product}/{device}/disconnect", "End the living session of a device"),
    ("/api/v1/connections/{name}/test", "Test a stored connection"),
)
_READS = (
    ("/api/v1/connections/{name}/tables", "Tables and views of a connection"),
    ("/api/v1/connections/{name}/tables/{table}", "Columns of a table"),
    ("/api/v1/status", "Instance, version, addresses, settings that differ from their defaults"),
    ("/api/v1/tree", "The supervision tree"),
    ("/api/v1/openapi.json", "This description"),
)


def describe(version: str, families: Iterable[Family] = ()) -> dict[str, Any]:
    """The description of the whole API."""
    types, components = msgspec.json.schema_components(KINDS.values(), ref_template=_REF)
    schemas = dict(zip(KINDS, types, strict=True))
    paths: dict[str, Any] = {}
    for kind, schema in schemas.items():
        paths |= _of_kind(kind, schema)
    paths |= {path: {"post": _operation(text, path)} for path, text in _VERBS}
    paths |= {path: {"get": _operation(text, path)} for path, text in _READS}
    paths |= _manifest_paths()
    for operation in (one for family in families for one in family.operations):
        parameters = [_query(name, _TEXT) for name in operation.query]
        described = _operation(operation.summary, operation.path, None, *parameters)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penstock control API", "version": version},
        "paths": paths | _health_paths(),
        "components": {
            "schemas": {**components, "Problem": _problem()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _of_kind(kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    name = "{product}/{device}" if kind == "device" else "{name}"
    one = f"/api/v1/{kind}s/{name}"
    shown = {"allOf": [schema, {"type": "object", "properties": {"meta": _meta(), "status": {"type": "object"}}}]}
    listed = _object(items={"type": "array", "items": shown}, page=_integer(), size=_integer(), total=_integer())
    reader = (_query("visible_to", _TEXT),) if kind == "route" else ()
    pages = (_query("page", _integer()), _query("size", _integer()))
    filters = (_query("app", _TEXT), _query("tag", _TEXT), *reader, *pages)
    match = {"name": "If-Match", "in": "header", "schema": _TEXT}
    data = (_query("data", _FLAG),) if kind == "topic" else ()
    put = _operation(f"Create or replace a {kind}", one, shown, match, _query("allow_unreachable", _FLAG))
    put["requestBody"] = _body("application/json", schema)
    return {
        f"/api/v1/{kind}s": {"get": _operation(f"List {kind}s", "", listed, *filters)},
        one: {
            "get": _operation(f"One {kind}", one, shown),
            "put": put,
            "delete": _operation(f"Delete a {kind}; refused while something refers to it", one, None, match, *data),
        },
    }


def _manifest_paths() -> dict[str, Any]:
    result = _object(kind=_TEXT, name=_TEXT, result=_TEXT, fields=_list(_TEXT), warnings=_list(_TEXT))
    generated = _object(kind=_TEXT, name=_TEXT, field=_TEXT, value=_TEXT)
    published = _object(route=_TEXT, environment=_TEXT, version=_integer())
    applied = _object(results=_list(result), published=_list(published), generated=_list(generated))
    flags = (_query("plan", _FLAG), _query("allow_unreachable", _FLAG))
    apply = _operation("Make the instance hold what a manifest says", "", applied, *flags)
    test = _operation("Test a connection that need not be stored", "")
    backup = _operation("A consistent copy of the data folder, while running", "")
    apply["requestBody"] = test["requestBody"] = _body("application/yaml", _TEXT)
    backup["requestBody"] = _body("application/json", _object(folder=_TEXT))
    return {
        "/api/v1/apply": {"post": apply},
        "/api/v1/connections/test": {"post": test},
        "/api/v1/backup": {"post": backup},
    }


def _health_paths() -> dict[str, Any]:
    open_pages = {"/healthz": "The process answers", "/readyz": "Devices and callers are served"}
    paths = {path: {"get": {**_operation(text, ""), "security": []}} for path, text in open_pages.items()}
    metrics = _operation("Metrics in Prometheus' text format", "")
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": _TEXT}}
    return {**paths, "/metrics": {"get": metrics}}


def _operation(
    summary: str, path: str, shown: Mapping[str, Any] | None = None, *parameters: dict[str, Any]
) -> dict[str, Any]:
    named = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    in_path = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in named]
    return {
        "summary": summary,
        "parameters": [*in_path, *parameters],
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": shown or {"type": "object"}}}},
            "default": {
                "description": "A problem",
                "content": {"application/json": {"schema": {"$ref": _REF.format(name="Problem")}}},
            },
        },
    }


def _problem() -> dict[str, Any]:
    detail = _object(path=_TEXT, reason=_TEXT)
    return _object(error_code=_TEXT, error_msg=_TEXT, request_id=_TEXT, details=_list(detail))


def _meta() -> dict[str, Any]:
    moment = {"type": "string", "format": "date-time"}
    return _object(version=_integer(), created=moment, updated=moment)


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _integer() -> dict[str, Any]:
    return {"type": "integer"}


def _query(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _body(content_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {content_type: {"schema": schema}}}
