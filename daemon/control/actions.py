"""What one does with resources: apply, start, stop, rotate, disconnect, test, look into, back up."""

from __future__ import annotations

import dataclasses
from http import HTTPStatus
from pathlib import Path
from typing import Any

from quart import Blueprint, Response, request

from actors.ports import ConnectionReport
from config.resources.identity import Identity
from daemon.control import requests
from daemon.control.context import Control
from daemon.control.problems import RequestError, answer
from daemon.control.results import applied_json

_MAX_FILE_NAME = 256


def actions_blueprint(control: Control) -> Blueprint:
    """`/apply`, `/backup`, and `/{kind}s/{name}/{verb}`."""
    blueprint = Blueprint("actions", __name__)
    _apply_and_backup(blueprint, control)
    _tasks_and_devices(blueprint, control)
    _connections(blueprint, control)
    return blueprint


def _apply_and_backup(blueprint: Blueprint, control: Control) -> None:
    @blueprint.post("/apply")
    async def apply() -> Response:
        requests.only(("plan", "allow_unreachable"))
        applied = await control.service.apply(
            await requests.manifest(),
            file=_file_name(),
            plan=requests.flag("plan"),
            allow_unreachable=requests.flag("allow_unreachable"),
        )
        shown = applied_json(applied)
        # A plan generates nothing that will ever be used.
        return answer({**shown, "generated": []} if requests.flag("plan") else shown)

    @blueprint.post("/backup")
    async def backup() -> Response:
        requests.only(())
        return answer(await control.engine.backup(_folder(await requests.json_body())))


def _tasks_and_devices(blueprint: Blueprint, control: Control) -> None:
    @blueprint.post("/tasks/<name>/start")
    async def start(name: str) -> Response:
        await control.service.set_task_enabled(name, enabled=True)
        return answer(control.engine.status(Identity("task", name)))

    @blueprint.post("/tasks/<name>/stop")
    async def stop(name: str) -> Response:
        await control.service.set_task_enabled(name, enabled=False)
        return answer(control.engine.status(Identity("task", name)))

    @blueprint.post("/devices/<product>/<name>/rotate-secret")
    async def rotate_secret(product: str, name: str) -> Response:
        return answer({"secret": await control.service.rotate_secret(Identity("device", f"{product}/{name}"))})

    @blueprint.post("/devices/<product>/<name>/disconnect")
    async def disconnect(product: str, name: str) -> Response:
        target = control.service.require(Identity("device", f"{product}/{name}")).identity
        ended = await control.engine.disconnect_device(target, "an operator ended the session")
        return answer({"disconnected": ended})


def _connections(blueprint: Blueprint, control: Control) -> None:
    @blueprint.post("/connections/test")
    async def test_unsaved() -> Response:
        return answer(_report(await control.service.test_unsaved(await requests.manifest(), file=_file_name())))

    @blueprint.post("/connections/<name>/test")
    async def test(name: str) -> Response:
        return answer(_report(await control.service.test(name)))

    @blueprint.get("/connections/<name>/tables")
    async def tables(name: str) -> Response:
        control.service.require(Identity("connection", name))
        return answer({"tables": await control.engine.tables(name)})

    @blueprint.get("/connections/<name>/tables/<path:table>")
    async def columns(name: str, table: str) -> Response:
        control.service.require(Identity("connection", name))
        found = await control.engine.columns(name, table)
        return answer({"table": table, "columns": [dataclasses.asdict(column) for column in found]})


def _report(report: ConnectionReport) -> dict[str, Any]:
    return dataclasses.asdict(report)


def _file_name() -> str:
    """What the caller calls its manifest; only ever shown to the caller."""
    name = request.headers.get("X-Penstock-File", "manifest")
    return name[:_MAX_FILE_NAME] if name.isprintable() and name else "manifest"


def _folder(body: dict[str, Any]) -> Path:
    folder = body.get("folder")
    if not isinstance(folder, str) or not Path(folder).is_absolute() or "\0" in folder:
        reason = "expected the absolute path of a folder on the daemon's machine"
        raise RequestError("the body cannot be used", HTTPStatus.BAD_REQUEST, [{"path": "$.folder", "reason": reason}])
    return Path(folder)
