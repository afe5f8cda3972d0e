"""The HTTP listener: the bounds of time and memory that clients have."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import msgspec
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from actors.wire.http.messages import Request, Response
from tests.daemon.listeners.http_clients import GET, LIMITS, POST, connected, echo, everything, listening, parse, talk


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


async def test_an_idle_deadline_is_only_a_number() -> None:
    """A connection at work has no deadline of its own: how long an answer may take is its handler's affair."""
    seen = []

    async def look(_request: Request) -> Response:
        seen.extend(connection.deadline.at for connection in listener._connections)
        return Response(200)

    async with listening(look) as listener:
        await talk(listener, GET % b"/")
    assert seen == [math.inf]
