"""The HTTP listener: clients that leave, and its own end."""

from __future__ import annotations

import socket

import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.wire.http.messages import Request, Response
from daemon.listeners.hang_ups import HangUps
from tests.daemon.listeners.http_clients import CLOSE, GET, POST, connect, connected, echo, everything, listening, parse


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


def test_who_comes_after_the_end_is_watched_no_more() -> None:
    """Where a listener is cut off, a connection may have been taken already."""
    watch: HangUps[str] = HangUps()
    watch.close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watch.watch(ours.fileno(), "late")
        watch.forget(ours.fileno(), "late")
