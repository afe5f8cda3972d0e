"""A topic followed live: a whole instance, and WebSockets of its control API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from tests.fakes.house import Tenant, eventually, living
from tests.fakes.plain_http import NO_TLS

HOUSE = """
{kind: app, name: house, app_codes: [code-0123456789abcdef]}
---
{kind: topic, app: house, name: reports, sync: false, mask: {fields: [secret]}}
---
{kind: topic, app: house, name: many, partitions: 3, sync: false}
"""


class Tail:
    """One WebSocket, line by line."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.connection = connection
        self._lines: list[dict[str, Any]] = []

    async def line(self) -> dict[str, Any]:
        while not self._lines:
            frame = await self.connection.get_message()
            assert isinstance(frame, str)
            self._lines = [msgspec.json.decode(line) for line in frame.split("\n")]
        return self._lines.pop(0)

    async def lines(self, number: int) -> list[dict[str, Any]]:
        with trio.fail_after(10):
            return [await self.line() for _ in range(number)]


def bearer(token: str) -> list[tuple[str, bytes]]:
    return [("Authorization", f"Bearer {token}".encode())]


@asynccontextmanager
async def tail(
    tenant: Tenant, path: str, headers: list[tuple[str, bytes]] | None = None, receive_buffer: int = 0
) -> AsyncIterator[Tail]:
    """Follow a topic; with a small `receive_buffer` (bytes), as somebody who reads slowly."""
    host, _, port = tenant.house.addresses()["control"].rpartition(":")
    with trio.socket.socket() as plain:
        if receive_buffer:
            plain.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer)
        await plain.connect((host, int(port)))
        async with trio.open_nursery() as nursery:
            connection = await wrap_client_stream(
                nursery,
                trio.SocketStream(plain),
                host,
                f"/api/v1/{path}",
                extra_headers=bearer(tenant.house.token) if headers is None else headers,
                message_queue_size=0,
            )
            yield Tail(connection)
            await connection.aclose()


async def refusal(tenant: Tenant, path: str, headers: list[tuple[str, bytes]] | None = None) -> ConnectionRejected:
    with pytest.raises(ExceptionGroup) as refused:
        async with tail(tenant, path, headers):
            pass
    rejection = refused.value.exceptions[0]
    assert isinstance(rejection, ConnectionRejected)
    return rejection


async def produce(tenant: Tenant, topic: str, *contents: Any, key: str | None = None) -> None:
    headers = {"X-Apig-AppCode": "code-0123456789abcdef"}
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=f"http://{tenant.house.addresses()['topics']}", headers=headers
    ) as client:
        for content in contents:
            body: dict[str, Any] = {"content": content, "id": "1"} | ({"key": key} if key is not None else {})
            answer = await client.post(f"/v1/topic/{topic}/messages", json={"messages": [body]})
            assert answer.json()[0]["state"] == "success", answer.text


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    async with living(tmp_path / "data") as found:
        await found.apply(HOUSE)
        yield found


async def test_what_is_stored_is_seen_at_once_and_masked(tenant: Tenant) -> None:
    """A tail shows what comes after it was opened, with masked fields, and nothing from before."""
    await produce(tenant, "reports", {"n": 0})
    async with tail(tenant, "topics/reports/tail") as following:
        await produce(tenant, "reports", {"n": 1, "secret": "s"})
        (seen,) = await following.lines(1)
    assert seen["value"] == {"n": 1, "secret": "***"}
    assert (seen["partition"], seen["offset"]) == (0, 1)


async def test_a_tail_begins_where_it_is_asked_to(tenant: Tenant) -> None:
    """`from` takes earliest and times; `key` narrows to one key over all partitions."""
    await produce(tenant, "many", 1, 2, key="a")
    await produce(tenant, "many", 3, key="b")
    async with tail(tenant, "topics/many/tail?from=earliest&key=a") as following:
        await produce(tenant, "many", 4, key="b")
        await produce(tenant, "many", 5, key="a")
        seen = await following.lines(3)
    assert [one["value"] for one in seen] == [1, 2, 5]
    async with tail(tenant, "topics/many/tail?from=1h") as following:
        assert sorted(one["value"] for one in await following.lines(5)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("topics/none/tail", 404, "there is no topic none"),
        ("topics/reports/tail?from=yesterday", 400, "from"),
        ("topics/reports/tail?partition=7", 400, "there is no partition 7"),
        ("topics/reports/tail?partition=x", 400, "partition"),
        ("topics/reports/tail?where=key", 400, "no such query parameter"),
    ],
)
async def test_what_cannot_be_followed_is_refused_before_the_web_socket_opens(
    tenant: Tenant, path: str, status: int, word: str
) -> None:
    """The API's statuses and its one shape of errors, as everywhere."""
    rejection = await refusal(tenant, path)
    assert rejection.status_code == status
    assert rejection.body is not None
    problem = msgspec.json.decode(rejection.body)
    assert word in str(problem)
    assert problem["request_id"]


async def test_without_the_token_nobody_follows(tenant: Tenant) -> None:
    """A WebSocket asks for the token as every request does; without a WebSocket the answer says what it takes."""
    for headers in ([], bearer("guessed")):
        assert (await refusal(tenant, "topics/reports/tail", headers)).status_code == 401
    answer = await tenant.call("GET", "topics/reports/tail")
    assert answer.status_code == 426


async def test_a_slow_reader_is_told_and_holds_nobody(tenant: Tenant) -> None:
    """A reader that stops reading misses the oldest and is told how many; producers do not notice."""
    text = "x" * 100_000
    seen = missed = 0
    async with tail(tenant, "topics/reports/tail", receive_buffer=4096) as following:
        with trio.fail_after(30):
            for _ in range(12):
                await produce(tenant, "reports", *([{"text": text}] * 10))
        await produce(tenant, "reports", {"last": True})
        last = False
        with trio.fail_after(20):
            while not last:
                line = await following.line()
                missed += line.get("missed", 0)
                seen += "value" in line
                last = "last" in line.get("value", ())
    assert missed > 0
    assert seen + missed == 121


async def test_a_partition_that_is_started_anew_is_followed_on(tenant: Tenant) -> None:
    """Nothing is seen twice and nothing is left out where a partition's actor is started anew."""
    async with tail(tenant, "topics/reports/tail") as following:
        await produce(tenant, "reports", 1)
        assert (await following.lines(1))[0]["value"] == 1
        partitions = tenant.entry("partitions")
        child = partitions._children["reports-0"]
        life = child.run
        child.scope.cancel()  # its supervisor takes it for a child that ended although it should run on

        async def back() -> bool:
            return child.run > life and partitions.children()[0].state.value == "running"

        await eventually(back)
        await produce(tenant, "reports", 2, 3)
        assert [one["value"] for one in await following.lines(2)] == [2, 3]


async def test_partitions_that_are_added_are_followed_too(tenant: Tenant) -> None:
    """A topic that gets more partitions is still followed as a whole, from each new one's first message."""
    async with tail(tenant, "topics/reports/tail") as following:
        await tenant.apply(HOUSE.replace("name: reports,", "name: reports, partitions: 4,"))
        await produce(tenant, "reports", *range(8))
        assert sorted(one["value"] for one in await following.lines(8)) == list(range(8))


async def test_a_tail_ends_with_its_topic(tenant: Tenant) -> None:
    """When the topic is deleted the reader is told why, and the WebSocket is closed in good order."""
    async with tail(tenant, "topics/many/tail") as following:
        assert (await tenant.call("DELETE", "topics/many")).status_code == 204
        assert (await following.lines(1)) == [{"ended": "topic many was deleted"}]
        with pytest.raises(ConnectionClosed) as closed:
            await following.line()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1000


async def test_a_tail_ends_with_the_daemon(tmp_path: Path) -> None:
    """A drain does not wait for readers: they are told, and let go at once."""
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(HOUSE)
        async with tail(tenant, "topics/reports/tail") as following:
            tenant.house.root.stop()
            began = trio.current_time()
            assert await following.lines(1) == [{"ended": "the daemon stops"}]
        assert trio.current_time() - began < 2


async def test_tails_are_bounded_and_those_that_left_make_room(tenant: Tenant) -> None:
    """Past the bound the answer is 503; readers that left are not counted."""
    async with AsyncExitStack() as present:
        for _ in range(32):
            await present.enter_async_context(tail(tenant, "topics/reports/tail"))
        assert (await refusal(tenant, "topics/reports/tail")).status_code == 503

    async def room() -> bool:
        try:
            async with tail(tenant, "topics/reports/tail"):
                return True
        except* ConnectionRejected:
            pass
        return False

    await eventually(room)
