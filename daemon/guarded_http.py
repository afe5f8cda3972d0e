"""Outgoing HTTP connections, whose addresses are checked after they are resolved and before they are called."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress

import httpcore
import trio

from actors.http_calls.address_guard import AddressGuard

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


async def checked_addresses(guard: AddressGuard, host: str, port: int) -> Sequence[str]:
    """The addresses of a host, best first (RFC 6724), all of which may be called; to connect to these, not to the name.

    A name of which one address is denied is denied, so that it cannot depend on luck.

    Raises:
        AddressDeniedError: the guard refuses an address.
        OSError: the name has none.
    """
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host[:64]} is no name of a host") from error
    addresses = tuple(dict.fromkeys(str(place[4][0]) for place in found))
    for address in addresses:
        guard.check(address)
    if not addresses:
        raise OSError("none was found")
    return addresses


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to an address that the guard has seen; the name is not resolved a second time."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._network = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, connect.

        Raises:
            AddressDeniedError: the guard refuses an address.
            httpcore.ConnectError: the name has no address, or nobody answers there.
        """
        try:
            addresses = await checked_addresses(self._guard, host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address: {error.strerror or error}") from error
        *others, last = addresses
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await trio.sleep(seconds)
