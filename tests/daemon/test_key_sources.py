from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from actors.errors import ConfigurationError
from actors.gateway_route.auth.jwks import KeySourceError
from actors.http_calls.address_guard import AddressDeniedError, AddressGuard
from config.resources import Jwt
from daemon.key_sources import KeySources

OPEN = AddressGuard(["127.0.0.0/8"])


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[str]:
    """Somebody who answers every request alike."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/keys"
        nursery.cancel_scope.cancel()


async def refused(sources: KeySources, settings: Jwt) -> str:
    with pytest.raises(KeySourceError) as caught:
        await sources(settings)
    return str(caught.value)


async def test_files(tmp_path: Path) -> None:
    """A file is read from the data folder; one that is not there, or too large, is told by its name or size."""
    sources = KeySources(tmp_path, AddressGuard())
    (tmp_path / "keys.json").write_bytes(b"{}")
    (tmp_path / "large.json").write_bytes(b"x" * 2_000_000)
    assert await sources(Jwt(jwks_file="keys.json")) == b"{}"
    assert "none.json" in await refused(sources, Jwt(jwks_file="none.json"))
    assert "larger" in await refused(sources, Jwt(jwks_file="large.json"))


async def test_addresses(tmp_path: Path) -> None:
    """A key set is fetched; whatever else is answered is told."""
    sources = KeySources(tmp_path, OPEN)
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
        assert await sources(Jwt(jwks_url=url)) == b"{}"
        shut = KeySources(tmp_path, AddressGuard())
        assert "not to be called" in await refused(shut, Jwt(jwks_url=url))
    async with server(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n") as url:
        assert "302" in await refused(sources, Jwt(jwks_url=url))
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000) as url:
        assert "larger" in await refused(sources, Jwt(jwks_url=url))
    async with server(b"nonsense\r\n\r\n") as url:
        assert "cannot be reached" in await refused(sources, Jwt(jwks_url=url))
    assert "cannot be reached" in await refused(sources, Jwt(jwks_url=url))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1%eth0", "0.0.0.0", "::",
        "224.0.0.1", "100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_addresses_that_are_nobodys_business(address: str) -> None:
    """Loopback, link-local and metadata addresses are shut, however written, unless the operator allows them."""
    with pytest.raises(AddressDeniedError):
        AddressGuard().check(address)
    AddressGuard(["0.0.0.0/0", "::/0"]).check(address)
    with pytest.raises(ConfigurationError, match="outgoing_networks"):
        AddressGuard(["here"])


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "93.184.216.34", "2606:2800:220:1::1", "fd00::1"])
def test_other_addresses_are_called(address: str) -> None:
    """Networks of one's own are not shut: backends live there."""
    AddressGuard().check(address)
