"""The audit log: what was done to resources, by whom, with before and after; in the daemon's log and in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import structlog

from actors.errors import PenstockError
from actors.ports import AuditEntry
from daemon.store.model import Store

log = structlog.get_logger()


class AuditLog:
    """Writes a line `audit` for each entry, and keeps it in the metadata store (see `actors.ports.AuditTrail`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, entry: AuditEntry) -> None:
        """Keep it; a store that does not answer is no reason to do nothing."""
        facts = {name: value for name, value in asdict(entry).items() if name != "at"}
        log.info("audit", **facts)
        try:
            await self._store.add_audit(entry)
        except PenstockError as error:
            log.warning("audit entry not stored", subject=entry.subject, reason=str(error))

    async def entries(self, limit: int) -> Sequence[AuditEntry]:
        """The last entries, the newest first.

        Raises:
            StorageError: the store does not answer.
        """
        return await self._store.load_audit(limit)
