"""Functions: test, deploy, versions, switch, runs and their logs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from quart import Blueprint, Response, request

from actors.functions.library import Tried
from actors.functions.runs import LogLine, Run
from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, answer
from daemon.publishing.functions import FunctionLife
from daemon.store.function_versions import FunctionEntry, FunctionVersion

_MAX_REMARK = 1000


def functions_family(life: FunctionLife) -> Family:
    """The life of functions."""
    function = "/api/v1/functions/{name}"
    return Family(
        partial(_blueprint, life),
        (
            Operation("POST", f"{function}/test", "Run it as it is saved, deployed or not: {data}"),
            Operation("POST", f"{function}/deploy", "Run it as it is saved from now on, as a new version: {remark}"),
            Operation("GET", f"{function}/versions", "Versions that are kept, the newest first"),
            Operation("POST", f"{function}/switch", "Run another version: {version}"),
            Operation("GET", f"{function}/runs", "Its last runs, the newest first, with their logs", ("failed", "log")),
            Operation("GET", f"{function}/runs/{{number}}", "One of them, with its log"),
        ),
    )


def _blueprint(life: FunctionLife) -> Blueprint:
    blueprint = Blueprint("functions", __name__)
    _versions(blueprint, life)
    _runs(blueprint, life)
    return blueprint


def _versions(blueprint: Blueprint, life: FunctionLife) -> None:
    @blueprint.post("/functions/<name>/deploy")
    async def deploy(name: str) -> Response:
        requests.only(())
        remark = (await _body("remark")).get("remark", "")
        if not isinstance(remark, str) or len(remark) > _MAX_REMARK:
            raise _wrong("remark", f"expected text of at most {_MAX_REMARK} characters")
        return answer(_version(name, await life.deploy(name, remark), life.problem(name)))

    @blueprint.get("/functions/<name>/versions")
    async def versions(name: str) -> Response:
        requests.only(())
        return answer({"items": [_entry(one) for one in await life.versions(name)]})

    @blueprint.post("/functions/<name>/switch")
    async def switch(name: str) -> Response:
        requests.only(())
        version = (await _body("version")).get("version")
        if not isinstance(version, int) or isinstance(version, bool):
            raise _wrong("version", "expected the number of a version")
        return answer(_version(name, await life.switch(name, version), life.problem(name)))


def _runs(blueprint: Blueprint, life: FunctionLife) -> None:
    @blueprint.post("/functions/<name>/test")
    async def test(name: str) -> Response:
        requests.only(())
        body = await _body("data")
        return answer(_tried(await life.test(name, body.get("data"))))

    @blueprint.get("/functions/<name>/runs")
    async def runs(name: str) -> Response:
        requests.only(("failed", "log"))
        shown = _logged if requests.flag("log") else _run
        return answer({"items": [shown(one) for one in life.runs(name, failed=requests.flag("failed"))]})

    @blueprint.get("/functions/<name>/runs/<int:number>")
    async def run(name: str, number: int) -> Response:
        requests.only(())
        return answer(_logged(life.run(name, number)))


async def _body(*known: str) -> dict[str, Any]:
    """A JSON object, or nothing at all, only of these fields."""
    body = await requests.json_body() if await request.get_data() else {}
    for name in body:
        if name not in known:
            raise _wrong(name, f"this endpoint knows no such field; it takes {', '.join(known)}")
    return body


def _wrong(name: str, reason: str) -> RequestError:
    path = f"$.{name}"
    return RequestError("the body cannot be used", HTTPStatus.BAD_REQUEST, [{"path": path, "reason": reason}])


def _version(name: str, running: FunctionVersion, problem: str) -> dict[str, Any]:
    told = {"function": name, "version": running.version, "deployed": _time(running.at), "remark": running.remark}
    return told | ({"problem": problem} if problem else {})


def _entry(entry: FunctionEntry) -> dict[str, Any]:
    return {
        "version": entry.version,
        "deployed": _time(entry.at),
        "running": entry.running,
        "remark": entry.remark,
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "run": run.number,
        "at": _time(run.at),
        "version": run.version,
        "caller": run.caller,
        "called_by": run.called_by,
        "items": run.items,
        "failed": run.failed,
        "waited_milliseconds": _milliseconds(run.waited),
        "milliseconds": _milliseconds(run.seconds),
        "outcome": run.outcome,
        "reason": run.reason,
        "result_bytes": run.result_bytes,
        "lines": len(run.lines),
    }


def _logged(run: Run) -> dict[str, Any]:
    return _run(run) | {"log": [_line(one) for one in run.lines], "left_out": run.left_out}


def _tried(tried: Tried) -> dict[str, Any]:
    return {
        "outcome": tried.outcome,
        "result": tried.result,
        "error": tried.error,
        "milliseconds": _milliseconds(tried.seconds),
        "log": [_line(one) for one in tried.lines],
        "left_out": tried.left_out,
    }


def _line(line: LogLine) -> dict[str, Any]:
    return {"milliseconds": _milliseconds(line.after), "text": line.text}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
