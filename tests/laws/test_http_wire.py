"""Laws of the HTTP wire: whatever bytes come, however they are cut, the server stays whole and in order."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from actors.gateway_route.gateway import Gateway
from actors.gateway_route.paths import canonical, decode
from actors.wire.http.messages import Request, Response, SizeLimits
from actors.wire.http.responses import check_header, response_head
from config.settings import GatewaySettings
from daemon.listeners.http_connection import HttpConnection
from daemon.listeners.http_service import HttpService
from tests.actors.wire.http.driver import bytewise, read
from tests.laws.http_streams import cuts, mutated, requests

SMALL = SizeLimits(header_line_bytes=80, header_bytes=300, uri_bytes=40, body_bytes=60)


@settings(deadline=None)
@given(st.lists(requests(), max_size=4), st.data())
def test_what_was_written_is_read(written: list[tuple[bytes, tuple[str, str, bytes]]], data: st.DataObject) -> None:
    """Pipelined requests come out as they were, bodies and all, however the bytes are cut."""
    stream = b"".join(request for request, _ in written)
    expected = [seen for _, seen in written]
    assert read(data.draw(cuts(stream))) == expected
    assert read(bytewise(stream)) == expected


@settings(max_examples=300, deadline=None)
@given(mutated(), st.data())
def test_cutting_changes_nothing(stream: bytes, data: st.DataObject) -> None:
    """Whole, byte by byte or in any pieces: the same requests and the same refusal, within the limits or past them."""
    for limits in (SMALL, SizeLimits(32 * 1024, 128 * 1024, 32 * 1024, 1024)):
        whole = read([stream], limits)
        assert read(bytewise(stream), limits) == whole
        assert read(data.draw(cuts(stream)), limits) == whole


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_refused_or_waited_for(stream: bytes) -> None:
    """No bytes make the parser raise anything but a refusal."""
    assert read(bytewise(stream)) == read([stream])


async def respond(seen: list[tuple[str, str, bytes]], request: Request) -> Response:
    """Read the body of every second request, note all, and say which one it was."""
    body = await request.read() if len(seen) % 2 == 0 else b""
    seen.append((request.method, request.path, body))
    return Response(200, (("X-Number", str(len(seen))),), b"HTTP/1.1 200 no answer\r\n\r\n")


async def converse(stream: bytes) -> tuple[int, bytes]:
    """What a server answers to a whole stream of bytes, and how many requests its handler saw."""
    seen: list[tuple[str, str, bytes]] = []
    gateway = Gateway(identities=None, connections={}, settings=GatewaySettings())  # type: ignore[arg-type]
    service = HttpService(partial(respond, seen), GatewaySettings(body_bytes=1024), gateway.refuse)
    client, server = memory_stream_pair()
    answer = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpConnection(server, service, "client").run)
        await client.send_all(stream)
        await client.send_eof()
        while piece := await client.receive_some():
            answer += piece
    assert service.statistics.crashed == 0
    assert service.statistics.bodies_bytes == 0
    return len(seen), answer


def answers(data: bytes) -> list[tuple[int, str | None]]:
    """Status and number of each final answer; every byte of the stream must belong to one."""
    found = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        assert end
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = dict(line.split(": ", 1) for line in lines[1:])
        length = int(headers.get("Content-Length", "0"))
        assert len(rest) >= length
        data = rest[length:]
        if status != 100:
            found.append((status, headers.get("X-Number")))
            assert not data or headers.get("Connection") != "close"
    return found


@settings(max_examples=150, deadline=None)
@given(mutated())
def test_each_request_has_one_answer_in_order(stream: bytes) -> None:
    """The handler's answers come in the order of the requests; at most one refusal follows, and ends the connection."""
    seen, data = trio.run(converse, stream)
    found = answers(data.replace(b"HTTP/1.1 200 no answer\r\n\r\n", b"-" * 26))
    assert [number for status, number in found if status == 200] == [str(n + 1) for n in range(seen)]
    refusals = [status for status, _ in found if status != 200]
    assert len(refusals) <= 1
    assert all(status in {400, 413, 414, 417, 494, 501} for status in refusals)
    assert not refusals or found[-1][0] == refusals[0]


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_no_header_adds_a_line(name: str, value: str) -> None:
    """A header is either refused or stays on its one line."""
    try:
        check_header(name, value)
    except ValueError:
        with pytest.raises(ValueError, match="header"):
            response_head(200, ((name, value),), length=0, keep_alive=True, http_1_0=False, date="now")
        return
    head = response_head(200, ((name, value),), length=0, keep_alive=True, http_1_0=False, date="now")
    assert head.split(b"\r\n")[2] == f"{name}: {value}".encode("latin-1")
    assert len(head.splitlines()) >= 5
    assert head.count(b"\r\n") == 5
    assert head.count(b"\n") == head.count(b"\r") == 5


@settings(deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=4))
def test_a_canonical_path_tells_segments_apart(segments: list[str]) -> None:
    """Decoding a canonical path gives the segments back, so no two lists of segments share one."""
    path = canonical(segments)
    try:
        assert decode(path) == segments
    except ValueError:
        assert {".", ".."} & set(segments) or any("\0" in segment for segment in segments)
