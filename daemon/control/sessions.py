"""MQTT sessions that outlive their connections: `/sessions`, `/sessions/{session}`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Protocol

from quart import Blueprint, Response, request

from actors.device_session.registry.sessions import Account
from actors.device_session.registry.state import SessionState
from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, answer
from daemon.sessions import session_json, subscriptions_json


class SessionEngine(Protocol):
    """What the API asks of sessions; each method raises PenstockError with a text for a person."""

    def sessions(self, account: Account | None = None) -> Sequence[SessionState]:
        """Those of one account, or all of them."""

    def session(self, name: str) -> SessionState:
        """The session of that id."""

    async def drop(self, name: str) -> None:
        """End a session, with all that waits for it."""


def sessions_family(engine: SessionEngine) -> Family:
    """Look at sessions, and drop one."""
    return Family(
        partial(_blueprint, engine),
        (
            Operation(
                "GET",
                "/api/v1/sessions",
                "MQTT sessions that outlive their connections: whose, connected or not, what waits, when they expire",
                ("device", "app", "page", "size"),
            ),
            Operation("GET", "/api/v1/sessions/{session}", "One session, with its subscriptions"),
            Operation(
                "DELETE", "/api/v1/sessions/{session}", "End a session, its connection and all that waits for it"
            ),
        ),
    )


def _blueprint(engine: SessionEngine) -> Blueprint:
    blueprint = Blueprint("sessions", __name__)

    @blueprint.get("/sessions")
    async def list_sessions() -> Response:
        requests.only(("device", "app", "page", "size"))
        page = requests.page()
        found = engine.sessions(_account())
        items = [session_json(one) for one in found[page.start : page.start + page.size]]
        return answer({"items": items, "page": page.number, "size": page.size, "total": len(found)})

    @blueprint.get("/sessions/<name>")
    async def get_session(name: str) -> Response:
        requests.only(())
        state = engine.session(name)
        return answer(session_json(state) | {"subscriptions": subscriptions_json(state)})

    @blueprint.delete("/sessions/<name>")
    async def drop_session(name: str) -> Response:
        requests.only(())
        await engine.drop(name)
        return Response(b"", HTTPStatus.NO_CONTENT)

    return blueprint


def _account() -> Account | None:
    device, app = request.args.get("device"), request.args.get("app")
    if device is not None and app is not None:
        raise RequestError("a session belongs to a device or to an app: ask for one of both")
    if device is not None:
        return Account("device", device)
    return Account("app", app) if app is not None else None
