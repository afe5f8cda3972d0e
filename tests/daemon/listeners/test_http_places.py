"""The HTTP listener: who gets a connection, and who makes room."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.errors import ConfigurationError
from config.settings import Listener
from daemon.listeners.http import HttpEntrance, HttpListener
from tests.daemon.listeners.http_clients import (
    CLOSE,
    GET,
    LIMITS,
    POST,
    connect,
    connected,
    echo,
    everything,
    listening,
    parse,
)


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
