"""Routes and backends: test, deploy, publish, versions, switch, offline; and the documents of API groups."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from quart import Blueprint, Response, request

from actors.gateway_route.published import Published
from config.errors import ManifestError
from config.manifest import dump
from config.resources import RELEASE
from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, answer
from daemon.publishing.documents import Documents
from daemon.publishing.service import Publishing, decoded_call
from daemon.publishing.trial import Tried
from daemon.store.publications import VersionEntry

_MAX_REMARK = 1000


def publishing_family(publishing: Publishing, documents: Documents) -> Family:
    """The life of routes and backends."""
    route, backend = "/api/v1/routes/{name}", "/api/v1/backends/{name}"
    return Family(
        partial(_blueprint, publishing, documents),
        (
            Operation("POST", f"{route}/test", "Call a route as it is applied, published or not", ("environment",)),
            Operation("POST", f"{route}/publish", "Publish a new version: {environment, remark}"),
            Operation("GET", f"{route}/versions", "Versions that are kept, the newest first"),
            Operation("POST", f"{route}/switch", "Serve another version: {environment, version}"),
            Operation("POST", f"{route}/offline", "Serve it no more: {environment}"),
            Operation("POST", f"{backend}/test", "Call a backend as it is saved: {inputs}", ("environment",)),
            Operation("POST", f"{backend}/deploy", "Make the saved copy the one that is published from now on"),
            Operation("POST", f"{backend}/publish", "Make or update its route: {environment, remark}"),
            Operation(
                "GET",
                "/api/v1/api_groups/{name}/openapi",
                "The group's OpenAPI 3.1 document, as others or as an app get it",
                ("environment", "app"),
            ),
            Operation("POST", "/api/v1/routes/import", "OpenAPI document -> manifest of routes", ("app", "group")),
        ),
    )


def _blueprint(publishing: Publishing, documents: Documents) -> Blueprint:
    blueprint = Blueprint("publishing", __name__)
    _routes(blueprint, publishing)
    _backends(blueprint, publishing)
    _documents(blueprint, documents)
    return blueprint


def _routes(blueprint: Blueprint, publishing: Publishing) -> None:
    @blueprint.post("/routes/<name>/test")
    async def test(name: str) -> Response:
        requests.only(("environment",))
        asked = decoded_call(await _body())
        return answer(_tried(await publishing.test(name, asked, _environment_asked())))

    @blueprint.post("/routes/<name>/publish")
    async def publish(name: str) -> Response:
        requests.only(())
        body = await _body("environment", "remark")
        return answer(_published(await publishing.publish(name, _environment(body), _remark(body))))

    @blueprint.get("/routes/<name>/versions")
    async def versions(name: str) -> Response:
        requests.only(())
        return answer({"items": [_entry(one) for one in await publishing.versions(name)]})

    @blueprint.post("/routes/<name>/switch")
    async def switch(name: str) -> Response:
        requests.only(())
        body = await _body("environment", "version")
        version = body.get("version")
        if not isinstance(version, int) or isinstance(version, bool):
            raise _wrong("version", "expected the number of a version")
        return answer(_published(await publishing.switch(name, version, _environment(body))))

    @blueprint.post("/routes/<name>/offline")
    async def offline(name: str) -> Response:
        requests.only(())
        environment = _environment(await _body("environment"))
        await publishing.offline(name, environment)
        return answer({"route": name, "environment": environment, "version": None})


def _backends(blueprint: Blueprint, publishing: Publishing) -> None:
    @blueprint.post("/backends/<name>/test")
    async def test_backend(name: str) -> Response:
        requests.only(("environment",))
        inputs = (await _body("inputs")).get("inputs", {})
        if not isinstance(inputs, dict) or not all(isinstance(value, str) for value in inputs.values()):
            raise _wrong("inputs", "expected texts by name")
        return answer(_tried(await publishing.test_backend(name, inputs, _environment_asked())))

    @blueprint.post("/backends/<name>/deploy")
    async def deploy(name: str) -> Response:
        requests.only(())
        deployed = await publishing.deploy(name)
        return answer({"backend": name, "version": deployed.version, "deployed": _time(deployed.at)})

    @blueprint.post("/backends/<name>/publish")
    async def publish_backend(name: str) -> Response:
        requests.only(())
        body = await _body("environment", "remark")
        return answer(_published(await publishing.publish_backend(name, _environment(body), _remark(body))))


def _documents(blueprint: Blueprint, documents: Documents) -> None:
    @blueprint.get("/api_groups/<name>/openapi")
    async def export(name: str) -> Response:
        requests.only(("environment", "app"))
        return answer(documents.export(name, _environment_asked(), request.args.get("app")))

    @blueprint.post("/routes/import")
    async def import_routes() -> Response:
        requests.only(("app", "group", "backend"))
        app = request.args.get("app", "")
        text = await requests.manifest()
        try:
            routes = await documents.routes(
                text, app=app, group=request.args.get("group"), backend=request.args.get("backend")
            )
        except ManifestError as error:
            raise _unreadable(error) from error
        return answer({"manifest": dump(routes), "routes": [one.name for one in routes]})


async def _body(*known: str) -> dict[str, Any]:
    """A JSON object, or nothing at all; with `known`, only of these fields."""
    body = await requests.json_body() if await request.get_data() else {}
    for name in body:
        if known and name not in known:
            raise _wrong(name, f"this endpoint knows no such field; it takes {', '.join(known)}")
    return body


def _environment_asked() -> str:
    return request.args.get("environment", RELEASE)


def _environment(body: dict[str, Any]) -> str:
    return _text(body, "environment", RELEASE)


def _remark(body: dict[str, Any]) -> str:
    return _text(body, "remark", "")


def _text(body: dict[str, Any], name: str, default: str) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > _MAX_REMARK:
        raise _wrong(name, f"expected text of at most {_MAX_REMARK} characters")
    return value


def _unreadable(error: ManifestError) -> RequestError:
    details = [{"path": f"line {one.line}" if one.line else one.path, "reason": one.reason} for one in error.problems]
    return RequestError("no routes can be made of this document", HTTPStatus.BAD_REQUEST, details)


def _wrong(name: str, reason: str) -> RequestError:
    path = f"$.{name}"
    return RequestError("the body cannot be used", HTTPStatus.BAD_REQUEST, [{"path": path, "reason": reason}])


def _published(published: Published) -> dict[str, Any]:
    request_ = published.route.request
    return {
        "route": published.route.name,
        "group": published.group,
        "environment": published.environment,
        "version": published.version,
        "method": request_.method,
        "path": request_.path,
    }


def _entry(entry: VersionEntry) -> dict[str, Any]:
    return {
        "version": entry.version,
        "environment": entry.environment,
        "published": _time(entry.at),
        "remark": entry.remark,
        "served": entry.served,
    }


def _tried(tried: Tried) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(tried)
    return shown


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
