"""An HTTP listener on a free port, and clients of it: over real sockets, and in virtual time over memory streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from actors.wire.http.messages import Request, Response
from config.settings import GatewaySettings, Listener
from daemon.listeners.http import HttpEntrance, HttpListener
from daemon.listeners.http_service import Handler

LIMITS = GatewaySettings(
    listen=Listener(port=0),
    header_timeout=5,
    body_timeout=10,
    keep_alive_timeout=20,
    write_timeout=5,
    body_bytes=200_000,
)
GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


async def echo(request: Request) -> Response:
    """Says what it was asked."""
    body = await request.read()
    return Response(200, (("X-Method", request.method),), request.path.encode() + b":" + body)


@asynccontextmanager
async def listening(handler: Handler = echo, limits: GatewaySettings = LIMITS) -> AsyncIterator[HttpListener]:
    """A listener that runs, and is drained at the end."""
    listener, started = HttpListener([HttpEntrance(Listener(port=0))], limits, handler), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run, started.set)
        await started.wait()
        try:
            yield listener
        finally:
            listener.stop()


@asynccontextmanager
async def connected(listener: HttpListener) -> AsyncIterator[trio.abc.HalfCloseableStream]:
    """A client on a memory stream."""
    client, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, server, "client")
        try:
            yield client
        finally:
            await client.aclose()


async def everything(stream: trio.abc.ReceiveStream) -> bytes:
    """All that comes up to the end of the stream."""
    data = b""
    while piece := await stream.receive_some():
        data += piece
    return data


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer, all of them with a length."""
    answers = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
        length = int(headers.get(b"content-length", b"0"))
        answers.append((int(lines[0].split(b" ")[1]), rest[:length]))
        data = rest[length:]
    return answers


async def talk(listener: HttpListener, *pieces: bytes) -> bytes:
    """Send, say that no more comes, and take everything."""
    async with connected(listener) as client:
        for piece in pieces:
            await client.send_all(piece)
            await wait_all_tasks_blocked()
        await client.send_eof()
        return await everything(client)


async def connect(listener: HttpListener) -> trio.SocketStream:
    host, _, port = listener.address.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))
