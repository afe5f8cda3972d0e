"""What others know of functions: how to call them, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from actors.errors import FunctionError


class FunctionFailure(NamedTuple):
    """Stands among the results of a batch where one item failed.

    `for_want_of_room`: those before it have used up what all of them have together (time, bytes of results), so that
    it may bring a result in a batch of fewer, or may not even have run.
    """

    error: FunctionError
    for_want_of_room: bool = False


class FunctionCalls(Protocol):
    """Calls functions by name: what sessions, tasks and routes are handed. `Functions` is the real one."""

    async def call(self, name: str, data: Any, app: str, called_by: str = "") -> Any:
        """Run a function on one JSON value, for an app; the answer is decoded JSON.

        `called_by` is what of the app calls it, for whoever looks at its runs: `route lots`.

        Raises:
            FunctionMissingError: it cannot be called by that app; FunctionBusyError: too many calls of it run.
            FunctionError: it brought no result (see its family).
        """

    async def call_batch(self, name: str, items: Sequence[Any], app: str, called_by: str = "") -> list[Any]:
        """Run a function on several values, as one call with one time-out; results in their order.

        An item that failed has a `FunctionFailure` in its place.

        Raises:
            FunctionError: as `call`, where it concerns the whole batch.
        """

    def problem(self, name: str, app: str) -> str:
        """Why a function could not be called by an app now; empty where it can."""

    def edition(self, name: str) -> object | None:
        """What runs of a function now: another object whenever it was put anew; None where nothing runs.

        For whoever remembers what a function said: it holds for as long as this is the same.
        """
