"""Blocking work in a worker thread that can be interrupted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

import outcome
import trio

T = TypeVar("T")


async def run_interruptible(work: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Run blocking `work` in a worker thread; a cancelled caller calls `interrupt` once and waits until it has ended.

    Work that comes to its end in spite of the interruption has happened: its result is returned, and the cancellation
    waits for the next checkpoint. `trio.to_thread` knows only to wait or to abandon, and costs twice as much a call;
    how many threads run at a time is the caller's business.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    task = trio.lowlevel.current_task()
    token = trio.lowlevel.current_trio_token()
    raise_cancelled: Callable[[], NoReturn] | None = None

    def deliver(result: outcome.Outcome[T]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(trio.lowlevel.reschedule, task, result)

    def abort(raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
        nonlocal raise_cancelled
        raise_cancelled = raise_cancel
        interrupt()
        return trio.lowlevel.Abort.FAILED

    trio.lowlevel.start_thread_soon(work, deliver, "penstock sql")
    try:
        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
    except Exception:
        if raise_cancelled is not None:
            raise_cancelled()
        raise
    return result
