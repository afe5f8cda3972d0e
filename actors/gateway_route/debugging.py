"""`X-Apig-Mode: debug`: who may, sees in the answer's headers how a call fared."""

from __future__ import annotations

from collections.abc import Callable

from actors.gateway_route.call import Call, Step

MODE_HEADER = "x-apig-mode"
MODE = "debug"


def debugging(may_debug: Callable[[Call], bool]) -> Step:
    """Comes once it is known who calls; whoever has no right to it gets the answer that others get."""

    def step(call: Call) -> None:
        if call.request.header(MODE_HEADER) == MODE and may_debug(call):
            call.debug = []

    return step
