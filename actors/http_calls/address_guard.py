"""Which addresses outgoing calls may reach: what lies behind this machine's own doors is nobody's business. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from actors.errors import ConfigurationError, PenstockError

# Services of clouds that hand out credentials to whoever asks from inside; those at link-local addresses are shut off
# with all of these.
_METADATA = frozenset({ip_address("100.100.100.200"), ip_address("192.0.0.192"), ip_address("fd00:ec2::254")})
_NAT64 = ip_network("64:ff9b::/96")


class AddressDeniedError(PenstockError):
    """A call to an address that is not to be called."""


class AddressGuard:
    """Refuses loopback, link-local, unspecified, multicast and metadata addresses, but for those of `allowed` networks.

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
        address = _meant(text)
        if any(address.version == network.version and address in network for network in self._allowed):
            return
        shut = (
            address.is_loopback
            or address.is_link_local
            or address.is_unspecified
            or address.is_multicast
            or address in _METADATA
        )
        if shut:
            raise AddressDeniedError(
                f"{address} is not to be called from here; the operator may allow it in gateway.outgoing_networks"
            )


def _meant(text: str) -> IPv4Address | IPv6Address:
    """The address that a packet would go to: IPv4 addresses inside IPv6 ones are taken out."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    return address if inner is None else inner
