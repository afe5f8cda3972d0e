"""What is remembered of calls: counts, and the last runs of each function with what they logged. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

Outcome = Literal["done", "failed", "timed out", "out of memory", "too large", "busy", "lost", "abandoned"]

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
    result. It `waited` so many seconds for its turn (`concurrency`) and a process, and then took `seconds`. `left_out`
    counts the log lines that were too many to be kept.
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
    """What a function has done since the start; `seconds` are those of all calls together, without their waits.

    `unstored` counts the runs that others took the place of before they were stored.
    """

    calls: int
    items: int
    seconds: float
    outcomes: Mapping[str, int] = field(default_factory=dict)
    running: int = 0
    waiting: int = 0
    waited: float = 0.0
    unstored: int = 0

    @property
    def errors(self) -> int:
        """Calls that brought no result."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "done")


class RunChanges(NamedTuple):
    """What is to be done about the runs that are stored of a function: put `new` ones, delete `gone` numbers."""

    new: Sequence[Run]
    gone: Sequence[int]


class RunHistory:
    """The last runs of one function, and the last that failed, so that many good ones do not push those out.

    `kept` of each, whose logs and reasons have at most `kept_bytes` together, but the last one always. What is stored
    of them follows what is remembered: `take_changes` tells what to write. Whoever calls waits for none of it, so that
    runs may be forgotten before they were stored; those are counted as `unstored`.
    """

    def __init__(self, kept: int, kept_bytes: int) -> None:
        self._recent = _Last(kept, kept_bytes)
        self._failed = _Last(kept, kept_bytes)
        self._numbers = 0
        # By their numbers: remembered and not stored, stored and not remembered.
        self._pending: dict[int, Run] = {}
        self._gone: set[int] = set()
        self.unstored = 0
        self.calls = 0
        self.items = 0
        self.seconds = 0.0
        self.outcomes: dict[str, int] = {}

    def restore(self, stored: Iterable[Run]) -> None:
        """Remember runs that are stored, in the order of their numbers; those to come are numbered on from there."""
        for run in stored:
            self._numbers = max(self._numbers, run.number)
            self._remember(run)

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
        self._pending[run.number] = run
        self._remember(run)

    def count_busy(self) -> None:
        """A call that did not run: of these there may be many, and nothing can be told of one."""
        self.calls += 1
        self.outcomes["busy"] = self.outcomes.get("busy", 0) + 1

    def runs(self, *, failed: bool = False) -> list[Run]:
        """The runs that are remembered, the newest first."""
        return list(reversed(self._failed.runs if failed else self._recent.runs))

    def run(self, number: int) -> Run | None:
        """One of them, or None where it is not remembered."""
        return next((one for one in (*self._recent.runs, *self._failed.runs) if one.number == number), None)

    def take_changes(self, most: int, most_bytes: int) -> RunChanges | None:
        """What is to be stored, the newest runs first, so many at most; None where nothing is.

        `most_bytes` bounds their logs, but one run goes always. Whoever takes changes has them stored, or puts them
        back.
        """
        if not self._pending and not self._gone:
            return None
        new: list[Run] = []
        size = 0
        for run in reversed(self._pending.values()):
            size += log_size(run)
            if len(new) == most or (new and size > most_bytes):
                break
            new.append(run)
        for run in new:
            del self._pending[run.number]
        gone, self._gone = tuple(self._gone), set()
        return RunChanges(new, gone)

    def put_back(self, changes: RunChanges) -> None:
        """They were not stored; those that were forgotten meanwhile never will be."""
        back = {run.number: run for run in reversed(changes.new) if run.number not in self._gone}
        self.unstored += len(changes.new) - len(back)
        self._gone.difference_update(run.number for run in changes.new)
        self._gone.update(changes.gone)
        self._pending = back | self._pending

    def _remember(self, run: Run) -> None:
        for old in self._recent.add(run):
            if not (_has_failed(old) and self._failed.reaches(old.number)):
                self._forget(old.number)
        if _has_failed(run):
            for old in self._failed.add(run):
                if not self._recent.reaches(old.number):
                    self._forget(old.number)

    def _forget(self, number: int) -> None:
        if self._pending.pop(number, None) is None:
            self._gone.add(number)
        else:
            self.unstored += 1


class _Last:
    """The last runs of a kind, in the order of their numbers."""

    __slots__ = ("_bytes", "_most", "_most_bytes", "runs")

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self.runs: deque[Run] = deque()

    def add(self, run: Run) -> Sequence[Run]:
        """Those that go for it: the first, where they are too many or too large."""
        runs = self.runs
        runs.append(run)
        self._bytes += log_size(run)
        if len(runs) <= self._most and self._bytes <= self._most_bytes:
            return ()
        gone = []
        while len(runs) > self._most or (self._bytes > self._most_bytes and len(runs) > 1):
            old = runs.popleft()
            self._bytes -= log_size(old)
            gone.append(old)
        return gone

    def reaches(self, number: int) -> bool:
        """Whether what was added under this number is still here."""
        return bool(self.runs) and self.runs[0].number <= number


def _has_failed(run: Run) -> bool:
    return run.outcome != "done" or run.failed > 0


def log_size(run: Run) -> int:
    """What the log of a run, and the reason of its failure, count for where their size is bounded."""
    size = len(run.reason)
    for line in run.lines:
        size += len(line.text) + _LINE_BYTES
    return size
