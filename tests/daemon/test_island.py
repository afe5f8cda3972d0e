"""The asyncio island: results, exceptions, cancellation, bounds, end."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import trio

from actors.errors import ConnectorError
from daemon.island import Island


@pytest.fixture
async def island() -> AsyncIterator[Island]:
    async with Island(patience=0.5) as island:
        yield island


def island_threads() -> int:
    return sum(thread.name == "penstock asyncio" for thread in threading.enumerate())


async def test_results_and_exceptions_come_back(island: Island) -> None:
    """What the awaitable returns or raises is what the caller gets; a function that raises at once, too."""

    async def divide(a: int, b: int) -> float:
        await asyncio.sleep(0)
        return a / b

    def broken() -> None:
        raise KeyError("broken")

    assert await island.call(lambda: divide(1, 2)) == 0.5
    with pytest.raises(ZeroDivisionError):
        await island.call(lambda: divide(1, 0))
    with pytest.raises(KeyError):
        await island.call(broken)


async def test_all_calls_run_on_one_thread_beside_trio(island: Island) -> None:
    """Calls run at the same time in the one asyncio thread, not in trio's and not in one each."""
    threads: set[int] = set()
    barrier = asyncio.Barrier(50)

    async def meet() -> None:
        threads.add(threading.get_ident())
        await barrier.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(island.call, meet)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_cancelled_call_is_cancelled_once_and_waited_for(island: Island) -> None:
    """The asyncio task sees one CancelledError, and may await its clean-up before the trio caller goes on."""
    seen: list[str] = []

    async def transaction() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0.05)
            seen.append("rolled back")
            raise

    with trio.move_on_after(0.05) as scope:
        await island.call(transaction)
    assert scope.cancelled_caught
    assert seen == ["cancelled", "rolled back"]


async def test_what_completes_in_spite_of_its_cancellation_has_happened(island: Island) -> None:
    """A task that ends with a result after the cancellation hands that result over."""

    async def commit() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "committed"
        return "never"

    with trio.move_on_after(0.05):
        assert await island.call(commit) == "committed"


async def test_a_call_cancelled_before_it_runs_does_not_run(island: Island) -> None:
    """In a cancelled scope nothing is left running."""
    ran: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0)
        ran.append(1)

    with trio.CancelScope() as scope:
        scope.cancel()
        await island.call(work)
    assert scope.cancelled_caught
    await island.call(lambda: asyncio.sleep(0.01))
    assert ran == []


async def test_a_task_that_ignores_its_cancellation_is_left_after_a_deadline(island: Island) -> None:
    """The caller comes back after `patience` seconds, whatever the task does."""
    release = asyncio.Event()

    async def deaf() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    began = trio.current_time()
    with trio.move_on_after(0.05) as scope:
        await island.call(deaf)
    assert scope.cancelled_caught
    assert 0.5 < trio.current_time() - began < 2

    async def free() -> None:
        release.set()

    await island.call(free)


async def test_an_asyncio_time_out_is_the_callees_own_affair(island: Island) -> None:
    """A TimeoutError from inside arrives as such and cancels nothing in trio."""

    async def slow() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await island.call(slow)


async def test_calls_in_flight_are_bounded() -> None:
    """No more than `limit` tasks exist on the island; the others wait in trio and get their turn."""
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1

    async with Island(limit=3) as island, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(island.call, work)
    assert most == 3


async def test_the_end_cancels_what_is_left_and_leaves_no_thread() -> None:
    """Callers that still wait get an error, later ones are refused, and the thread is gone."""
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned")

    async def caller(island: Island) -> None:
        with pytest.raises(ConnectorError, match="stopped"):
            await island.call(wait)
        ended.append("told")

    before = island_threads()
    async with trio.open_nursery() as nursery, Island() as island:
        nursery.start_soon(caller, island)
        await trio.sleep(0.05)
        assert island_threads() == before + 1
    assert ended == ["cleaned", "told"]
    assert island_threads() == before
    with pytest.raises(ConnectorError, match="does not run"):
        await island.call(wait)


async def test_ending_in_a_cancelled_scope_still_ends_the_thread() -> None:
    """A daemon that is told to stop at once leaves no thread behind either."""
    before = island_threads()
    with trio.CancelScope() as scope:
        async with Island() as island:
            await island.call(lambda: asyncio.sleep(0))
            scope.cancel()
    assert island_threads() == before
