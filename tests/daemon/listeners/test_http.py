"""The HTTP listener: over real sockets, and in virtual time over memory streams."""

from __future__ import annotations

import math
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from actors.errors import ConfigurationError
from actors.wire.http.messages import Request, Response
from config.settings import GatewaySettings, Listener
from daemon.listeners.hang_ups import HangUps
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


async def test_requests_over_a_socket_are_answered_on_one_connection() -> None:
    """Keep-alive: one connection, many requests, each with its answer, until one says close."""
    async with listening() as listener, await connect(listener) as client:
        for number in range(3):
            await client.send_all(GET % (b"/%d" % number))
            assert parse(bytes(await client.receive_some())) == [(200, b"/%d:" % number)]
        await client.send_all(CLOSE % b"/last")
        answer = await everything(client)
        assert parse(answer) == [(200, b"/last:")]
        assert b"Connection: close\r\n" in answer
        statistics = listener.statistics()
        assert (statistics.accepted, statistics.requests) == (1, 4)


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Answers come in the order of the requests, however long each takes, and bodies never become requests."""

    async def slower_first(request: Request) -> Response:
        await trio.sleep(0.05 / (int(request.path[1:]) + 1))
        return await echo(request)

    inner = GET % b"/smuggled"
    pieces = GET % b"/0" + (POST % len(inner) + inner).replace(b"POST /", b"POST /1") + GET % b"/2" + CLOSE % b"/3"
    async with listening(slower_first) as listener:
        answers = parse(await talk(listener, pieces))
    assert answers == [(200, b"/0:"), (200, b"/1:" + inner), (200, b"/2:"), (200, b"/3:")]


async def test_a_client_with_many_requests_takes_turns() -> None:
    """However many requests one client has in the pipe, another is served meanwhile."""
    order = []

    async def note(request: Request) -> Response:
        order.append(request.path)
        return Response(200)

    async with listening(note) as listener, connected(listener) as many, connected(listener) as one:
        await many.send_all(GET % b"/many" * 500)
        await one.send_all(GET % b"/one")
        while len(order) < 501:
            await trio.lowlevel.checkpoint()
    assert order.index("/one") < 10


async def test_long_answers_are_bounded_together(autojump_clock: MockClock) -> None:
    """While clients take their time over long answers, one more that would pass the bound gets 503 instead."""
    limits = msgspec.structs.replace(LIMITS, bodies_bytes=1_000_000)

    async def long(_request: Request) -> Response:
        return Response(200, (), b"x" * 600_000)

    slow, server = memory_stream_pair()
    server.send_stream.send_all_hook = trio.sleep_forever
    async with listening(long, limits) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, server, "slow")
        await slow.send_all(GET % b"/")
        await wait_all_tasks_blocked()
        assert listener.statistics().answers_bytes == 600_000
        assert [status for status, _ in parse(await talk(listener, GET % b"/"))] == [503]
        await trio.sleep(10)
        assert listener.statistics().answers_bytes == 0
        assert [status for status, _ in parse(await talk(listener, GET % b"/"))] == [200]


async def test_a_large_answer_arrives_whole() -> None:
    """What the socket does not take at once follows as it can."""
    body = os.urandom(4 * 1024 * 1024)

    async def large(_request: Request) -> Response:
        return Response(200, (), body)

    async with listening(large) as listener, await connect(listener) as client:
        await client.send_all(CLOSE % b"/")
        await trio.sleep(0.05)
        assert parse(await everything(client)) == [(200, body)]


async def test_head_has_no_body_but_its_length() -> None:
    """RFC 9110 9.3.2: HEAD is answered as GET would be, without the body, and the connection goes on."""
    async with listening() as listener:
        head = (GET % b"/x").replace(b"GET", b"HEAD")
        answer = await talk(listener, head + CLOSE % b"/y")
    first, second = answer.split(b"\r\n\r\n", 1)
    assert b"Content-Length: 3" in first
    assert parse(second) == [(200, b"/y:")]


async def test_http_1_0_is_answered_and_closed() -> None:
    """Without keep-alive an HTTP/1.0 connection ends with its answer; with it, it is told that it goes on."""
    async with listening() as listener:
        assert parse(await talk(listener, b"GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n")) == [(200, b"/a:")]
        kept = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        answer = await talk(listener, kept + kept)
        assert parse(answer) == [(200, b"/a:")] * 2
        assert answer.count(b"Connection: keep-alive\r\n") == 2


async def test_a_malformed_request_is_answered_once_and_ends_the_connection() -> None:
    """400 with a reason, close, and nothing of what follows is served."""
    async with listening() as listener:
        answer = await talk(listener, GET % b"/ok" + b"GET / HTTP/1.1\r\n\r\n" + GET % b"/smuggled")
        assert [status for status, _ in parse(answer)] == [200, 400]
        assert b"Host" in answer
        assert listener.statistics().refused == 1


async def test_100_continue_is_said_when_the_body_is_asked_for() -> None:
    """RFC 9110 10.1.1: the interim answer comes only once the handler reads."""
    expecting = (POST % 5).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    async with listening() as listener, connected(listener) as client:
        await client.send_all(expecting)
        assert await client.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_all(b"hello" + CLOSE % b"/next")
        assert parse(await everything(client)) == [(200, b"/:hello"), (200, b"/next:")]


async def test_100_continue_is_not_said_to_a_body_that_has_come() -> None:
    """A client that did not wait gets no interim answer."""
    expecting = (POST % 5).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    async with listening() as listener:
        assert parse(await talk(listener, expecting + b"hello")) == [(200, b"/:hello")]


async def refusing(_request: Request) -> Response:
    """Answers on the head alone."""
    return Response(401)


async def test_a_refusal_on_the_head_alone_keeps_no_one_waiting() -> None:
    """Without asking for the body: 401, and close, since whether the body comes is unsure."""
    expecting = (POST % 5).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    async with listening(refusing) as listener, connected(listener) as client:
        await client.send_all(expecting)
        answer = await client.receive_some()
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"Connection: close\r\n" in answer


async def test_a_body_nobody_read_is_skipped_where_it_is_small() -> None:
    """The next request is found behind it; behind a large one, or one of unknown length, it is not looked for."""
    async with listening(refusing) as listener:
        small = POST % 5 + b"hello"
        assert [status for status, _ in parse(await talk(listener, small + CLOSE % b"/"))] == [401, 401]
        assert [status for status, _ in parse(await talk(listener, POST % 5, b"hel", b"lo" + CLOSE % b"/"))] == [
            401,
            401,
        ]
        large = POST % 150_000 + b"x" * 10
        assert [status for status, _ in parse(await talk(listener, large, b"x" * 149_990 + GET % b"/"))] == [401]
        chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert [status for status, _ in parse(await talk(listener, chunked, b"0\r\n\r\n" + GET % b"/"))] == [401]


async def test_a_body_that_breaks_is_answered_once() -> None:
    """A bad chunk, too much body, or an end before its time: one answer with its status, then close."""
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with listening() as listener:
        for pieces, status in [
            ((chunked, b"x\r\n" + GET % b"/smuggled"), 400),
            ((chunked + b"30d41\r\n", b"x"), 413),
            ((POST % 200_001,), 413),
            ((POST % 5, b"hel"), 400),
        ]:
            assert [seen for seen, _ in parse(await talk(listener, *pieces))] == [status]


async def test_a_broken_body_nobody_read_is_not_answered_twice() -> None:
    """An error behind an answer that has gone out ends the connection and says nothing more."""
    async with listening(refusing) as listener:
        assert [status for status, _ in parse(await talk(listener, POST % 5, b"hel"))] == [401]


async def test_all_bodies_together_are_bounded() -> None:
    """503 for the body that would pass the bound; what is given back can be used again."""
    limits = msgspec.structs.replace(LIMITS, bodies_bytes=1_000)
    held = trio.Event()

    async def hold(request: Request) -> Response:
        await request.read()
        if request.path == "/hold":
            await held.wait()
        return Response(200)

    body = POST % 600 + b"x" * 600
    async with listening(hold, limits) as listener, connected(listener) as holder:
        await holder.send_all(body.replace(b"POST /", b"POST /hold"))
        await wait_all_tasks_blocked()
        assert listener.statistics().bodies_bytes == 600
        assert [status for status, _ in parse(await talk(listener, body))] == [503]
        held.set()
        await holder.send_eof()
        assert [status for status, _ in parse(await everything(holder))] == [200]
        assert listener.statistics().bodies_bytes == 0
        assert [status for status, _ in parse(await talk(listener, body))] == [200]


class Pieces:
    """A body that comes in pieces, and knows whether it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.closed = False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        self.closed = True


async def test_an_answer_of_unknown_length_is_chunked() -> None:
    """Pieces become chunks, empty ones none, and the connection goes on; HTTP/1.0 gets them bare, up to the end."""
    made = []

    async def stream(_request: Request) -> Response:
        made.append(Pieces(b"one", b"", b"three"))
        return Response(200, (), made[-1])

    async with listening(stream) as listener:
        answer = await talk(listener, GET % b"/" + CLOSE.replace(b"GET", b"HEAD") % b"/")
        first, one, other = answer.split(b"\r\n\r\n", 1)[0], *answer.split(b"\r\n\r\n", 1)[1].split(b"HTTP/1.1", 1)
        assert b"Transfer-Encoding: chunked" in first
        assert one == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"
        assert other.endswith(b"\r\n\r\n")
        assert other.count(b"\r\n\r\n") == 1
        answer = await talk(listener, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert answer.endswith(b"Connection: close\r\n\r\nonethree")
    assert all(pieces.closed for pieces in made)


async def test_an_answer_that_breaks_off_is_not_ended() -> None:
    """A body that fails midway has no last chunk, so that the client sees that it is not whole."""
    pieces = Pieces(b"one", ZeroDivisionError())

    async def stream(_request: Request) -> Response:
        return Response(200, (), pieces)

    with structlog.testing.capture_logs() as logs:
        async with listening(stream) as listener:
            answer = await talk(listener, GET % b"/" + GET % b"/")
    assert answer.endswith(b"3\r\none\r\n")
    assert pieces.closed
    assert [line["event"] for line in logs] == ["HTTP response broke off"]


async def test_a_crash_is_one_requests_own() -> None:
    """A handler that crashes, or answers what cannot be sent, is a 500 and a log line; others do not notice."""

    async def crash(request: Request) -> Response:
        if request.path == "/crash":
            raise ZeroDivisionError
        return Response(200, (("X", "a\r\nY: b"),) if request.path == "/inject" else (), b"fine")

    with structlog.testing.capture_logs() as logs:
        async with listening(crash) as listener:
            answer = await talk(listener, GET % b"/crash" + GET % b"/" + GET % b"/inject" + GET % b"/")
            assert [status for status, _ in parse(answer)] == [500, 200, 500]
            assert b"Y: b" not in answer
            assert listener.statistics().crashed == 2
    assert [line["event"] for line in logs] == ["HTTP handler crashed", "HTTP response cannot be sent"]


async def test_a_slow_head_is_given_up(autojump_clock: MockClock) -> None:
    """A head that trickles in has `header_timeout` from its first byte, whatever it sends meanwhile: then 408."""
    async with listening() as listener, connected(listener) as client:
        await client.send_all(GET % b"/first")
        assert parse(bytes(await client.receive_some())) == [(200, b"/first:")]
        await trio.sleep(10)
        since = trio.current_time()

        async def trickle() -> None:
            for byte in b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10:
                await client.send_all(bytes([byte]))
                await trio.sleep(0.5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            answer = await everything(client)
            took = trio.current_time() - since
            nursery.cancel_scope.cancel()
        assert [status for status, _ in parse(answer)] == [408]
        assert 4.5 <= took <= 6
        assert listener.statistics().timed_out == 1


async def test_a_slow_head_behind_another_request_is_given_up(autojump_clock: MockClock) -> None:
    """The beginning of a request that came with the one before has `header_timeout` too."""
    async with listening() as listener, connected(listener) as client:
        await client.send_all(GET % b"/" + b"GET / HT")
        assert [status for status, _ in parse(await everything(client))] == [200, 408]
        assert 4.5 <= trio.current_time() <= 6


async def test_a_slow_body_is_given_up(autojump_clock: MockClock) -> None:
    """A body has `body_timeout` in all: then 408, and the handler is cancelled."""
    async with listening() as listener, connected(listener) as client:
        await client.send_all(POST % 100)

        async def trickle() -> None:
            while True:
                await client.send_all(b"x")
                await trio.sleep(0.5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            answer = await everything(client)
            nursery.cancel_scope.cancel()
        assert [status for status, _ in parse(answer)] == [408]
        assert 9.5 <= trio.current_time() <= 11
        assert listener.statistics().bodies_bytes == 0


async def test_an_answer_that_has_begun_is_not_followed_by_408(autojump_clock: MockClock) -> None:
    """A body read while the answer is on its way may be too slow too: then the answer breaks off, and that is all."""

    async def lazily(request: Request) -> AsyncIterator[bytes]:
        yield b"begun"
        yield await request.read()

    async def stream(request: Request) -> Response:
        return Response(200, (), lazily(request))

    async with listening(stream) as listener, connected(listener) as client:
        await client.send_all(POST % 100)
        answer = await everything(client)
    assert answer.endswith(b"5\r\nbegun\r\n")


async def test_silence_ends_a_connection_without_a_word(autojump_clock: MockClock) -> None:
    """A client that never asks has `header_timeout`, one that was answered `keep_alive_timeout`; neither hears 408."""
    async with listening() as listener:
        async with connected(listener) as client:
            assert await everything(client) == b""
            assert 4.5 <= trio.current_time() <= 6
        since = trio.current_time()
        async with connected(listener) as client:
            await client.send_all(GET % b"/")
            assert parse(await everything(client)) == [(200, b"/:")]
            assert 19.5 <= trio.current_time() - since <= 21


async def test_a_client_that_does_not_read_is_given_up(autojump_clock: MockClock) -> None:
    """An answer that is not taken within `write_timeout` ends the connection; a handler may take its time."""

    async def slow(request: Request) -> Response:
        await trio.sleep(100)
        return await echo(request)

    client, server = memory_stream_pair()
    server.send_stream.send_all_hook = trio.sleep_forever
    async with listening(slow) as listener:
        await client.send_all(GET % b"/")
        await listener.serve(server, "client")
        assert 104.5 <= trio.current_time() <= 106


async def test_stop_finishes_what_is_in_flight(autojump_clock: MockClock) -> None:
    """Idle connections end at once, a request in flight gets its answer with close, and then the listener is done."""

    async def slow(request: Request) -> Response:
        await trio.sleep(3)
        return await echo(request)

    async with listening(slow) as listener, connected(listener) as idle, connected(listener) as busy:
        await busy.send_all(GET % b"/busy" + GET % b"/too-late")
        await wait_all_tasks_blocked()
        listener.stop()
        assert await everything(idle) == b""
        assert trio.current_time() < 1
        answer = await everything(busy)
        assert parse(answer) == [(200, b"/busy:")]
        assert b"Connection: close\r\n" in answer


async def test_stop_waits_for_a_request_that_has_begun(autojump_clock: MockClock) -> None:
    """A head that is partly here when the listener stops is still answered."""
    async with listening() as listener, connected(listener) as client:
        await client.send_all(b"GET /begun HTTP/1.1\r\n")
        await wait_all_tasks_blocked()
        listener.stop()
        await wait_all_tasks_blocked()
        await client.send_all(b"Host: a\r\n\r\n")
        assert parse(await everything(client)) == [(200, b"/begun:")]


async def test_connections_are_bounded_and_idle_ones_make_room() -> None:
    """Past `max_connections` nobody is accepted; one that idles is let go for one that waits."""
    limits = msgspec.structs.replace(LIMITS, max_connections=2)
    async with listening(limits=limits) as listener, await connect(listener) as one, await connect(listener) as two:
        for client in (one, two):
            await client.send_all(GET % b"/")
            await client.receive_some()
        assert listener.statistics().connections == 2
        async with await connect(listener) as three:
            await three.send_all(CLOSE % b"/three")
            assert parse(await everything(three)) == [(200, b"/three:")]
        assert listener.statistics().accepted == 3


async def test_a_place_that_gets_free_is_everybodys() -> None:
    """Whichever entrance the next client comes by: no other one holds the place for clients of its own."""
    limits = msgspec.structs.replace(LIMITS, max_connections=2)
    entrances = [HttpEntrance(Listener(port=0), name) for name in ("one", "other")]
    listener, started = HttpListener(entrances, limits, echo), trio.Event()

    async def open_at(name: str) -> trio.SocketStream:
        host, _, port = listener.address_of(name).rpartition(":")
        return await trio.open_tcp_stream(host, int(port))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run, started.set)
        await started.wait()
        for first, second, *entered in (("one", "other", "one"), ("other", "one", "one", "other")):
            with trio.fail_after(5):
                holders = [await open_at(first), await open_at(second)]
                for holder in holders:
                    await holder.send_all(b"GET / HT")  # who has begun is not let go for others
                waiting = [await open_at(name) for name in entered]
                for client in waiting:
                    await client.send_all(CLOSE % b"/")
                await trio.sleep(0.05)
                assert listener.statistics().connections == 2
                await holders[0].aclose()
                for client in waiting:
                    assert parse(await everything(client)) == [(200, b"/:")]
                    await client.aclose()
                await holders[1].aclose()
        listener.stop()


async def test_those_longest_without_a_request_make_room(autojump_clock: MockClock) -> None:
    """Who has just come, and is about to ask, goes after those who have been silent for longer."""
    limits = msgspec.structs.replace(LIMITS, max_connections=2)
    listener = HttpListener([HttpEntrance(Listener(port=0))], limits, echo)
    async with connected(listener) as silent:
        await silent.send_all(GET % b"/")
        await silent.receive_some()
        listener._service.now = 4.0
        async with connected(listener) as new:
            await wait_all_tasks_blocked()
            listener._make_room(4.0)
            with trio.fail_after(1):
                assert await silent.receive_some() == b""
            await new.send_all(CLOSE % b"/new")
            assert parse(await everything(new)) == [(200, b"/new:")]


def test_who_comes_after_the_end_is_watched_no_more() -> None:
    """Where a listener is cut off, a connection may have been taken already."""
    watch: HangUps[str] = HangUps()
    watch.close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watch.watch(ours.fileno(), "late")
        watch.forget(ours.fileno(), "late")


@pytest.mark.parametrize("begun", [b"GET / HT", POST % 100 + b"x"], ids=["head", "body"])
async def test_who_is_slow_makes_room_where_there_is_none(begun: bytes) -> None:
    """When every place is taken, requests that trickle in do not keep others out until they are late: they get 408."""
    limits = msgspec.structs.replace(LIMITS, max_connections=2, header_timeout=60, body_timeout=60)
    async with listening(limits=limits) as listener, await connect(listener) as one:
        await one.send_all(begun)
        await trio.sleep(0.6)  # by the listener's clock, it began before the other
        two = await connect(listener)
        await two.send_all(begun)
        async with await connect(listener) as three:
            await three.send_all(CLOSE % b"/three")
            with trio.fail_after(4):
                assert parse(await everything(three)) == [(200, b"/three:")]
        assert [status for status, _ in parse(bytes(await one.receive_some()))] == [408]
        statistics = listener.statistics()
        assert (statistics.timed_out, statistics.connections) == (1, 1)
        # Who still has a place has it for as long as nobody else wants it.
        rest = b"TP/1.1\r\nHost: a\r\n\r\n" if begun.startswith(b"GET") else b"x" * 99
        await two.send_all(rest)
        assert [status for status, _ in parse(bytes(await two.receive_some()))] == [200]
        await two.aclose()


async def test_a_port_in_use_is_said_with_what_to_do() -> None:
    """ConfigurationError names the address and the setting."""
    async with listening() as listener:
        port = int(listener.address.rpartition(":")[2])
        other = HttpListener([HttpEntrance(Listener(port=port))], LIMITS, echo)
        with pytest.raises(
            ConfigurationError, match=rf"127\.0\.0\.1:{port}: the port is in use.*gateway\.listen\.port"
        ):
            await other.run(lambda: None)
    with pytest.raises(ConfigurationError, match=r"no such address.*gateway\.listen\.host"):
        await HttpListener([HttpEntrance(Listener(host="192.0.2.1"))], LIMITS, echo).run(lambda: None)


async def test_a_shortage_of_descriptors_passes() -> None:
    """EMFILE is waited for and logged; who stood in line is served afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    async with listening() as listener:
        host, _, port = listener.address.rpartition(":")
        with trio.socket.socket() as plain, structlog.testing.capture_logs() as logs:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, plain.fileno() + 64), hard))
            try:
                with suppress(OSError):
                    while True:
                        taken.append(os.dup(plain.fileno()))
                await plain.connect((host, int(port)))
                await plain.send(CLOSE % b"/one")
                await trio.sleep(0.05)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for descriptor in taken:
                    os.close(descriptor)
            assert parse(await plain.recv(1000)) == [(200, b"/one:")]
    assert [line["event"] for line in logs] == ["HTTP connection not accepted"]


async def test_a_client_that_vanishes_disturbs_nobody() -> None:
    """A reset in the middle of a request or an answer is no error of ours, and nothing is logged."""

    async def large(_request: Request) -> Response:
        return Response(200, (), b"x" * 4_000_000)

    with structlog.testing.capture_logs() as logs:
        async with listening(large) as listener:
            for data in (b"GET / HT", GET % b"/"):
                client = await connect(listener)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                await client.send_all(data)
                await trio.sleep(0.02)
                await client.aclose()
            async with await connect(listener) as other:
                await other.send_all(CLOSE % b"/")
                assert parse(await everything(other))[0][0] == 200
    assert logs == []


async def test_an_idle_deadline_is_only_a_number() -> None:
    """A connection at work has no deadline of its own: how long an answer may take is its handler's affair."""
    seen = []

    async def look(_request: Request) -> Response:
        seen.extend(connection.deadline.at for connection in listener._connections)
        return Response(200)

    async with listening(look) as listener:
        await talk(listener, GET % b"/")
    assert seen == [math.inf]


async def test_a_client_that_hangs_up_ends_its_request() -> None:
    """What a handler waits for is cancelled soon after its client has left; those who still wait get their answers."""
    began, ended = trio.Event(), trio.Event()
    release = trio.Event()

    async def slow(request: Request) -> Response:
        await request.read()
        began.set()
        try:
            await release.wait()
        finally:
            if request.path == "/leaves":
                ended.set()
        return Response(200, body=b"done")

    async with listening(slow) as listener, await connect(listener) as stays:
        await stays.send_all(GET % b"/stays")
        async with await connect(listener) as leaves:
            await leaves.send_all(GET % b"/leaves" + GET % b"/never")
            await began.wait()
            await trio.sleep(0.3)
            assert not ended.is_set()
        # At once: nothing that is handed out meanwhile goes to nobody.
        with trio.fail_after(0.2):
            await ended.wait()
        release.set()
        assert parse(bytes(await stays.receive_some())) == [(200, b"done")]
        assert listener.statistics().abandoned == 1


async def test_who_hung_up_before_the_request_was_read_ends_it_too() -> None:
    """A body and the end come in one; the handler that then waits is cancelled as well, if a little later."""
    began, ended = trio.Event(), trio.Event()

    async def slow(request: Request) -> Response:
        await began.wait()
        await request.read()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()
        return Response(200)

    async with listening(slow) as listener:
        async with await connect(listener) as client:
            await client.send_all(POST % 4 + b"ab")
            await trio.sleep(0.05)
            await client.send_all(b"cd")
        await trio.sleep(0.05)
        began.set()
        with trio.fail_after(2):
            await ended.wait()


async def test_descriptors_that_are_used_again_are_told_apart() -> None:
    """Who leaves is not taken for the next one on the same descriptor, however many come and go."""

    async def slow(_request: Request) -> Response:
        await trio.sleep(0.02)
        return Response(200)

    async with listening(slow) as listener:
        for number in range(20):
            async with await connect(listener) as client:
                await client.send_all(GET % b"/")
                if number % 2:
                    assert [status for status, _ in parse(bytes(await client.receive_some()))] == [200]
        statistics = listener.statistics()
        assert (statistics.requests, statistics.abandoned) == (20, 10)


async def test_a_body_on_its_way_is_no_hang_up() -> None:
    """Who sends a body, and no more after it, gets an answer that is ready in time."""
    async with listening() as listener, await connect(listener) as client:
        await client.send_all(POST % 4 + b"ab")
        await trio.sleep(0.6)
        await client.send_all(b"cd")
        await client.send_eof()
        assert [status for status, _ in parse(bytes(await client.receive_some()))] == [200]
        assert listener.statistics().abandoned == 0
