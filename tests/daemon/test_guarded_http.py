"""Outgoing connections: checked once resolved, and made to what was checked."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import httpcore
import pytest
import trio

from actors.http_calls.address_guard import AddressDeniedError, AddressGuard
from daemon.guarded_http import GuardedNetwork, checked_addresses

OPEN = AddressGuard(["127.0.0.0/8"])


class Names(trio.abc.HostnameResolver):
    """A resolver that says another thing each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def getaddrinfo(self, _host: bytes | None, port: object, *_: object, **__: object) -> list:
        found = self.answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    async def getnameinfo(self, sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
        return socket.getnameinfo(sockaddr, flags | socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "localhost", "0"])
async def test_however_this_machine_is_written_it_is_not_reached(host: str) -> None:
    """The system's resolver reads them all, and what it says is checked."""
    with pytest.raises(AddressDeniedError):
        await checked_addresses(AddressGuard(), host, 80)


async def test_a_name_that_changes_its_mind_leads_nowhere_else() -> None:
    """Looked up a second time it would be the metadata service; it is not."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    trio.socket.set_custom_hostname_resolver(names)
    stream = await GuardedNetwork(OPEN).connect_tcp("rebind.example", listener.socket.getsockname()[1], 5)
    await stream.aclose()
    await listener.aclose()
    assert len(names.answers) == 1


async def test_one_denied_address_denies_the_name() -> None:
    """Also where another one is open."""
    trio.socket.set_custom_hostname_resolver(Names(["127.0.0.1", "169.254.169.254"]))
    with pytest.raises(AddressDeniedError):
        await GuardedNetwork(OPEN).connect_tcp("two.example", 80, 5)


async def test_the_next_address_is_tried_where_nobody_answers() -> None:
    """A host of several addresses is reached by any of them."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    trio.socket.set_custom_hostname_resolver(Names(["127.0.0.9", "127.0.0.1"]))
    stream = await GuardedNetwork(OPEN).connect_tcp("two.example", listener.socket.getsockname()[1], 5)
    await stream.aclose()
    await listener.aclose()


async def test_a_name_without_an_address_is_a_connect_error() -> None:
    """Nothing found, and what is no name at all."""
    trio.socket.set_custom_hostname_resolver(Names([]))
    with pytest.raises(httpcore.ConnectError, match=r"none\.example has no address"):
        await GuardedNetwork(OPEN).connect_tcp("none.example", 80, 5)
    trio.socket.set_custom_hostname_resolver(None)
    with pytest.raises(httpcore.ConnectError, match="has no address"):
        await GuardedNetwork(OPEN).connect_tcp("a" * 70 + ".invalid", 80, 5)
