"""Who may call a route."""

from __future__ import annotations

from actors.gateway_route.call import Call, Caller, Step
from actors.http_calls.callers import Apps, calling_app
from actors.http_calls.errors import APP_NOT_AUTHORIZED, CallRefusedError
from config.resources import Route


def authentication(route: Route, apps: Apps) -> Step | None:
    """What a route asks of its callers.

    `none`: nothing. `app`: an AppCode in `X-Apig-AppCode`, or the app's key and secret as HTTP Basic (RFC 7617). An app
    that is known but neither owns the route nor is in its `shared_with` is refused with 403, everybody else with 401.
    """
    if route.auth == "none":
        return None
    admitted = frozenset({route.app, *route.shared_with})

    def check(call: Call) -> None:
        app = calling_app(call.request, apps)
        if app not in admitted:
            raise CallRefusedError(APP_NOT_AUTHORIZED)
        call.caller = Caller("app", app, app)

    return check
