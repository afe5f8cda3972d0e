"""What is remembered of calls: counts, and the last runs of each function with what they logged. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

Outcome = Literal["done", "failed", "timed out", "out of memory", "too large", "busy", "lost"]

_CUT = "..."
# What a line costs beside its text.
_LINE_BYTES = 32


class LogLine(NamedTuple):
    """What a function said: when, in seconds after its start, and what."""

    after: float
    text: str


class Run(NamedTuple):
    """One call: when it began to run (milliseconds since the epoch), for whom, and what became of it.

    `caller` is the app that called, `called_by` what of it did (`route lots`), empty where nobody said. `version` is 0
    for the saved copy in a test. `items` counts the values that it was called with, of which `failed` brought no
    result. It `waited` so many seconds for its turn (`concurrency`), and then took `seconds`. `left_out` counts the log
    lines that were too many to be kept.
    """

    number: int
    at: int
    version: int
    caller: str
    called_by: str
    items: int
    failed: int
    waited: float
    seconds: float
    outcome: Outcome
    reason: str
    result_bytes: int
    lines: Sequence[LogLine]
    left_out: int


class RunLines:
    """The log of one run, of at most so many bytes: what comes after is counted."""

    __slots__ = ("_left", "left_out", "lines")

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self.lines: list[LogLine] = []
        self.left_out = 0

    def add(self, after: float, text: str) -> None:
        """Keep a line; one that does not fit whole is cut."""
        if self._left <= 0:
            self.left_out += 1
            return
        if len(text) > self._left:
            text = text[: self._left] + _CUT
        self._left -= len(text) + _LINE_BYTES
        self.lines.append(LogLine(after, text))


def log_text(message: object, facts: Mapping[str, Any]) -> str:
    """A message and its facts as one line: `lot is free lot=7`."""
    parts = [message if isinstance(message, str) else _shown(message)]
    parts += [f"{name}={_shown(value)}" for name, value in facts.items()]
    return " ".join(parts)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else repr(value)
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except (TypeError, ValueError, RecursionError):
        return f"({type(value).__name__})"


@dataclass(frozen=True, slots=True)
class FunctionStatistics:
    """What a function has done since the start; `seconds` are those of all calls together, without their waits."""

    calls: int
    items: int
    seconds: float
    outcomes: Mapping[str, int] = field(default_factory=dict)
    running: int = 0
    waiting: int = 0
    waited: float = 0.0

    @property
    def errors(self) -> int:
        """Calls that brought no result."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "done")


class RunHistory:
    """The last runs of one function, and the last that failed, so that many good ones do not push those out."""

    def __init__(self, kept: int) -> None:
        self._recent: deque[Run] = deque(maxlen=kept)
        self._failed: deque[Run] = deque(maxlen=kept)
        self._numbers = 0
        self.calls = 0
        self.items = 0
        self.seconds = 0.0
        self.outcomes: dict[str, int] = {}

    def next_number(self) -> int:
        """A number for a run, from 1."""
        self._numbers += 1
        return self._numbers

    def add(self, run: Run) -> None:
        """Remember a run, and count it."""
        self.calls += 1
        self.items += run.items
        self.seconds += run.seconds
        self.outcomes[run.outcome] = self.outcomes.get(run.outcome, 0) + 1
        self._recent.append(run)
        if run.outcome != "done" or run.failed:
            self._failed.append(run)

    def count_busy(self) -> None:
        """A call that did not run: of these there may be many, and nothing can be told of one."""
        self.calls += 1
        self.outcomes["busy"] = self.outcomes.get("busy", 0) + 1

    def runs(self, *, failed: bool = False) -> list[Run]:
        """The runs that are remembered, the newest first."""
        return list(reversed(self._failed if failed else self._recent))

    def run(self, number: int) -> Run | None:
        """One of them, or None where it is not remembered."""
        return next((one for one in (*self._recent, *self._failed) if one.number == number), None)
