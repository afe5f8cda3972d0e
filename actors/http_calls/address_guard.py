"""Which addresses outgoing calls may reach: what lies behind this machine's own doors is nobody's business. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from actors.errors import ConfigurationError, PenstockError

# Whoever can name a host can name one whose address is this machine's own, or a cloud's metadata service (OWASP
# API7:2023). Networks of an organisation's own are not among these: that is where backends are.
_SHUT = tuple(
    (ip_network(network), what)
    for what, networks in (
        ("loopback", ("127.0.0.0/8", "::1/128")),
        # RFC 1122 3.2.1.3: to connect to it reaches this machine.
        ("this machine", ("0.0.0.0/8", "::/128")),
        ("link-local", ("169.254.0.0/16", "fe80::/10")),
        ("multicast", ("224.0.0.0/4", "ff00::/8")),
        ("reserved", ("240.0.0.0/4",)),
        # Services of clouds that hand out credentials to whoever asks from inside, where they are not link-local.
        (
            "a metadata service",
            ("100.100.100.200/32", "168.63.129.16/32", "192.0.0.0/24", "fd00:ec2::/32", "fd20:ce::254/128"),
        ),
        # RFC 8215: which IPv4 address is meant the translator alone knows.
        ("translated", ("64:ff9b:1::/48",)),
    )
    for network in networks
)
# Their last 32 bits are the IPv4 address that a packet goes to: RFC 4291 2.5.5, RFC 6052 2.1, RFC 7915.
_EMBEDDING = tuple(map(ip_network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "::ffff:0:0:0/96")))


class AddressDeniedError(PenstockError):
    """A call to an address that is not to be called."""


class AddressGuard:
    """Refuses loopback, link-local, multicast, reserved and metadata addresses, but for those of `allowed` networks.

    To be asked with addresses, after names are resolved: a name proves nothing.

    Raises:
        ConfigurationError: one of `allowed` is no network.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        try:
            self._allowed = tuple(ip_network(text, strict=False) for text in allowed)
        except ValueError as error:
            raise ConfigurationError(f"gateway.outgoing_networks: {error}") from error

    def check(self, text: str) -> None:
        """See that an address may be called.

        Raises:
            AddressDeniedError: it may not.
        """
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            raise AddressDeniedError(f"{text!r} is no address") from None
        reached = tuple(_reached(address))
        if any(one in network for one in reached for network in self._allowed):
            return
        for one in reached:
            for network, what in _SHUT:
                if one in network:
                    raise AddressDeniedError(
                        f"{address} ({what}) is not to be called from here; the operator may allow it in "
                        "gateway.outgoing_networks"
                    )


def _reached(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """An address, and those IPv4 addresses that a packet to it may go to."""
    yield address
    if isinstance(address, IPv4Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _EMBEDDING):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
