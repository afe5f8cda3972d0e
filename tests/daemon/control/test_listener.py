"""The control listener on a real socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection

from actors.errors import ConfigurationError
from config.settings import ControlSettings, Listener
from daemon.control import server
from daemon.control.app import create_app
from daemon.control.context import Control
from daemon.control.listener import ControlListener
from tests.daemon.conftest import Instance
from tests.daemon.control.conftest import AUTHORIZED
from tests.fakes.plain_http import NO_TLS

FREE = ControlSettings(listen=Listener(port=0))


@asynccontextmanager
async def running(listener: ControlListener) -> AsyncIterator[str]:
    started = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run, started.set)
        await started.wait()
        yield f"http://{listener.address}"
        listener.stop()


async def test_a_whole_conversation(control: Control, parking: bytes) -> None:
    """Over a real socket: apply, get and an error; then stop ends it and the port is free again."""
    listener = ControlListener(FREE, create_app(control))
    async with running(listener) as url, httpx.AsyncClient(verify=NO_TLS, base_url=url, headers=AUTHORIZED) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        applied = await client.post("/api/v1/apply", content=parking, headers={"Content-Type": "application/yaml"})
        assert (applied.status_code, len(applied.json()["results"])) == (200, 11)
        got = await client.get("/api/v1/devices/parking-sensor/lot-000001")
        assert (got.json()["name"], got.headers["ETag"]) == ("lot-000001", '"1"')
        assert (await client.get("/nowhere")).status_code == 404
        huge = await client.post("/api/v1/apply", content=b"x" * (control.max_body_bytes + 1))
        assert huge.status_code == 413
        assert "server" not in got.headers
    host, port = listener.address.rsplit(":", 1)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, int(port)))


async def test_a_port_in_use_is_one_clear_line(control: Control) -> None:
    """The error names setting, address and reason, and is no exception group."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listener = ControlListener(ControlSettings(listen=Listener(port=port)), create_app(control))
        with pytest.raises(ConfigurationError, match=rf"control\.listen: .*127\.0\.0\.1:{port}: the port is in use"):
            await listener.run(lambda: None)


async def test_a_host_that_is_not_of_this_machine_is_told(control: Control) -> None:
    """An address that cannot be bound says so before anything is served."""
    for host in ("192.0.2.1", "no-such-host.invalid"):
        listener = ControlListener(ControlSettings(listen=Listener(host=host, port=0)), create_app(control))
        with pytest.raises(ConfigurationError, match=rf"control\.listen: cannot listen on {host}:0: \w+"):
            await listener.run(lambda: None)


async def test_a_second_run_keeps_the_port(control: Control) -> None:
    """After a crash the listener comes back where it was, though port 0 picked the place."""
    listener = ControlListener(FREE, create_app(control))
    started = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run, started.set)
        await started.wait()
        before = listener.address
        nursery.cancel_scope.cancel()
    async with running(listener) as url:
        assert url == f"http://{before}"
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200


async def test_stop_lets_a_request_finish(control: Control, instance: Instance) -> None:
    """A request that is being answered when the daemon stops gets its answer."""
    asked, answers = trio.Event(), []

    async def slow(name: str) -> list[str]:
        asked.set()
        await trio.sleep(0.2)
        return [name]

    instance.engine.tables = slow  # type: ignore[method-assign]
    await instance.service.apply(
        b"kind: app\nname: a\n---\nkind: connection\napp: a\nname: c\nconnector: sqlite\nsettings: {path: x}\n"
    )
    listener = ControlListener(FREE, create_app(control))

    async def ask(url: str) -> None:
        async with httpx.AsyncClient(verify=NO_TLS, headers=AUTHORIZED) as client:
            answers.append((await client.get(f"{url}/api/v1/connections/c/tables")).json())

    async with trio.open_nursery() as nursery, running(listener) as url:
        nursery.start_soon(ask, url)
        await asked.wait()
    assert answers == [{"tables": ["c"]}]


async def test_malformed_requests_do_not_disturb(control: Control) -> None:
    """Bytes that are no HTTP, and callers that leave half way, cost nobody else anything."""
    listener = ControlListener(FREE, create_app(control))
    async with running(listener) as url:
        host, port = listener.address.rsplit(":", 1)
        for noise in (
            b"\x10\x20\x00\x04MQTT",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /api/v1/apply HTTP/1.1\r\nHost: x\r\n",
        ):
            stream = await trio.open_tcp_stream(host, int(port))
            await stream.send_all(noise)
            await stream.aclose()
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200


def _http2(path: bytes) -> bytes:
    """An HTTP/2 request with prior knowledge, its path not checked."""
    config = H2Configuration(header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = H2Connection(config)
    connection.initiate_connection()
    headers = [(b":method", b"GET"), (b":path", path), (b":scheme", b"http"), (b":authority", b"a")]
    connection.send_headers(1, headers, end_stream=True)
    return connection.data_to_send()


async def test_a_connection_on_which_the_server_crashes_is_the_only_one_that_ends(control: Control) -> None:
    """Hypercorn raises over an HTTP/2 path that is not ASCII: its connection ends, the listener serves on."""
    listener = ControlListener(FREE, create_app(control))
    async with running(listener) as url, httpx.AsyncClient(verify=NO_TLS) as client:
        host, port = listener.address.rsplit(":", 1)
        assert (await client.get(f"{url}/healthz")).status_code == 200
        for _ in range(3):
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(_http2(b"/\x8e"))
                with trio.fail_after(5):
                    while await stream.receive_some():
                        pass
        assert (await client.get(f"{url}/healthz")).status_code == 200


async def test_connection_close_closes(control: Control) -> None:
    """Who asks for `Connection: close` sees the end of the stream right after the answer (RFC 9112 9.6)."""
    listener = ControlListener(FREE, create_app(control))
    async with running(listener):
        host, port = listener.address.rsplit(":", 1)
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            with trio.fail_after(5):
                answer = b"".join([data async for data in stream])
        assert answer.endswith(b'{"status":"ok"}')


async def test_a_connection_whose_client_left_is_let_go_at_once(control: Control) -> None:
    """Clients that come and go leave no open sockets behind, whether or not they ever asked anything."""
    listener = ControlListener(FREE, create_app(control))
    async with running(listener) as url:
        host, port = listener.address.rsplit(":", 1)
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200
        before = _open_files()
        for number in range(40):
            stream = await trio.open_tcp_stream(host, int(port))
            if number % 2:
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                await stream.receive_some()
            await stream.aclose()
        with trio.fail_after(5):
            while _open_files() > before:  # noqa: ASYNC110 - nobody says when a file is closed
                await trio.sleep(0.01)


async def test_connections_are_bounded(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection too many is closed unread; those that are open are served on."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    listener = ControlListener(FREE, create_app(control))
    async with running(listener) as url, httpx.AsyncClient(verify=NO_TLS) as client:
        host, port = listener.address.rsplit(":", 1)
        assert (await client.get(f"{url}/healthz")).status_code == 200
        held = [await trio.open_tcp_stream(host, int(port)) for _ in range(2)]
        surplus = await trio.open_tcp_stream(host, int(port))
        with trio.fail_after(5):
            assert await surplus.receive_some() == b""
        assert (await client.get(f"{url}/healthz")).status_code == 200
        for stream in (*held, surplus):
            await stream.aclose()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
