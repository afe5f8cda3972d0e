"""Whose calls routes take or refuse, by address or by app. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from config.resources import AccessList

_BITS = {4: 32, 6: 128}


class AddressSet:
    """Networks, searched in as many steps as they have different lengths.

    Raises:
        ValueError: a text is neither an address nor a network; host bits may be set, they do not count.
    """

    __slots__ = ("_networks",)

    def __init__(self, texts: Iterable[str]) -> None:
        # By version of IP and number of host bits: the networks, shifted by these.
        self._networks: dict[tuple[int, int], set[int]] = {}
        for text in texts:
            network = ip_network(text, strict=False)
            host_bits = _BITS[network.version] - network.prefixlen
            self._networks.setdefault((network.version, host_bits), set()).add(
                int(network.network_address) >> host_bits
            )

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        value, version = int(address), address.version
        return any(
            of == version and value >> host_bits in networks for (of, host_bits), networks in self._networks.items()
        )


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """A caller's address; an IPv4 one that came in over an IPv6 socket is an IPv4 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


class _Compiled:
    __slots__ = ("addresses", "allows", "apps")

    def __init__(self, resource: AccessList) -> None:
        self.allows = resource.action == "allow"
        self.apps = frozenset(resource.apps)
        self.addresses = AddressSet(resource.addresses) if resource.addresses else None


class AccessLists:
    """Access lists as they are now. A route's call passes where each list that it names lets it pass."""

    def __init__(self) -> None:
        self._lists: dict[str, _Compiled] = {}

    def put(self, resource: AccessList) -> None:
        """Add a list, or replace the one of that name.

        Raises:
            ValueError: an address of it is none.
        """
        self._lists[resource.name] = _Compiled(resource)

    def remove(self, name: str) -> None:
        """Take a list away, where it is there; a route that still names it takes no calls."""
        self._lists.pop(name, None)

    def admit_address(self, names: Iterable[str], address: IPv4Address | IPv6Address) -> bool:
        """Whether the lists by address among these let a caller pass; a list that is missing lets nobody."""
        for name in names:
            one = self._lists.get(name)
            if one is None or (one.addresses is not None and (address in one.addresses) is not one.allows):
                return False
        return True

    def admit_app(self, names: Iterable[str], app: str | None) -> bool:
        """Whether the lists by app among these let a caller pass; None is a caller that is no app."""
        for name in names:
            one = self._lists.get(name)
            if one is None or (one.addresses is None and (app in one.apps) is not one.allows):
                return False
        return True
