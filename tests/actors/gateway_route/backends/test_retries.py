"""Trying again: as often as the route says, and only where that repeats nothing. In virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from actors.errors import ConnectionBusyError, ConnectorError, NothingDoneError, StatementError
from actors.gateway_route.backends.retries import Retries
from config.resources import MockBackend, Route, RouteBackend, RouteRequest


class Attempts:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.made = 0

    async def __call__(self) -> str:
        await trio.lowlevel.checkpoint()
        self.made += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def retries(count: int, *, any_method: bool = False) -> Retries:
    backend = RouteBackend(mock=MockBackend())
    request = RouteRequest(path="/x")
    return Retries(
        Route(name="r", app="a", request=request, backend=backend, retries=count, retry_any_method=any_method)
    )


async def test_a_fault_before_anything_was_done_is_tried_again(autojump_clock: MockClock) -> None:
    """With a pause that grows, up to the count; then the last fault is told."""
    attempts = Attempts(NothingDoneError("1"), NothingDoneError("2"))
    assert await retries(2).run("GET", attempts) == "done"
    assert trio.current_time() == pytest.approx(0.15)
    attempts = Attempts(*(NothingDoneError(str(number)) for number in range(9)))
    with pytest.raises(NothingDoneError, match="3"):
        await retries(3).run("GET", attempts)
    assert attempts.made == 4


@pytest.mark.parametrize("count", [-1, 0])
async def test_no_retries_are_none(count: int) -> None:
    """-1 and 0 alike."""
    attempts = Attempts(NothingDoneError("down"))
    with pytest.raises(NothingDoneError):
        await retries(count).run("GET", attempts)
    assert attempts.made == 1


@pytest.mark.parametrize(
    "fault", [ConnectorError("lost"), StatementError("no such table"), ConnectionBusyError("busy")]
)
async def test_nothing_else_is_tried_again(fault: Exception) -> None:
    """What may have been done, what never will be, and what would make a busy system busier."""
    attempts = Attempts(fault)
    with pytest.raises(type(fault)):
        await retries(10).run("GET", attempts)
    assert attempts.made == 1


@pytest.mark.parametrize(
    ("method", "any_method", "made"),
    [("PUT", False, 2), ("DELETE", False, 2), ("POST", False, 1), ("PATCH", False, 1), ("POST", True, 2)],
)
async def test_only_idempotent_methods_unless_told_otherwise(
    autojump_clock: MockClock, *, method: str, any_method: bool, made: int
) -> None:
    """RFC 9110 9.2.2."""
    attempts = Attempts(NothingDoneError("down"))
    with trio.move_on_after(60):
        try:
            await retries(1, any_method=any_method).run(method, attempts)
        except NothingDoneError:
            assert made == 1
    assert attempts.made == made
