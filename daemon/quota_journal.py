"""What apps have used of their quotas outlives a restart: read at the start, written now and then, and at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog
import trio

from actors.errors import PenstockError
from actors.gateway_route.flow.quotas import Quotas, QuotaUse

log = structlog.get_logger()

INTERVAL: Final = 1.0
# How long the last write may take when the process is to end at once.
LAST_SECONDS: Final = 3.0


class QuotaStore(Protocol):
    """The part of the metadata store that is needed here."""

    async def save_quota_uses(self, uses: Mapping[str, QuotaUse | None]) -> None:
        """Store what apps have used; None forgets one."""


class QuotaJournal:
    """Writes what was used to the metadata store, all that changed within `interval` seconds at once; is a Child.

    Calls are counted in memory only, and wait for no disk: a daemon that is killed forgets the last second of them.
    While the store fails, they go on being counted, and are tried again each `interval`.
    """

    def __init__(self, quotas: Quotas, store: QuotaStore, *, interval: float = INTERVAL) -> None:
        self._quotas = quotas
        self._store = store
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
                await self._save()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_SECONDS):
                await self._save()

    def stop(self) -> None:
        """Write what is left, and end."""
        self._stopping.set()

    async def _save(self) -> None:
        changed = self._quotas.take_changed()
        if not changed:
            return
        saved = False
        try:
            await self._store.save_quota_uses(changed)
            saved = True
        except PenstockError as error:
            if self._store_answers:
                log.warning("quotas not stored, trying again", apps=len(changed), reason=str(error))
        finally:
            if not saved:
                self._quotas.put_back(changed)
            self._store_answers = saved
