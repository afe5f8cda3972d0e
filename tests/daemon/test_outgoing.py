"""Outgoing calls of functions: real sockets, guarded addresses, bounded answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from actors.errors import OutgoingCallError
from actors.http_calls.address_guard import AddressGuard
from daemon.outgoing import OutgoingHttp

ANSWERS = {
    "/ok": b"HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok",
    "/large": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
    "/odd": b"not http at all\r\n\r\n",
}


class Server:
    """Answers by path, and remembers what it read."""

    def __init__(self) -> None:
        self.port = 0
        self.read: list[bytes] = []
        self.connections = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        async with stream:
            while data := await stream.receive_some():
                # A body that comes by itself belongs to the head before it.
                head, _, _ = data.partition(b"\r\n\r\n")
                if b"HTTP/1.1" not in head:
                    continue
                self.read.append(head)
                path = head.split(b" ")[1].partition(b"?")[0].decode()
                if path == "/silent":
                    await trio.sleep_forever()
                await stream.send_all(ANSWERS[path])


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    found = Server()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    found.port = listener.socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, found.serve, [listener])
    yield found
    nursery.cancel_scope.cancel()


@pytest.fixture
async def outgoing() -> AsyncIterator[OutgoingHttp]:
    opened = OutgoingHttp(AddressGuard(["127.0.0.0/8"]), 1000)
    yield opened
    await opened.close()


async def test_a_call_brings_status_headers_and_body(server: Server, outgoing: OutgoingHttp) -> None:
    """Names of headers in lower case; method, headers and body go as they are given; connections are used again."""
    url = f"http://127.0.0.1:{server.port}/ok?q=1"
    for _ in range(2):
        answer = await outgoing.request("POST", url, {"X-C": "d"}, b"body")
        assert (answer.status, answer.headers["x-a"], answer.body) == (201, "b", b"ok")
    assert b"POST /ok?q=1 HTTP/1.1\r\n" in server.read[0]
    assert b"X-C: d\r\n" in server.read[0]
    assert server.connections == 1


async def test_an_answer_has_a_bound(server: Server, outgoing: OutgoingHttp) -> None:
    """What is larger is not read to its end; the next call is served."""
    with pytest.raises(OutgoingCallError, match="/large answers more than 1000 bytes"):
        await outgoing.request("GET", f"http://127.0.0.1:{server.port}/large", {}, b"")
    assert (await outgoing.request("GET", f"http://127.0.0.1:{server.port}/ok", {}, b"")).status == 201


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/odd", {}),
        ("GET", "/ok", {"a\nb": "c"}),
        ("GET", "/ok", {"é": "c"}),
        ("GET", "/ok", {"a": "\u20ac"}),
        ("G T", "/ok", {}),
        ("CONNECT", "/ok", {}),
        ("POST", "/ok", {"Transfer-Encoding": "chunked", "Content-Length": "0"}),
        ("POST", "/ok", {"content-length": "0"}),
        ("GET", "/ok", {"Connection": "Upgrade", "Upgrade": "h2c"}),
    ],
)
async def test_what_cannot_be_sent_or_read_is_told(
    server: Server, outgoing: OutgoingHttp, method: str, path: str, headers: dict[str, str]
) -> None:
    """Each with the call and why."""
    with pytest.raises(OutgoingCallError, match="cannot be called"):
        await outgoing.request(method, f"http://127.0.0.1:{server.port}{path}", headers, b"")


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/x", "nonsense", "http:///x", "http://127.0.0.1:99999/", "http://[::1"]
)
async def test_what_is_no_address_is_told(outgoing: OutgoingHttp, url: str) -> None:
    """Never a crash."""
    with pytest.raises(OutgoingCallError):
        await outgoing.request("GET", url, {}, b"")


async def test_nobody_there_is_told_without_what_is_secret(outgoing: OutgoingHttp) -> None:
    """Neither user, password nor query of a URL are in an error."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(OutgoingCallError, match="does not answer") as caught:
        await outgoing.request("GET", f"http://user:secret@127.0.0.1:{port}/x?token=secret", {}, b"")
    assert "secret" not in str(caught.value)


async def test_this_machine_is_not_reached_unless_it_is_allowed(server: Server) -> None:
    """The guard's refusal names the setting."""
    shut = OutgoingHttp(AddressGuard(), 1000)
    with pytest.raises(OutgoingCallError, match=r"loopback.*gateway\.outgoing_networks"):
        await shut.request("GET", f"http://127.0.0.1:{server.port}/ok", {}, b"")
    await shut.close()


async def test_a_call_that_is_cut_off_leaves_no_connection_behind(server: Server, outgoing: OutgoingHttp) -> None:
    """A function's time-out ends its calls, and the pool goes on."""
    with trio.move_on_after(0.05):
        await outgoing.request("GET", f"http://127.0.0.1:{server.port}/silent", {}, b"")
    assert (await outgoing.request("GET", f"http://127.0.0.1:{server.port}/ok", {}, b"")).status == 201
