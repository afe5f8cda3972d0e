"""Who may open one more connection: how many there are from one source, and how fast they come. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from actors.device_session.registry.failed_logins import source_of
from actors.errors import ConfigurationError
from actors.runtime.token_bucket import TokenBucket
from config.settings import MqttSettings

TOO_MANY: Final = "too many connections from one address"
TOO_FAST: Final = "connections come too fast from one address"
# Addresses whose source is remembered, so that it is not worked out again for each connection.
_REMEMBERED: Final = 4096


class Source:
    """Where connections come from, and how many there are now."""

    __slots__ = ("_admission", "_bucket", "connections")

    def __init__(self, admission: Admission, bucket: TokenBucket | None) -> None:
        self._admission = admission
        self._bucket = bucket
        self.connections = 0

    def enter(self, most: int, now: float) -> str:
        """Count one more; a text says why it is refused, and then it is not counted."""
        if self._bucket is not None:
            if not self._bucket.try_take(1, now):
                return TOO_FAST
            if self.connections >= most:
                return TOO_MANY
        self.connections += 1
        self._admission.connections += 1
        return ""

    def left(self) -> None:
        """One of them has ended."""
        self.connections -= 1
        self._admission.connections -= 1

    def is_forgotten(self, now: float) -> bool:
        """Whether nothing needs to be known of it any more."""
        return self.connections <= 0 and (self._bucket is None or self._bucket.is_full(now))


class Admission:
    """Counts connections, as a whole and by source; trusted networks have as many as they like, as fast as they like.

    A source is what `source_of` makes of an address. What is known of one is forgotten soon after its last connection
    (`sweep`): no more of them are remembered than connections were accepted lately.

    Raises:
        ConfigurationError: a trusted network is none.
    """

    def __init__(self, settings: MqttSettings) -> None:
        self.connections = 0
        """How many there are from everywhere."""
        self._most = settings.max_connections_per_address
        self._rate = settings.connection_rate_per_address
        self._networks = _networks(settings.trusted_networks)
        self._trusted = Source(self, None)
        self._sources: dict[str, Source] = {}
        # None for an address that is trusted.
        self._names: dict[str, str | None] = {}

    def admit(self, host: str, now: float) -> Source | str:
        """Count one more connection from an address, until its source hears that it has left; or why it is refused."""
        names = self._names
        name = names[host] if host in names else self._name(host)
        source = self._trusted if name is None else self._sources.get(name)
        if source is None:
            source = self._sources[name or ""] = Source(self, TokenBucket(self._rate, now))
        return source.enter(self._most, now) or source

    def sweep(self, now: float) -> None:
        """Forget sources that have gone."""
        for name in [name for name, source in self._sources.items() if source.is_forgotten(now)]:
            del self._sources[name]

    def __len__(self) -> int:
        """How many sources are known."""
        return len(self._sources)

    def _name(self, host: str) -> str | None:
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        trusted = any(address in network for network in self._networks)
        name = self._names[host] = None if trusted else source_of(host)
        return name


def _networks(written: Sequence[str]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(network) for network in written)
    except ValueError as error:
        raise ConfigurationError(f"mqtt.trusted_networks: {error}: write networks such as 10.0.0.0/8") from error
