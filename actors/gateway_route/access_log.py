"""The access log: one line for each call, or for those worth a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import NamedTuple

import structlog

from actors.gateway_route.call import Call
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.messages import Response
from config.settings import AccessLogSettings

FIRST_ERROR = 400
"""Statuses from this one on are errors."""


class Observer(NamedTuple):
    """Who is to be told of a route's calls, and which: errors, those that took `slow` seconds, and what is `sampled`.

    Whoever answers calls looks at these itself: to ask for each call would cost as much as to count it.
    """

    tell: Callable[[Call, Response, float], None]
    slow: float
    sampled: Iterator[bool]


EVENT = "Call answered"

# What a line holds of a text that its sender chose; all of it is a line of 32 KiB.
_LONGEST = 512


class AccessLog:
    """Writes lines with what an operator asks of a call, and with nothing that is secret.

    Neither headers nor bodies are in them, and the query only where the settings say so. `chosen` lines are bounded a
    second, since callers can provoke them; `all` are not, since it was asked for all.
    """

    def __init__(self, settings: AccessLogSettings) -> None:
        self._settings = settings
        self._log = structlog.get_logger()
        self._limited = LogLimiter(settings.max_per_second)
        self._sampled = _sampled(1 if settings.lines == "all" else settings.sample)

    def observer(self, route: str = "", version: int = 0) -> Observer | None:
        """What is to be told of each call of a route; None where nothing is written. Without a name: of no route."""
        settings = self._settings
        if settings.lines == "none":
            return None
        info = self._log.info if settings.lines == "all" else self._limited.info
        return Observer(partial(self._write, info, route, version), settings.slow_ms / 1000, self._sampled)

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


def _sampled(one_in: int) -> Iterator[bool]:
    """True for the last of so many, over and over."""
    return cycle(number == one_in - 1 for number in range(one_in)) if one_in else cycle((False,))
