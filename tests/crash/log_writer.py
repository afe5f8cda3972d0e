"""A process that appends to logs, a fork for each run, so that one strace can let each run fail at another call.

`python -m tests.crash.log_writer CALL AT`: strace counts calls for each process by itself, and lets the AT-th CALL
fail. A line `FOLDER FIRST N` on the input asks for a run that meets this at its own N-th call: the others are spent
before it. What the run says comes on the output, and at last `ended` with how it ended.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TypeVar

from actors.errors import StorageError
from actors.log.log import Log
from tests.actors.log.parts import LIMITS, append, records

COMMITS = 4
RECORDS = 3
TRIES = 4

_PYTHON_NAMES = {"pwrite64": "pwrite"}

T = TypeVar("T")


def write(folder: Path, first: int) -> None:
    """Append numbered records in several segments, sending again what is refused; a line for each thing that happens.

    `acknowledged` is followed by numbers, the segment's file, and its size then: it is what comes right after the
    log has returned.
    """
    ticks = count(0, 10)
    log = _insist(lambda: Log(folder, LIMITS, clock=lambda: next(ticks)))
    for commit in range(COMMITS):
        numbers = range(first + RECORDS * commit, first + RECORDS * (commit + 1))
        _insist(lambda these=numbers: append(log, records(RECORDS, these.start)))
        _say("acknowledged", *numbers, log.active.path.name, log.active.size)
        if commit % 2:
            _insist(log.roll)
    _insist(log.close)
    _say("closed")


def _insist(work: Callable[[], T]) -> T:
    for _ in range(TRIES):
        try:
            return work()
        except StorageError as error:
            _say("refused", error)
    os._exit(3)


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class _Counted:
    """A function of `os` that counts its calls."""

    def __init__(self, name: str) -> None:
        self.calls = 0
        self._real = getattr(os, name)
        setattr(os, name, self)

    def __call__(self, *arguments: object) -> object:
        self.calls += 1
        return self._real(*arguments)


def _run(call: str, spend: int, folder: Path, first: int) -> None:
    name = _PYTHON_NAMES.get(call, call)
    spare = os.memfd_create("spare")
    rest = {"pwrite": (b"", 0), "ftruncate": (0,)}.get(name, ())
    for _ in range(spend):
        getattr(os, name)(spare, *rest)
    counted = _Counted(name)
    write(folder, first)
    _say("calls", counted.calls)


def main() -> None:
    """Fork a run for each line."""
    call, at = sys.argv[1], int(sys.argv[2])
    _say("ready")
    for line in sys.stdin:
        folder, first, number = line.split()
        child = os.fork()
        if child == 0:
            _run(call, at - int(number), Path(folder), int(first))
            os._exit(0)
        _say("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
