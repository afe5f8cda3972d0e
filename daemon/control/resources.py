"""Resources of every kind alike: list, get, put, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from quart import Blueprint, Response, request

from config.resources import AppResource, Route, RouteGrant
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.secret_fields import masked
from daemon.catalog.service import missing
from daemon.control import requests
from daemon.control.context import Control
from daemon.control.problems import answer
from daemon.control.results import applied_json
from daemon.publishing.visibility import is_shown
from daemon.store.model import StoredResource


def resources_blueprint(control: Control) -> Blueprint:
    """`/{kind}s` and `/{kind}s/{name}`."""
    blueprint = Blueprint("resources", __name__)
    catalog, service = control.service.catalog, control.service

    @blueprint.get("/<plural>")
    async def list_resources(plural: str) -> Response:
        kind = requests.kind_of(plural)
        requests.only(("app", "tag", "page", "size", *(("visible_to",) if kind == "route" else ())))
        page = requests.page()
        found = [
            one for one in catalog.of_kind(kind) if _matches(one, request.args.get("app"), request.args.get("tag"))
        ]
        reader = request.args.get("visible_to")
        if reader is not None:
            found = _visible(found, reader, catalog)
        items = [_shown(control, one) for one in found[page.start : page.start + page.size]]
        return answer({"items": items, "page": page.number, "size": page.size, "total": len(found)})

    @blueprint.get("/<plural>/<path:name>")
    async def get_resource(plural: str, name: str) -> Response:
        requests.only(())
        stored = service.require(requests.target_of(plural, name))
        return answer(_shown(control, stored), headers={"ETag": requests.etag(stored.meta.version)})

    @blueprint.put("/<plural>/<path:name>")
    async def put_resource(plural: str, name: str) -> Response:
        target = requests.target_of(plural, name)
        requests.only(("allow_unreachable",))
        text = _as_manifest(target, await requests.json_body())
        applied = await service.put(
            target, text, versions=requests.versions(), allow_unreachable=requests.flag("allow_unreachable")
        )
        step = next(step for step in applied.steps if step.identity == target)
        created = step.action == "created"
        body = {**_shown(control, service.require(target)), **applied_json(applied)}
        headers = {"ETag": requests.etag(step.after.meta.version)}
        return answer(body, HTTPStatus.CREATED if created else HTTPStatus.OK, headers)

    @blueprint.delete("/<plural>/<path:name>")
    async def delete_resource(plural: str, name: str) -> Response:
        target = requests.target_of(plural, name)
        requests.only(("data",) if target.kind == "topic" else ())
        data = requests.flag("data")
        # The files of a topic can still be asked away after the topic itself went.
        if catalog.get(target) is not None or not data:
            await service.delete(target, versions=requests.versions())
            if data:
                await service.delete_data(name)
        elif not await service.delete_data(name):
            raise missing(target)
        return Response(b"", HTTPStatus.NO_CONTENT)

    return blueprint


def _matches(stored: StoredResource, app: str | None, tag: str | None) -> bool:
    resource = stored.resource
    owner = resource.app if isinstance(resource, AppResource) else resource.name
    return (app is None or owner == app) and (tag is None or tag in resource.tags)


def _visible(routes: list[StoredResource], app: str, catalog: Catalog) -> list[StoredResource]:
    """Those that are shown to an app, as in a catalogue of APIs."""
    known = [one.resource for one in catalog.of_kind("grant") if isinstance(one.resource, RouteGrant)]
    grants = [one for one in known if one.to == app]
    return [one for one in routes if isinstance(one.resource, Route) and is_shown(one.resource, app, grants)]


def _shown(control: Control, stored: StoredResource) -> dict[str, Any]:
    meta = stored.meta
    return {
        **masked(stored.resource, stored.secrets),
        "meta": {"version": meta.version, "created": _time(meta.created), "updated": _time(meta.updated)},
        "status": control.engine.status(stored.identity),
    }


def _time(milliseconds: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_manifest(target: Identity, body: dict[str, Any]) -> bytes:
    """A body may be what GET showed: meta, status and results are not part of the resource."""
    shown_only = ("meta", "status", "results", "published", "generated")
    spec = {name: value for name, value in body.items() if name not in shown_only}
    *products, name = target.name.split("/", 1) if target.kind == "device" else [target.name]
    defaults = {"kind": target.kind, "name": name, **({"product": products[0]} if products else {})}
    return msgspec.json.encode(defaults | spec)
