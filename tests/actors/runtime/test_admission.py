"""How many calls run and wait at a time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.runtime.admission import Admission, AdmissionFullError


async def test_places_go_to_those_who_wait_longest(autojump_clock: MockClock) -> None:
    """At most `capacity` run, as many wait in the order in which they came, and nobody more is taken."""
    admission, order = Admission(2), []

    async def call(number: int) -> None:
        await admission.enter()
        try:
            order.append(number)
            await trio.sleep(1 + number / 10)
        finally:
            admission.leave()

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(call, number)
            await wait_all_tasks_blocked()
        with pytest.raises(AdmissionFullError):
            await admission.enter()
        seen = admission.statistics()
        assert (seen.running, seen.waiting, seen.capacity, seen.refused) == (2, 2, 2, 1)
    assert order == [0, 1, 2, 3]
    seen = admission.statistics()
    assert (seen.running, seen.waiting, seen.admitted, seen.high_water) == (0, 0, 4, 2)
    assert seen.waited == pytest.approx(2.1)


async def test_who_gives_up_waiting_takes_no_place() -> None:
    """A cancelled wait leaves the line, and a place that was given at the same moment goes to the next."""
    admission = Admission(1)
    await admission.enter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admission.enter)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert admission.statistics().waiting == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admission.enter)
        await wait_all_tasks_blocked()
        admission.leave()
        nursery.cancel_scope.cancel()
    assert admission.statistics().running in {0, 1}
    while admission.statistics().running:
        admission.leave()
    await admission.enter()
    assert admission.statistics().running == 1


async def test_a_queue_has_its_own_length(autojump_clock: MockClock) -> None:
    """None at all where a route wants none: who finds no place is told at once."""
    for queue in (0, 3):
        admission = Admission(1, queue)
        await admission.enter()
        async with trio.open_nursery() as nursery:
            for _ in range(queue):
                nursery.start_soon(admission.enter)
            await wait_all_tasks_blocked()
            with pytest.raises(AdmissionFullError):
                await admission.enter()
            for _ in range(queue):
                admission.leave()
        assert admission.statistics().refused == 1


async def test_nobody_waits_for_longer_than_the_queue_takes(autojump_clock: MockClock) -> None:
    """After that it is refused, and leaves the line to the others."""
    admission = Admission(1, 2, patience=0.5)
    await admission.enter()
    with pytest.raises(AdmissionFullError, match="too long"):
        await admission.enter()
    assert trio.current_time() == pytest.approx(0.5)
    seen = admission.statistics()
    assert (seen.waiting, seen.refused, seen.waited) == (0, 1, pytest.approx(0.5))
    admission.leave()
    await admission.enter()
    assert admission.statistics().running == 1
