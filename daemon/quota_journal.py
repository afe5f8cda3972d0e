"""What apps have used of their quotas outlives a restart: read at the start, written now and then, and at the end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

from actors.gateway_route.flow.quotas import Quotas, QuotaUse
from daemon.journal import Journal

INTERVAL: Final = 1.0


class QuotaStore(Protocol):
    """The part of the metadata store that is needed here."""

    async def save_quota_uses(self, uses: Mapping[str, QuotaUse | None]) -> None:
        """Store what apps have used; None forgets one."""


class QuotaJournal(Journal):
    """What apps have used of their quotas.

    Calls are counted in memory only, and wait for no disk: a daemon that is killed forgets the last second of them.
    """

    def __init__(self, quotas: Quotas, store: QuotaStore, *, interval: float = INTERVAL) -> None:
        super().__init__("quotas not stored, trying again", interval)
        self._quotas = quotas
        self._store = store

    async def _save(self, *, last: bool) -> bool:  # noqa: ARG002 - nothing of it ever waits
        changed = self._quotas.take_changed()
        if not changed:
            return False
        put_back = partial(self._quotas.put_back, changed)
        return await self._write(self._store.save_quota_uses(changed), len(changed), put_back)
