"""What is known of each device: online or not, its last report, what was rejected."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

# How many rejected reports are remembered for each device, and how much of each reason.
REJECTED_KEPT: Final = 10
REASON_CHARACTERS: Final = 300


class RejectedReport(NamedTuple):
    """A report that was acknowledged and not forwarded; `time` is in milliseconds since the epoch."""

    time: int
    topic: str
    reason: str


class LivingSession(Protocol):
    """What a status shows of a session that lives."""

    @property
    def client_id(self) -> str:
        """As the client chose it, or as it was generated."""

    @property
    def address(self) -> str:
        """Where it comes from, as host:port."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device's status for display; times are in milliseconds since the epoch, None where it never happened."""

    online: bool
    since: int | None
    reason: str
    client_ids: tuple[str, ...]
    addresses: tuple[str, ...]
    last_report: int | None
    reports: int
    rejected: int
    rejected_reports: tuple[RejectedReport, ...]


class DeviceStatus:
    """One device. It is online exactly while it has a living session; nothing else says so.

    `changes` counts what is worth keeping at once (it came, it left, a report was rejected). The marks `kept_...` say
    up to where the status was kept elsewhere, and when, in seconds of trio's clock.
    """

    __slots__ = (
        "_rejected_reports",
        "_sessions",
        "changes",
        "kept_at",
        "kept_changes",
        "kept_reports",
        "last_report",
        "reason",
        "rejected",
        "reports",
        "since",
    )

    def __init__(self) -> None:
        self._sessions: tuple[LivingSession, ...] = ()
        self._rejected_reports: deque[RejectedReport] | None = None
        self.since: int | None = None
        self.reason = "it has never connected"
        self.last_report: int | None = None
        self.reports = 0
        self.rejected = 0
        self.changes = 0
        self.kept_changes = 0
        self.kept_reports = 0
        self.kept_at = -math.inf

    def restore(self, view: DeviceView) -> None:
        """Begin with what was known of the device before."""
        self.since = view.since
        self.reason = view.reason
        self.last_report = view.last_report
        self.reports = self.kept_reports = view.reports
        self.rejected = view.rejected
        if view.rejected_reports:
            self._rejected_reports = deque(view.rejected_reports, maxlen=REJECTED_KEPT)

    def joined(self, session: LivingSession) -> bool:
        """A session began; says whether the device was offline before, which only the first of several changes."""
        came = not self._sessions
        if came:
            self.changes += 1
            self.since = milliseconds()
            self.reason = f"connected from {session.address}"
        self._sessions = (*self._sessions, session)
        return came

    def left(self, session: LivingSession, reason: str) -> bool:
        """A session ended; the last one to end says since when and why the device is offline, which it then is."""
        before = self._sessions
        self._sessions = tuple(other for other in before if other is not session)
        went = bool(before) and not self._sessions
        if went:
            self.changes += 1
            self.since = milliseconds()
            self.reason = reason
        return went

    def reject(self, topic: str, reason: str) -> None:
        """Note a report that is not as its product's thing model says; the oldest note goes for the newest."""
        if self._rejected_reports is None:
            self._rejected_reports = deque(maxlen=REJECTED_KEPT)
        self.changes += 1
        self.rejected += 1
        self._rejected_reports.append(RejectedReport(milliseconds(), topic, reason[:REASON_CHARACTERS]))

    def view(self) -> DeviceView:
        """For display."""
        return DeviceView(
            online=bool(self._sessions),
            since=self.since,
            reason=self.reason,
            client_ids=tuple(session.client_id for session in self._sessions),
            addresses=tuple(session.address for session in self._sessions),
            last_report=self.last_report,
            reports=self.reports,
            rejected=self.rejected,
            rejected_reports=tuple(self._rejected_reports or ()),
        )


class Statuses:
    """The status of every device that ever connected; only authenticated devices get one.

    So there are never more than there are devices, once `forget` is told of each that is deleted.
    """

    def __init__(self) -> None:
        self._devices: dict[str, DeviceStatus] = {}

    def of(self, device: str) -> DeviceStatus:
        """The status of `<product>/<device>`, made where it is missing."""
        status = self._devices.get(device)
        if status is None:
            status = self._devices[device] = DeviceStatus()
        return status

    def view(self, device: str) -> DeviceView:
        """The status of `<product>/<device>` for display; one that never connected is offline."""
        return (self._devices.get(device) or DeviceStatus()).view()

    def restore(self, device: str, view: DeviceView) -> None:
        """What was known of `<product>/<device>` before the daemon started."""
        self.of(device).restore(view)

    def take_due(self, now: float, *, patience: float, most: int) -> dict[str, DeviceView]:
        """At most so many statuses that are to be kept now; from then on they count as kept.

        A device that came, left or had a report rejected is due at once, one that only reported (which many do all
        the time) once its last keeping is `patience` seconds old. Those that were kept longest ago come first.
        """
        reported_before = now - patience
        due = [
            (status.kept_at, device)
            for device, status in self._devices.items()
            if status.changes != status.kept_changes
            or (status.reports != status.kept_reports and status.kept_at <= reported_before)
        ]
        if len(due) > most:
            due = heapq.nsmallest(most, due)
        return {device: self._take(device, now) for _, device in due}

    def put_back(self, devices: Collection[str]) -> None:
        """These could not be kept: they are due again."""
        for device in devices:
            status = self._devices.get(device)
            if status is not None:
                status.kept_changes = -1

    def _take(self, device: str, now: float) -> DeviceView:
        status = self._devices[device]
        status.kept_changes, status.kept_reports, status.kept_at = status.changes, status.reports, now
        return status.view()

    def forget(self, device: str) -> None:
        """The device is deleted."""
        self._devices.pop(device, None)


def milliseconds() -> int:
    """The wall clock in milliseconds since the epoch, as records and statuses carry it."""
    return time.time_ns() // 1_000_000
