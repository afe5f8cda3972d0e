"""What the gateway itself knows of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actors.gateway_route.call import Call

ValueOf = Callable[[Call], Any]
"""Something of a call."""

_AUTHORIZER = "authorizer."


def system_value(name: str, route: str) -> ValueOf:
    """The value of that name (see `config.resources.route_parts.SystemValue`); None where a call has none.

    `authorizer.NAME` is what the caller's authentication says under NAME; a list or object comes as JSON text.
    """
    if name.startswith(_AUTHORIZER):
        return _claim(name.removeprefix(_AUTHORIZER))
    if name == "route":
        return lambda _call: route
    return _VALUES[name]


def _claim(name: str) -> ValueOf:
    def value(call: Call) -> Any:
        found = call.caller.claims.get(name)
        return msgspec.json.encode(found).decode() if isinstance(found, (list, dict, tuple)) else found

    return value


_VALUES: dict[str, ValueOf] = {
    "source_address": lambda call: call.peer_ip or call.request.peer,
    "app": lambda call: call.caller.app,
    "user": lambda call: call.caller.name if call.caller.kind in {"user", "jwt"} else None,
    "request_id": lambda call: call.request_id,
    "stage": lambda call: call.stage,
    "method": lambda call: call.request.method,
    "path": lambda call: call.request.path,
    "rest_of_path": lambda call: call.rest,
    "host": lambda call: call.request.header("host"),
    "client_certificate": lambda call: None if call.request.tls is None else call.request.tls.client or None,
}
