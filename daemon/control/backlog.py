"""Who lags and why, and what was done about it: `/backlog`, `/audit`."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from quart import Blueprint, Response, request

from actors.doctor.messages import Diagnosis
from actors.ports import AuditEntry
from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, answer

_ENTRIES = 100
_MOST_ENTRIES = 1000


class BacklogEngine(Protocol):
    """What the API asks of the doctor; each method raises PenstockError with a text for a person."""

    def diagnoses_of(self, *, topic: str | None = None, group: str | None = None) -> Sequence[Diagnosis]:
        """Every group of a topic, one group, or all, the worst first."""

    async def audit(self, limit: int) -> Sequence[AuditEntry]:
        """The last entries of the audit log, the newest first."""


def backlog_family(engine: BacklogEngine) -> Family:
    """`/backlog` and `/audit`."""
    operations = (
        Operation("GET", "/api/v1/backlog", "Who lags, why, and what helps; the worst first", ("topic", "group")),
        Operation("GET", "/api/v1/audit", "What was done to resources, by whom, with before and after", ("limit",)),
    )
    return Family(lambda: _blueprint(engine), operations)


def _blueprint(engine: BacklogEngine) -> Blueprint:
    blueprint = Blueprint("backlog", __name__)

    @blueprint.get("/backlog")
    async def backlog() -> Response:
        requests.only(("topic", "group"))
        found = engine.diagnoses_of(topic=request.args.get("topic"), group=request.args.get("group"))
        return answer({"groups": [diagnosis_json(one) for one in found]})

    @blueprint.get("/audit")
    async def audit() -> Response:
        requests.only(("limit",))
        return answer({"entries": [msgspec.to_builtins(one) for one in await engine.audit(_limit())]})

    return blueprint


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """A diagnosis as JSON; null is what is not known (yet)."""
    shown: dict[str, Any] = msgspec.to_builtins(diagnosis)
    return shown


def _limit() -> int:
    given = request.args.get("limit", str(_ENTRIES))
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given) <= _MOST_ENTRIES:
        reason = f"expected a number from 1 to {_MOST_ENTRIES}"
        raise RequestError("the query cannot be used", HTTPStatus.BAD_REQUEST, [{"path": "limit", "reason": reason}])
    return int(given)
