"""What is known of devices outlives a restart: read at the start, written now and then, and at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, Protocol

import trio

from actors.device_session.registry.statuses import DeviceView, RejectedReport, Statuses
from daemon.journal import Journal
from daemon.store.model import DeviceStatus, Rejection

INTERVAL: Final = 5.0
# A device that only reports is written once in so many seconds: ten thousand of them make 170 rows a second.
PATIENCE: Final = 60.0
# What one transaction takes; the rest waits for the next round, those first that waited longest.
ROWS: Final = 1_000


class StatusStore(Protocol):
    """The part of the metadata store that is needed here."""

    async def save_device_status(self, statuses: Sequence[DeviceStatus]) -> None:
        """Store a batch of them."""


def restore(statuses: Statuses, stored: Iterable[DeviceStatus]) -> list[str]:
    """Know of every device what was known when the daemon ended.

    Returns those (as `<product>/<device>`) that are offline because it ended without a drain; they are due.
    """
    dropped = []
    for one in stored:
        device = f"{one.product}/{one.device}"
        statuses.restore(device, _restored(one))
        if one.online:
            dropped.append(device)
    statuses.put_back(dropped)
    return dropped


class DeviceJournal(Journal):
    """Statuses of devices, in batches.

    Who came, left, or had a report rejected is written within `interval` seconds, at most `rows` at a time; who only
    reports, once in `patience` seconds; everything at the end.
    """

    def __init__(
        self,
        statuses: Statuses,
        store: StatusStore,
        *,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
        rows: int = ROWS,
    ) -> None:
        super().__init__("device statuses not stored, trying again", interval)
        self._statuses = statuses
        self._store = store
        self._patience = patience
        self._rows = rows

    async def _save(self, *, last: bool) -> bool:
        patience = 0.0 if last else self._patience
        due = self._statuses.take_due(trio.current_time(), patience=patience, most=self._rows)
        if not due:
            return False
        statuses = [_stored(device, view) for device, view in due.items()]
        put_back = partial(self._statuses.put_back, due)
        return await self._write(self._store.save_device_status(statuses), len(statuses), put_back)


def _stored(device: str, view: DeviceView) -> DeviceStatus:
    product, _, name = device.partition("/")
    return DeviceStatus(
        product=product,
        device=name,
        online=view.online,
        since=view.since,
        reason=view.reason,
        last_report=view.last_report,
        reports=view.reports,
        rejected=view.rejected,
        rejections=tuple(Rejection(*report) for report in view.rejected_reports),
    )


def _restored(stored: DeviceStatus) -> DeviceView:
    since, reason = stored.since, stored.reason
    if stored.online:
        # Whoever was online when it was last written was so when the daemon ended, which then could not say so.
        since = max(stored.since or 0, stored.last_report or 0)
        reason = "the daemon ended without a drain while the device was connected; it was last seen then"
    return DeviceView(
        online=False,
        since=since,
        reason=reason,
        client_ids=(),
        addresses=(),
        last_report=stored.last_report,
        reports=stored.reports,
        rejected=stored.rejected,
        rejected_reports=tuple(RejectedReport(*one) for one in stored.rejections),
    )
