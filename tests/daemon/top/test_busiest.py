"""Which sessions of thousands are worth a line."""

from __future__ import annotations

from actors.device_session.counters import Counters
from actors.device_session.registry.sessions import Sessions, Standing


class FakeSession:
    """A session of which only what waits is of interest."""

    def __init__(self, standing: Standing | None) -> None:
        self._standing = standing

    def standing(self) -> Standing | None:
        return self._standing


def standing(number: int, *, waited: float = 0.0, held: bool = False, refused: bool = False) -> Standing:
    return Standing(f"till/t{number}", f"t{number}", "127.0.0.1:1", 100, waited, held, refused)


def test_of_many_sessions_those_that_are_held_or_wait_longest_are_shown() -> None:
    """Held and refused ones come first, then those whose oldest report has waited longest; idle ones never."""
    sessions = Sessions(Counters())
    many = [standing(number, waited=number / 1000) for number in range(1000)]
    for one in (*many, standing(1001, held=True), standing(1002, waited=0.5, refused=True), None, None):
        sessions.opened(FakeSession(one))  # type: ignore[arg-type]
    shown = [one.client for one in sessions.busiest(4)]
    assert shown == ["till/t1002", "till/t1001", "till/t999", "till/t998"]
    idle = Sessions(Counters())
    idle.opened(FakeSession(None))  # type: ignore[arg-type]
    assert idle.busiest(10) == []
