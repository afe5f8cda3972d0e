"""Who is locked out for a while because of wrong credentials. Pure."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final, NamedTuple, TypeVar

from config.settings import FailedLoginSettings

K = TypeVar("K")

# Sources and names that are remembered, of each kind; those that were heard of longest ago are forgotten first.
REMEMBERED: Final = 65_536
# Who has one IPv6 address has a whole /64 of them (RFC 6177 2).
_IPV6_PREFIX: Final = 64


def source_of(host: str) -> str:
    """What counts as one source: an IPv4 address, also where it is written as IPv6, or an IPv6 network of 64 bits."""
    if ":" not in host:
        return host
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return host


class _Failures(NamedTuple):
    """So many since then; `until` is when a lock ends, 0 for none."""

    number: int
    since: float
    until: float


class FailedLogins:
    """Counts failed log-ins by source, and by (source, user name): never by name alone.

    A source is what `source_of` makes of an address; times are in seconds of any clock that never goes back. Nobody
    learns from a lock whether a name exists: names that do not are counted alike. One who has logged in from a source
    before is let in although others from there have been guessing: a fleet behind one address is not shut out.
    """

    def __init__(self, settings: FailedLoginSettings) -> None:
        self._settings = settings
        self._sources: OrderedDict[str, _Failures] = OrderedDict()
        # By hash: a name may be 64 KB long, and hashes are seeded for each process.
        self._pairs: OrderedDict[int, _Failures] = OrderedDict()
        self._known: OrderedDict[int, None] = OrderedDict()

    def locks(self, source: str, username: str, now: float) -> bool:
        """Whether this one is refused, whatever the password; to be asked before credentials are looked at."""
        if not self._pairs:
            return False
        pair = hash((source, username))
        if _is_locked(self._pairs.get(pair), now):
            return True
        return _is_locked(self._sources.get(source), now) and pair not in self._known

    def failed(self, source: str, username: str, now: float) -> bool:
        """Wrong credentials were shown; returns whether that has locked something just now."""
        pair = _counted(self._pairs, hash((source, username)), self._settings.attempts, self._settings, now)
        whole = _counted(self._sources, source, self._settings.attempts_per_address, self._settings, now)
        return pair or whole

    def succeeded(self, source: str, username: str) -> None:
        """Right credentials were shown."""
        pair = hash((source, username))
        self._pairs.pop(pair, None)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def sweep(self, now: float) -> None:
        """Forget what is over."""
        _forget(self._sources, now, self._settings.window)
        _forget(self._pairs, now, self._settings.window)


def _is_locked(failures: _Failures | None, now: float) -> bool:
    return failures is not None and now < failures.until


def _counted(table: OrderedDict[K, _Failures], key: K, most: int, settings: FailedLoginSettings, now: float) -> bool:
    before = table.get(key)
    if before is None or now - before.since >= settings.window:
        before = _Failures(0, now, 0.0)
    locks = before.number + 1 >= most
    # What a lock has answered for is not counted once more after it.
    table[key] = _Failures(0, now, now + settings.lock) if locks else before._replace(number=before.number + 1)
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)
    return locks


def _forget(table: OrderedDict[K, _Failures], now: float, window: float) -> None:
    """Take the oldest out while they are over; one that is not keeps those behind it for a while longer."""
    while table:
        failures = next(iter(table.values()))
        if now < failures.until or now - failures.since < window:
            return
        table.popitem(last=False)
