"""The control API as an ASGI application: who may ask, how many at once, and one shape of answer."""

from __future__ import annotations

import hmac
import itertools
import re
import secrets
from functools import partial
from http import HTTPStatus

from quart import Response, Websocket, g, request, websocket
from quart.typing import ResponseTypes
from quart.wrappers import Request
from quart_trio import QuartTrio

from daemon.control import authority, problems
from daemon.control.actions import actions_blueprint
from daemon.control.context import Control
from daemon.control.instance import health_blueprint, instance_blueprint
from daemon.control.resources import resources_blueprint

PREFIX = "/api/v1"
MAX_REQUESTS = 64
_HEALTH = frozenset({"/healthz", "/readyz"})
_OPEN_PATHS = _HEALTH | {authority.PATH}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def create_app(control: Control) -> QuartTrio:
    """Build the API around what it works on."""
    app = QuartTrio("penstock.control", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = control.max_body_bytes
    # What is installed below are coroutines all of them: Quart would run plain functions in a thread.
    problems.install(app)
    _RequestIds().install(app)
    _Admission(MAX_REQUESTS).install(app)
    _Token(control).install(app)
    app.register_blueprint(health_blueprint(control))
    of_all = (instance_blueprint(control), actions_blueprint(control), resources_blueprint(control))
    for blueprint in (*of_all, *(family.blueprint() for family in control.families)):
        app.register_blueprint(blueprint, url_prefix=PREFIX)
    return app


class _RequestIds:
    """Every answer carries X-Request-Id: the caller's own, or a prefix of this process and a number."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def install(self, app: QuartTrio) -> None:
        """Number requests."""
        app.before_request(partial(self._number, request))
        app.before_websocket(partial(self._number, websocket))
        app.after_request(self._tell)
        app.after_websocket(self._tell_refused)

    async def _number(self, asked: Request | Websocket) -> None:
        given = asked.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else f"{self._prefix}-{next(self._numbers)}"

    async def _tell(self, response: ResponseTypes) -> ResponseTypes:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _tell_refused(self, response: ResponseTypes | None) -> ResponseTypes | None:
        """A WebSocket has an answer only where it was refused."""
        return None if response is None else await self._tell(response)


class _Admission:
    """At most so many requests at a time; health is always answered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._present = 0

    def install(self, app: QuartTrio) -> None:
        """Bound requests."""
        app.before_request(self._enter)
        app.teardown_request(self._leave)

    async def _enter(self) -> Response | None:
        if request.path in _HEALTH:
            return None
        if self._present >= self._most:
            message = f"{self._most} requests are being worked on already; try again"
            return problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, message, headers={"Retry-After": "1"})
        self._present += 1
        g.admitted = True
        return None

    async def _leave(self, _error: BaseException | None) -> None:
        if g.pop("admitted", False):
            self._present -= 1


class _Token:
    """Everything that is not public asks for the token, `Authorization: Bearer <token>` (RFC 6750 2.1)."""

    def __init__(self, control: Control) -> None:
        self._expected = control.token.encode()
        self._open = frozenset().union(*(family.open_to_all for family in control.families))
        self._is_outsider = control.is_outsider

    def install(self, app: QuartTrio) -> None:
        """Guard the API."""
        app.before_request(partial(self._check, request))
        app.before_websocket(partial(self._check, websocket))

    async def _check(self, asked: Request | Websocket) -> Response | None:
        if asked.path in _OPEN_PATHS or (asked.method, asked.path) in self._open:
            return None
        scheme, _, given = asked.headers.get("Authorization", "").partition(" ")
        is_token = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._expected)
        if is_token and scheme.lower() == "bearer":
            return None
        if self._is_outsider(dict(asked.headers)):
            reason = "credentials of apps, devices and users do not open the control API; it takes the daemon's token"
            return problems.problem(HTTPStatus.FORBIDDEN, reason)
        message = "this needs the daemon's token: `Authorization: Bearer TOKEN`; a local one is in DIR/daemon.json"
        return problems.problem(
            HTTPStatus.UNAUTHORIZED, message, headers={"WWW-Authenticate": 'Bearer realm="penstock"'}
        )
