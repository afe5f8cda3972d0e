"""How a command ends when it cannot do what it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What a script can tell from how a command ended.

    2 is the usage error of every command line, 78 is EX_CONFIG of sysexits.h: the daemon cannot start with these
    settings, and starting it again would not help.
    """

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    CONFIGURATION = 78


class CommandError(Exception):
    """The command failed: one line (or one a problem) for a person, and the exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.code = code


def _told(detail: Mapping[str, Any]) -> Iterator[str]:
    path, reason = str(detail.get("path") or ""), str(detail.get("reason") or "")
    if path:
        # What is a parameter of the API is an option here.
        yield f"--{path[1:]}" if path.startswith("?") else path
    if reason:
        yield reason


def _place(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    path = detail.get("path")
    return {} if path == "$" else {"path": path}


class RefusedError(CommandError):
    """The daemon refused what it was asked.

    Attributes:
        reason: in one line.
        details: each of what is wrong: `path`, `reason`, and for manifests `file`, `document`, `line`, `subject`,
            `field`.
    """

    def __init__(self, reason: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        # Where what is wrong is the reason itself, its place is all that there is to add.
        told = (one if one.get("reason") != reason else _place(one) for one in details)
        lines = [line for one in told if (line := ": ".join(_told(one)))]
        super().__init__("\n  ".join([reason, *lines]))
        self.reason = reason
        self.details = tuple(details)
