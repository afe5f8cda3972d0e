"""Quotas: how many calls an app has in a day, or another period, over all routes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from actors.gateway_route.call import Call
from actors.http_calls.errors import QUOTA_USED_UP, CallRefusedError
from config.resources import Quota
from config.resources.topics import duration_seconds

WallClock = Callable[[], float]
"""Seconds since 1970-01-01T00:00:00Z."""


class QuotaUse(NamedTuple):
    """Calls that an app has used of the period of `period` seconds that began at `start` (seconds since 1970)."""

    app: str
    start: int
    period: int
    used: int


@dataclass(frozen=True, slots=True)
class QuotaStatistics:
    """How an app fares; times in seconds since 1970."""

    calls: int
    used: int
    refused: int
    resets: int


class _Account:
    __slots__ = ("calls", "period", "refused", "start", "used")

    def __init__(self, calls: int, period: int) -> None:
        self.calls = calls
        self.period = period
        self.start = 0
        self.used = 0
        self.refused = 0

    def turn(self, now: float) -> None:
        """Begin another period where it is time for one.

        A clock that was set back a little stays in the period that it had, or calls would be counted anew; one that was
        far ahead must not lock the app out until then.
        """
        start = int(now // self.period) * self.period
        if start > self.start or self.start - start > self.period:
            self.start = start
            self.used = 0


class Quotas:
    """The quotas of all apps that have one, and what they have used of them.

    What changed is taken by whoever writes it down (`take_changed`); `restore` gives it back after a restart.
    """

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._stored: dict[str, QuotaUse] = {}
        self._changed: set[str] = set()

    def restore(self, uses: Iterable[QuotaUse]) -> None:
        """Know what was used before the restart; to be called before the first `put`."""
        self._stored = {use.app: use for use in uses}

    def put(self, app: str, quota: Quota | None) -> None:
        """Give an app a quota, change it, or take it away; what it used counts on where the period is the same."""
        if quota is None:
            self.remove(app)
            return
        period = duration_seconds(quota.period)
        account = self._accounts.get(app)
        if account is not None and account.period == period:
            account.calls = quota.calls
            return
        account = self._accounts[app] = _Account(quota.calls, period)
        stored = self._stored.pop(app, None)
        if stored is not None and stored.period == period:
            account.start, account.used = stored.start, stored.used

    def remove(self, app: str) -> None:
        """An app that has no quota, or is gone."""
        if self._accounts.pop(app, None) is not None or self._stored.pop(app, None) is not None:
            self._changed.add(app)

    def step(self, call: Call) -> None:
        """Count a call for its app, or refuse it.

        Raises:
            CallRefusedError: 405 APIC.0501, with Retry-After in seconds.
        """
        self.check(call)
        self.count(call)

    def check(self, call: Call) -> None:
        """See that a call's app has calls left, and count nothing.

        Raises:
            CallRefusedError: it has none.
        """
        account = self._accounts.get(call.caller.app or "")
        if account is None:
            return
        now = self._clock()
        account.turn(now)
        if account.used >= account.calls:
            account.refused += 1
            seconds = max(1, math.ceil(account.start + account.period - now))
            raise CallRefusedError(QUOTA_USED_UP, headers=(("Retry-After", str(seconds)),))

    def count(self, call: Call) -> None:
        """Count a call that was just let pass."""
        app = call.caller.app or ""
        account = self._accounts.get(app)
        if account is not None:
            account.used += 1
            self._changed.add(app)

    def statistics(self, app: str) -> QuotaStatistics | None:
        """How an app fares; None where it has no quota."""
        account = self._accounts.get(app)
        if account is None:
            return None
        account.turn(self._clock())
        return QuotaStatistics(account.calls, account.used, account.refused, account.start + account.period)

    def all_statistics(self) -> Mapping[str, QuotaStatistics]:
        """How each app fares that has a quota."""
        return {app: found for app in self._accounts if (found := self.statistics(app)) is not None}

    def take_changed(self) -> Mapping[str, QuotaUse | None]:
        """What each app has used that called since this was last asked; None for one that has no quota any more."""
        changed = {app: self._use(app) for app in self._changed}
        self._changed.clear()
        return changed

    def put_back(self, apps: Iterable[str]) -> None:
        """These could not be written down, and are to be taken again."""
        self._changed.update(apps)

    def _use(self, app: str) -> QuotaUse | None:
        account = self._accounts.get(app)
        return None if account is None else QuotaUse(app, account.start, account.period, account.used)
