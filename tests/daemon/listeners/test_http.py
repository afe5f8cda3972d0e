"""The HTTP listener: what is asked and what is answered."""

from __future__ import annotations

import os

import structlog
import trio

from actors.wire.http.messages import Request, Response
from tests.daemon.listeners.http_clients import (
    CLOSE,
    GET,
    POST,
    connect,
    connected,
    echo,
    everything,
    listening,
    parse,
    talk,
)


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
