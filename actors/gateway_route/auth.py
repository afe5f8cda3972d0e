"""Who may call a route."""

from __future__ import annotations

from collections.abc import Callable

from actors.http_calls.callers import Apps, calling_app
from actors.http_calls.errors import APP_NOT_AUTHORIZED, CallRefusedError
from actors.wire.http.messages import Request
from config.resources import Route

Authenticate = Callable[[Request], str]
"""The name of the app that calls (empty where nobody is asked for a name); raises CallRefusedError."""


def authentication(route: Route, apps: Apps) -> Authenticate:
    """What a route asks of its callers.

    `none`: nothing. `app`: an AppCode in `X-Apig-AppCode`, or the app's key and secret as HTTP Basic (RFC 7617). An app
    that is known but neither owns the route nor is in its `shared_with` is refused with 403, everybody else with 401.
    """
    if route.auth == "none":
        return _nobody
    admitted = frozenset({route.app, *route.shared_with})

    def check(request: Request) -> str:
        app = calling_app(request, apps)
        if app not in admitted:
            raise CallRefusedError(APP_NOT_AUTHORIZED)
        return app

    return check


def _nobody(_request: Request) -> str:
    return ""
