"""What every backend is."""

from __future__ import annotations

from typing import Protocol

from actors.gateway_route.call import Call
from actors.wire.http.messages import Response


class Backend(Protocol):
    """Answers calls.

    `takes_body`: the body is read before a call is admitted, so that a slow sender holds no place. `waits`: answering
    may take time, and ends at the route's time-out, by cancellation.
    """

    @property
    def takes_body(self) -> bool:
        """Whether calls come with their body."""

    @property
    def waits(self) -> bool:
        """Whether answering may take time."""

    async def answer(self, call: Call) -> Response:
        """Answer.

        Raises:
            CallRefusedError: with one of the gateway's errors.
        """
