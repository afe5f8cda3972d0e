"""What changes in memory with every report or call outlives a restart: written now and then, and at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from actors.errors import PenstockError

# How long the last writing may take.
LAST_SECONDS: Final = 3.0

log = structlog.get_logger()


class Journal(ABC):
    """Writes to the metadata store what changed within `interval` seconds, at once; is a Child.

    Nobody waits for it: what changes does so in memory only. While the store fails, it goes on changing there, and is
    tried again each `interval`; that is logged once, as `not_stored`.
    """

    def __init__(self, not_stored: str, interval: float) -> None:
        self._not_stored = not_stored
        self._interval = interval
        self._stopping = trio.Event()
        self._store_answers = True

    async def run(self, started: Callable[[], None]) -> None:
        """Write now and then until stopped, and once more at the end, also when it is cancelled."""
        started()
        try:
            while not self._stopping.is_set():
                with trio.move_on_after(self._interval):
                    await self._stopping.wait()
                    break
                await self._save(last=False)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_SECONDS):
                while await self._save(last=True):
                    pass

    def stop(self) -> None:
        """Write what is left, and end."""
        self._stopping.set()

    @abstractmethod
    async def _save(self, *, last: bool) -> bool:
        """One batch; says whether there was one and it was taken. `last`: nothing is to wait for a better time."""

    async def _write(self, writing: Awaitable[None], count: int, put_back: Callable[[], None]) -> bool:
        """Await a write; what was not taken is put back, also when it is cancelled."""
        taken = False
        try:
            await writing
            taken = True
        except PenstockError as error:
            if self._store_answers:
                log.warning(self._not_stored, count=count, reason=str(error))
        finally:
            if not taken:
                put_back()
            self._store_answers = taken
        return taken
