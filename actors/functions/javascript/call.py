"""A call of a script, from the moment at which it is asked for to that of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from actors.errors import PenstockError
from actors.functions.javascript.asks import Asks
from actors.functions.javascript.frames import Result
from actors.functions.javascript.messages import FunctionVersion, Host
from actors.runtime.reply import Reply


class Ending(Enum):
    """Why a process was ended by force."""

    TIME = "time"
    MEMORY = "memory"
    ABANDONED = "abandoned"
    LOST = "lost"
    BROKEN = "broken"
    """It crashed, or did what no script can."""


class CallLostError(PenstockError):
    """The process ended under its call; `ending` says why."""

    def __init__(self, message: str, ending: Ending) -> None:
        super().__init__(message)
        self.ending = ending


class ScriptCall:
    """What runs, on what, for whom; `reply` brings as many results as there are items, or why there are none.

    Whoever places it (`Pool`) and whoever runs it (`Child`) note here how far it has come.
    """

    __slots__ = (
        "abandoned",
        "asks",
        "begun_at",
        "deadline",
        "expired_at",
        "host",
        "items",
        "log_bytes",
        "log_is_over",
        "number",
        "reply",
        "results",
        "since",
        "tries",
        "until",
        "version",
    )

    def __init__(self, version: FunctionVersion, items: Sequence[bytes], host: Host) -> None:
        self.version = version
        self.items = items
        self.host = host
        self.reply: Reply[list[Result]] = Reply()
        self.abandoned = False
        self.tries = 0
        self.since = 0.0
        self.until = 0.0
        self.number = 0
        self.begun_at = 0.0
        self.deadline = 0.0
        self.expired_at: float | None = None
        self.asks: Asks | None = None
        self.log_bytes = 0
        self.log_is_over = False
        self.results: list[Result] | None = None

    @property
    def line(self) -> tuple[str, str]:
        """The line in which it waits: that of its function."""
        return self.version.app, self.version.name

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self.abandoned = True
        self.host = _NOBODY
        if self.asks is not None:
            self.asks.cancel()


class _Nobody:
    """The host of a call that nobody waits for any more."""

    def begun(self, waited: float) -> None:
        """Nobody asks."""

    def log(self, message: str) -> None:
        """Nobody hears it."""

    def left_out(self, count: int) -> None:
        """Nor of those that were too many."""

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ARG002 - as Host says
        """Nothing is done any more."""
        raise PenstockError("the caller has gone")


_NOBODY = _Nobody()
