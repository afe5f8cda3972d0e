"""The access log: one line for each call, or for those worth a line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from itertools import count

import structlog

from actors.gateway_route.call import Call
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.messages import Response
from config.settings import AccessLogSettings

Observe = Callable[[Call, Response, float], None]
"""Told of a call, its answer, and the seconds that it took."""

EVENT = "Call answered"

# What a line holds of a text that its sender chose; all of it is a line of 32 KiB.
_LONGEST = 512
_FIRST_ERROR = 400


class AccessLog:
    """Writes lines with what an operator asks of a call, and with nothing that is secret.

    Neither headers nor bodies are in them, and the query only where the settings say so. `chosen` lines are bounded a
    second, since callers can provoke them; `all` are not, since it was asked for all.
    """

    def __init__(self, settings: AccessLogSettings) -> None:
        self._settings = settings
        self._log = structlog.get_logger()
        self._limited = LogLimiter(settings.max_per_second)
        self._calls = count(1)

    def observer(self, route: str = "", version: int = 0) -> Observe | None:
        """What is to be told of each call of a route; None where nothing is written. Without a name: of no route."""
        settings = self._settings
        match settings.lines:
            case "none":
                return None
            case "all":
                return partial(self._write, self._log.info, route, version)
            case _:
                return self._chooser(route, version)

    def _chooser(self, route: str, version: int) -> Observe:
        slow = self._settings.slow_ms / 1000
        sample = self._settings.sample or sys.maxsize
        calls = self._calls
        write = self._write
        info = self._limited.info

        def observe(call: Call, response: Response, seconds: float) -> None:
            # The count first: each call is counted, also those that have a line for another reason.
            if next(calls) % sample == 0 or response.status >= _FIRST_ERROR or seconds >= slow:
                write(info, route, version, call, response, seconds)

        return observe

    def _write(  # noqa: PLR0917 - the facts of one call
        self,
        info: Callable[..., object],
        route: str,
        version: int,
        call: Call,
        response: Response,
        seconds: float,
    ) -> None:
        request, caller = call.request, call.caller
        facts: dict[str, object] = {
            "method": request.method,
            "path": request.path[:_LONGEST],
            "status": response.status,
            "ms": round(1000 * seconds, 3),
            "peer": call.peer_ip or request.peer,
            "request_id": call.request_id,
        }
        if route:
            facts |= {"route": route, "stage": call.stage, "version": version}
        if caller.kind != "none":
            facts |= {caller.kind: caller.name[:_LONGEST]}
        if isinstance(response.body, bytes):
            facts["bytes"] = len(response.body)
        if self._settings.query and request.query:
            facts["query"] = request.query[:_LONGEST]
        info(EVENT, **facts)
