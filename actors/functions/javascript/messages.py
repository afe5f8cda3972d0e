"""What others know of the JavaScript runtime: what it is given, what scripts ask of their host, and what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol


class Limits(NamedTuple):
    """How long a call may take, in seconds; how much memory it may add and how large its result may be, in bytes."""

    seconds: float = 5.0
    memory: int = 64 * 1024 * 1024
    result: int = 1024 * 1024


_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """One version of one script. `app` owns it: scripts of two apps never share a process."""

    app: str
    name: str
    version: int
    source: str
    limits: Limits = _LIMITS


class Host(Protocol):
    """What the script of one call may ask for; made for that call, and of no use once it has ended.

    A call has eight of these done at a time; more wait, and what they are given has a bound for all of them together.
    `call` is asked for these operations, whose arguments are decoded JSON, and answers what can be written as JSON:

    - `query`: `connection`, `sql`, `parameters` (a list of values for each `?`, or a dict of values for each `:name`)
      -> a list of dicts, one for each row; or `{"affected": n}` for a statement that brings none.
    - `database`: `type`, `url`, `user`, `password` (as a DataSourceConfig was given them), `sql`, `parameters` (a list)
      -> as `query`.
    - `http`: `method`, `url`, `headers` (a dict), `body` (text or None), `json` (anything; absent where there is none)
      -> `{"status", "headers", "body"}`.
    - `publish`: `topic`, `data`, `key` (text or None) -> `{"topic", "partition", "offset"}`.
    """

    def begun(self, waited: float) -> None:
        """The call runs now, after it has waited so many seconds for a process.

        Told again where it begins anew: its process had ended before it had read the call.
        """

    def log(self, message: str) -> None:
        """A line that the script has logged. Never raises."""

    def left_out(self, count: int) -> None:
        """So many more lines it has logged, which were too many."""

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Do it, with the rights of the function's app.

        Raises:
            PenstockError: it was refused or failed; the text is thrown in the script as an Error's message.
        """


@dataclass(frozen=True, slots=True)
class RuntimeStatistics:
    """What the runtime has seen since its start.

    `kills` are by their reason: time, memory, broken (crashed, or did what no script can), lost, abandoned. `running`
    and `waiting` are calls now, `isolates` those that are loaded now. A cold start is a call that found no process of
    its app; `cold_start` is how long the last start of a process took, in seconds.
    """

    children: int
    isolates: int
    running: int
    waiting: int
    calls: int
    starts: int
    cold_starts: int
    cold_start: float
    retired: int
    kills: Mapping[str, int] = field(default_factory=dict)
