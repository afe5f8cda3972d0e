"""The client at a constant rate, before servers that answer, stall and leave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scripts.benchmarks.constant_rate import Client
from scripts.benchmarks.latencies import Schedule
from scripts.benchmarks.raw_requests import get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
REQUEST = get("/x")

Answer = Callable[[int], bytes]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, int]]:
    """Answers the requests of one connection in turn, by number; an empty answer ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, answer))
        thread.start()
        yield listening.getsockname()
        thread.join(10)


def _serve(listening: socket.socket, answer: Answer) -> None:
    connection, _ = listening.accept()
    number = 0
    with connection:
        seen = b""
        while data := connection.recv(65536):
            seen += data
            while seen.startswith(REQUEST):
                seen = seen[len(REQUEST) :]
                answered = answer(number)
                if not answered:
                    return
                connection.sendall(answered)
                number += 1


def run(address: tuple[str, int], rate: float, count: int, patience: float = 5.0) -> dict[str, object]:
    client = Client(address, [REQUEST], 1, patience)
    schedule = Schedule(time.perf_counter() + 0.02, rate, count)
    client.run(schedule)
    return client.result(schedule)


def test_every_request_is_answered() -> None:
    """At a rate that the server can take, all are counted once and none failed."""
    with server(lambda _: OK) as address:
        result = run(address, 500, 100)
    assert (result["requests"], result["failed"], result["statuses"]) == (100, 0, {"200": 100})


def test_a_stall_is_counted_for_all_that_were_due() -> None:
    """A server that stands still for 200 ms makes late what was due meanwhile, not just the one that it had in hand."""

    def answer(number: int) -> bytes:
        if number == 20:
            time.sleep(0.2)
        return OK

    with server(answer) as address:
        result = run(address, 500, 200)
    latency = result["latency"]
    assert isinstance(latency, dict)
    # 100 of 200 requests were due in these 200 ms; half of them more than 100 ms before its end.
    assert latency["p90"] >= 100
    assert latency["most"] >= 190


def test_answers_that_are_not_good_failed() -> None:
    """Another status than 200 is an answer, and a failure."""
    with server(lambda number: BUSY if number % 4 == 0 else OK) as address:
        result = run(address, 1000, 100)
    assert (result["failed"], result["statuses"]) == (25, {"200": 75, "503": 25})


def test_a_server_that_leaves_fails_the_rest() -> None:
    """What has no answer counts as failed, and nobody waits for it."""
    began = time.perf_counter()
    with server(lambda number: OK if number < 10 else b"") as address:
        result = run(address, 1000, 100)
    assert result["failed"] == 90
    assert time.perf_counter() - began < 4


def test_patience_ends() -> None:
    """A server that never answers is not waited for longer than was said, and its requests failed."""
    silent = threading.Event()

    def answer(_: int) -> bytes:
        silent.wait(5)
        return b""

    with server(answer) as address:
        result = run(address, 1000, 10, patience=0.1)
        silent.set()
    assert result["failed"] == 10
    latency = result["latency"]
    assert isinstance(latency, dict)
    assert latency["p50"] >= 100
