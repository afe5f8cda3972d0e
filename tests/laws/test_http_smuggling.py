"""No request hides in another: what the server reads, two others read alike, and what they might not is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Self

import h11
import msgspec
import pytest
import trio
from hypothesis import example, given, settings

from actors.wire.http.messages import Request, Response
from config.settings import GatewaySettings, Listener
from daemon.listeners.http import HttpEntrance, HttpListener
from tests.actors.wire.http.driver import LIMITS, read
from tests.laws.http_model import Taken, read_stream
from tests.laws.http_streams import STRANGE, mutated

BODY_BYTES = 1024
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


class Answer(msgspec.Struct, array_like=True):
    method: str
    path: str
    body: bytes


async def echo(request: Request) -> Response:
    """Says what it was asked; answers to HEAD have no body, so they say it in a header as well."""
    said = msgspec.json.encode(Answer(request.method, request.path, await request.read()))
    return Response(200, (("X-Said", said.decode()),), said)


class Server:
    """A listener in a thread of its own, as other programs find it: by its address."""

    def __init__(self) -> None:
        limits = GatewaySettings(listen=Listener(port=0), body_bytes=BODY_BYTES)  # type: ignore[arg-type]
        self._listener = HttpListener([HttpEntrance(Listener(port=0))], limits, echo)
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._listener.run, self._begin))
        self._token: trio.lowlevel.TrioToken | None = None

    def _begin(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._started.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._listener.stop)
        self._thread.join(10)

    def answers(self, stream: bytes) -> list[tuple[int, dict[str, str], bytes]]:
        """Status, headers and body of all that comes until the server closes, for a client that sends this and no more.

        Every byte of it must belong to an answer.
        """
        host, _, port = self._listener.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(stream)
            connection.shutdown(socket.SHUT_WR)
            data = b""
            while piece := connection.recv(65536):
                data += piece
        return split(data)


def split(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    found = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        assert end
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = dict(line.split(": ", 1) for line in lines)
        of_head = '["HEAD",' in headers.get("X-Said", "")
        length = 0 if of_head else int(headers.get("Content-Length", "0"))
        assert len(rest) >= length
        if status != "100":
            found.append((int(status), headers, rest[:length]))
        data = rest[length:]
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


def examples(law: object) -> object:
    """Everything of the corpus, each time."""
    for stream in STRANGE:
        law = example(stream + NEXT)(law)  # type: ignore[arg-type]
    return law


@examples
@settings(max_examples=400, deadline=None)
@given(mutated())
def test_the_parser_reads_what_the_model_reads(stream: bytes) -> None:
    """The same requests, and a refusal exactly where the model refuses."""
    expected = read_stream(stream, LIMITS.body_bytes)
    seen = read([stream])
    refused = bool(seen) and seen[-1][0] == "refused"
    assert [one for one in seen if one[0] != "refused"] == [
        (one.method, one.path, one.body) for one in expected.requests
    ]
    if expected.end != "unfinished":
        assert refused == (expected.end == "refused")


@examples
@settings(max_examples=400, deadline=None)
@given(mutated())
def test_what_is_taken_others_read_alike(stream: bytes) -> None:
    """A parser of another make finds the same request in the same bytes, and nothing behind it."""
    for one in read_stream(stream, LIMITS.body_bytes).requests:
        assert by_h11(stream[one.begin : one.end]) == (one.method, one.path, one.body)


def by_h11(data: bytes) -> tuple[str, str, bytes]:
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(data)
    head = reader.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := reader.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert reader.trailing_data[0] == b""
    return head.method.decode(), head.target.decode().partition("?")[0], body


@examples
@settings(max_examples=300, deadline=None)
@given(stream=mutated())
def test_each_request_has_its_answer_and_nothing_else_has_one(server: Server, stream: bytes) -> None:
    """Over a socket: the answers to what the model reads, in order; then at most one refusal, the last word."""
    expected = read_stream(stream, BODY_BYTES)
    answers = server.answers(stream)
    served = answers[: len(expected.requests)]
    assert [said(headers) for _, headers, _ in served] == [asked(one) for one in expected.requests]
    assert all(status == 200 for status, _, _ in served)
    rest = answers[len(expected.requests) :]
    assert len(rest) <= 1
    assert all(400 <= status < 600 and headers["Connection"] == "close" for status, headers, _ in rest)
    if expected.end != "unfinished":
        assert len(rest) == (expected.end == "refused")
    assert all(headers.get("Connection") != "close" for _, headers, _ in answers[:-1])


def said(headers: dict[str, str]) -> Answer:
    return msgspec.json.decode(headers["X-Said"], type=Answer)


def asked(one: Taken) -> Answer:
    return Answer(one.method, one.path, one.body)
