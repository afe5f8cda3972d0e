"""Which process runs a call."""

from __future__ import annotations

from dataclasses import dataclass

from actors.functions.javascript.messages import FunctionVersion
from actors.functions.javascript.penalties import Penalties
from actors.functions.javascript.placement import Bounds, Other, choose, longest_at_rest

PRICE = FunctionVersion("parking", "price", 1, "")
BOUNDS = Bounds(processes=4, of_app=2)


@dataclass
class Place:
    app: str | None = None
    busy: bool = False
    function: str = ""
    idle_since: float = 0.0
    loaded: bool = False

    def knows(self, version: FunctionVersion) -> bool:  # noqa: ARG002 - as Place says
        return self.loaded


def busy(app: str, function: str = "other") -> Place:
    return Place(app, busy=True, function=function)


def test_a_process_that_has_the_script_is_preferred() -> None:
    """Of those of the app that rest: the one with the script, then the one used last, then one of nobody."""
    loaded, recent, nobody = Place("parking", loaded=True), Place("parking", idle_since=9.0), Place()
    assert choose(PRICE, [nobody, recent, loaded], 0, BOUNDS) is loaded
    assert choose(PRICE, [nobody, recent, Place("parking")], 0, BOUNDS) is recent
    assert choose(PRICE, [nobody, busy("parking")], 0, BOUNDS) is nobody


def test_another_apps_process_is_never_taken() -> None:
    """It is started anew in its place, once there are as many as may be; the one that rested longest goes."""
    theirs = [Place("garage", idle_since=5.0), Place("garage", idle_since=2.0)]
    assert choose(PRICE, theirs, 0, BOUNDS) is Other.START
    full = [*theirs, busy("garage"), busy("garage")]
    assert choose(PRICE, full, 0, BOUNDS) is Other.REPLACE
    assert longest_at_rest(full) is theirs[1]


def test_nobody_is_ended_while_a_start_is_under_way() -> None:
    """One start at a time makes room once."""
    full = [Place("garage"), busy("garage"), busy("garage")]
    assert choose(PRICE, full, 1, BOUNDS) is Other.WAIT


def test_an_app_and_a_function_have_bounds() -> None:
    """An app gets so many processes, and one function one less, whatever is free."""
    assert choose(PRICE, [busy("parking"), busy("parking"), Place("parking")], 0, BOUNDS) is Other.WAIT
    assert choose(PRICE, [busy("parking", "price"), Place("parking")], 0, BOUNDS) is Other.WAIT
    assert choose(PRICE, [busy("garage"), busy("garage"), busy("garage"), busy("garage")], 0, BOUNDS) is Other.WAIT
    assert Bounds(1, 1).of_function == 1


def test_three_kills_a_minute_are_free() -> None:
    """From the fourth on a function is refused, for twice as long each time, and is free again after a minute."""
    penalties = Penalties()
    for moment in range(3):
        penalties.killed("parking", "price", 1, float(moment))
    assert penalties.refused("parking", "price", 1, 3.0) == 0
    penalties.killed("parking", "price", 1, 10.0)
    assert penalties.refused("parking", "price", 1, 10.0) == 1.0
    assert penalties.refused("parking", "other", 1, 10.0) == 0
    assert penalties.refused("parking", "price", 0, 10.0) == 0
    penalties.killed("parking", "price", 1, 11.0)
    assert penalties.refused("parking", "price", 1, 12.0) == 1.0
    for _ in range(20):
        penalties.killed("parking", "price", 1, 13.0)
    assert penalties.refused("parking", "price", 1, 13.0) == 30.0
    assert penalties.refused("parking", "price", 1, 200.0) == 0
    penalties.killed("parking", "price", 1, 201.0)
    penalties.forget("parking", "price")
    assert penalties.refused("parking", "price", 1, 201.0) == 0
