"""Diverted records on their way home: `/topics/{name}/bring-home`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from quart import Blueprint, Response

from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, answer


class HomecomingEngine(Protocol):
    """What the API asks of homecomings; raises PenstockError with a text for a person."""

    async def bring_home(self, topic: str, *, source: str = "", force: bool = False) -> Mapping[str, Any]:
        """Begin to bring home what was diverted by now, or say how far that has come."""

    def homecomings(self, topic: str) -> Sequence[Mapping[str, Any]]:
        """How far what was diverted from a topic has come, by the topic it was diverted to."""


def homecomings_family(engine: HomecomingEngine) -> Family:
    """Bring diverted records home."""
    return Family(
        partial(_blueprint, engine),
        (
            Operation(
                "POST",
                "/api/v1/topics/{name}/bring-home",
                "Move diverted records back in order; refused while the topic diverts, unless `force`",
            ),
            Operation("GET", "/api/v1/topics/{name}/bring-home", "How far diverted records have come home"),
        ),
    )


def _blueprint(engine: HomecomingEngine) -> Blueprint:
    blueprint = Blueprint("homecomings", __name__)

    @blueprint.get("/topics/<name>/bring-home")
    async def homecomings(name: str) -> Response:
        requests.only(())
        return answer({"items": engine.homecomings(name)})

    @blueprint.post("/topics/<name>/bring-home")
    async def bring_home(name: str) -> Response:
        requests.only(())
        body = await requests.json_body()
        unknown = set(body) - {"from", "force"}
        if unknown:
            raise _refused(min(unknown), "there is no such field; there are from, force")
        source, force = body.get("from", ""), body.get("force", False)
        if not isinstance(source, str):
            raise _refused("from", "expected the name of the topic that the records were diverted to")
        if not isinstance(force, bool):
            raise _refused("force", "expected true or false")
        return answer(await engine.bring_home(name, source=source, force=force), HTTPStatus.ACCEPTED)

    return blueprint


def _refused(field: str, reason: str) -> RequestError:
    return RequestError("the body cannot be used", details=[{"path": f"$.{field}", "reason": reason}])
