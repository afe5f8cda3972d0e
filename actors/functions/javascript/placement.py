"""Which process runs a call. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, TypeVar

from actors.functions.javascript.messages import FunctionVersion


class Place(Protocol):
    """A process: `app` is None until it has run its first call."""

    app: str | None
    function: str
    idle_since: float

    @property
    def busy(self) -> bool:
        """Whether it can take no call now."""

    def knows(self, version: FunctionVersion) -> bool:
        """Whether the script is loaded."""


class Other(Enum):
    """What to do where no process can take a call."""

    START = auto()
    """Start a process."""
    REPLACE = auto()
    """End the process of another app that has rested longest, and start one."""
    WAIT = auto()
    """Wait for one to be free."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many processes there may be; of one app; and of one function, so that its app has one left for the others."""

    processes: int
    of_app: int

    @property
    def of_function(self) -> int:
        """At most so many run one function."""
        return max(1, self.of_app - 1)


P = TypeVar("P", bound=Place)


def choose(version: FunctionVersion, places: Sequence[P], starting: int, bounds: Bounds) -> P | Other:
    """A process for a call of this function now, or what to do; `starting` processes are not ready yet.

    Of those that rest the one is taken that has the script, or else was used last, so that the others may be ended
    after a while.
    """
    ours = [place for place in places if place.busy and place.app == version.app]
    if len(ours) >= bounds.of_app or sum(place.function == version.name for place in ours) >= bounds.of_function:
        return Other.WAIT
    resting = [place for place in places if not place.busy]
    fitting = [place for place in resting if place.app in (version.app, None)]
    if fitting:
        return max(fitting, key=lambda place: (place.app is not None, place.knows(version), place.idle_since))
    if len(places) + starting < bounds.processes:
        return Other.START
    return Other.REPLACE if resting and not starting else Other.WAIT


def longest_at_rest(places: Sequence[P]) -> P:
    """The one to be ended first; one of them must rest."""
    return min((place for place in places if not place.busy), key=lambda place: place.idle_since)
