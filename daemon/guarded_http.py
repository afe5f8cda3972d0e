"""Outgoing HTTP connections, whose addresses are checked after they are resolved and before they are called."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import httpcore
import trio

from actors.http_calls.address_guard import AddressGuard

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to an address that the guard has seen; the name is not resolved a second time.

    A name of which one address is denied is denied, so that it cannot depend on luck.
    """

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
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address: {error.strerror}") from error
        addresses = [str(place[4][0]) for place in found]
        for address in addresses:
            self._guard.check(address)
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await trio.sleep(seconds)
