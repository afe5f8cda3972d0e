"""What every backend is."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from actors.gateway_route.call import Call
from actors.wire.http.messages import Response


class Backend(Protocol):
    """Answers calls.

    `takes_body`: the body is read before a call is admitted, so that a slow sender holds no place. `waits`: answering
    may take time, and ends at the route's time-out, by cancellation; one that does not wait returns its answer at once,
    and nobody pays for a coroutine, a place or a cancel scope.
    """

    @property
    def takes_body(self) -> bool:
        """Whether calls come with their body."""

    @property
    def waits(self) -> bool:
        """Whether answering may take time."""

    def answer(self, call: Call) -> Response | Awaitable[Response]:
        """Answer; what is to be awaited where it waits.

        Raises:
            CallRefusedError: with one of the gateway's errors.
        """
