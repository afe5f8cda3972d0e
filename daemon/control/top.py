"""What every actor does now, and who holds back whom: `/top`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from quart import Blueprint, Response

from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import answer


class TopEngine(Protocol):
    """What the API asks for."""

    async def top(self) -> Mapping[str, Any]:
        """The tree with its mailboxes and rates, and the hops with what holds them back; see `daemon.top.view`."""


def top_family(engine: TopEngine) -> Family:
    """Look at the whole instance."""
    summary = "Every actor's state, mailbox, rates and restarts; every hop, and which ones hold back the others"
    return Family(partial(_blueprint, engine), (Operation("GET", "/api/v1/top", summary),))


def _blueprint(engine: TopEngine) -> Blueprint:
    blueprint = Blueprint("top", __name__)

    @blueprint.get("/top")
    async def top() -> Response:
        requests.only(())
        return answer(await engine.top())

    return blueprint
