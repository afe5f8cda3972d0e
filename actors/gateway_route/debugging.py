"""`X-Apig-Mode: debug`: who may, sees in the answer's headers how a call fared, and where its time went."""

from __future__ import annotations

from collections.abc import Callable

from actors.gateway_route.call import Call, Step

MODE_HEADER = "x-apig-mode"
MODE = "debug"
LATENCY_HEADER = "X-Apig-Latency"
"""Milliseconds that the gateway took for the call, the backend's among them."""
UPSTREAM_LATENCY_HEADER = "X-Apig-Upstream-Latency"
"""Milliseconds that the backend took; not there where it was not asked."""


def latency(name: str, seconds: float) -> tuple[str, str]:
    """A header that tells a time in whole milliseconds."""
    return name, str(round(seconds * 1000))


def debugging(may_debug: Callable[[Call], bool]) -> Step:
    """Comes once it is known who calls; whoever has no right to it gets the answer that others get."""

    def step(call: Call) -> None:
        if call.request.header(MODE_HEADER) == MODE and may_debug(call):
            call.debug = []

    return step
