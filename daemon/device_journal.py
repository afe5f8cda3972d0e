"""What is known of devices outlives a restart: read at the start, written now and then, and at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import structlog
import trio

from actors.device_session.registry.statuses import DeviceView, RejectedReport, Statuses
from actors.errors import PenstockError
from daemon.store.model import DeviceStatus, Rejection

log = structlog.get_logger()

INTERVAL: Final = 5.0
# A device that only reports is written once in so many seconds: ten thousand of them make 170 rows a second.
PATIENCE: Final = 60.0
# What one transaction takes; the rest waits for the next round, those first that waited longest.
ROWS: Final = 1_000
# How long the last write may take when the process is to end at once.
LAST_SECONDS: Final = 3.0


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


class DeviceJournal:
    """Writes statuses that changed to the metadata store, in batches; is a Child.

    Nobody waits for it: sessions change statuses in memory only. Who came, left, or had a report rejected is written
    within `interval` seconds, at most `rows` at a time; who only reports, once in `patience` seconds; everything at the
    end. While the store fails, what changed goes on changing in memory, and is tried again each `interval`.
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
        self._statuses = statuses
        self._store = store
        self._interval = interval
        self._patience = patience
        self._rows = rows
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
                await self._save(self._patience)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_SECONDS):
                while await self._save(patience=0.0):
                    pass

    def stop(self) -> None:
        """Write what is left, and end."""
        self._stopping.set()

    async def _save(self, patience: float) -> bool:
        """One batch; says whether there was one and it was taken."""
        due = self._statuses.take_due(trio.current_time(), patience=patience, most=self._rows)
        if not due:
            return False
        saved = False
        try:
            await self._store.save_device_status([_stored(device, view) for device, view in due.items()])
            saved = True
        except PenstockError as error:
            if self._store_answers:
                log.warning("device statuses not stored, trying again", count=len(due), reason=str(error))
        finally:
            if not saved:
                self._statuses.put_back(due)
            self._store_answers = saved
        return saved


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
