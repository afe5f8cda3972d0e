"""Asks at a constant rate, whatever the server does, from a process of its own; prints one JSON line.

Requests are prebuilt bytes and go to the connections in turn, each when it is due, also where earlier ones have no
answer yet (pipelined). `late` is how long after they were due they were sent: what this client itself adds to the
latencies. Times are in milliseconds. What has no answer in the end counts as failed, and with the time until then.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import time
from array import array
from pathlib import Path
from typing import Any

from scripts.benchmarks.answers import Answers
from scripts.benchmarks.latencies import Percentiles, Schedule, percentiles
from scripts.benchmarks.raw_requests import load

MOST_REQUESTS = 5_000_000
_READ_BYTES = 256 * 1024
_LONGEST_WAIT = 0.1
_OK = 200


class Connection:
    """One connection; its answers come in the order of its requests, so their numbers need not be kept."""

    __slots__ = ("answers", "closed", "next_answer", "socket", "unsent")

    def __init__(self, address: tuple[str, int], number: int) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.answers = Answers()
        self.next_answer = number
        self.unsent = b""
        self.closed = False

    def send(self, data: bytes) -> None:
        """Send what can be sent at once, and keep the rest."""
        if self.unsent:
            data = self.unsent + data
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.closed = True
            sent = len(data)
        self.unsent = data[sent:]

    def receive(self) -> list[int]:
        """The statuses of the answers that have come."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.closed = True
        return self.answers.receive(data)


class Client:
    """Sends what is due and takes what comes, until all is answered or `patience` seconds after the last was due."""

    def __init__(self, address: tuple[str, int], requests: list[bytes], connections: int, patience: float) -> None:
        self._requests = requests
        self._connections = [Connection(address, number) for number in range(connections)]
        self._by_descriptor = {one.socket.fileno(): one for one in self._connections}
        self._patience = patience
        self._sent = self._answered = 0
        self._latencies = array("d")
        self._late = array("d")
        self.statuses: dict[int, int] = {}

    def run(self, schedule: Schedule) -> None:
        """Ask as the schedule says."""
        deadline = schedule.at(schedule.count) + self._patience
        self._latencies = array("d", [-1.0]) * schedule.count
        self._late = array("d", [0.0]) * schedule.count
        while self._answered < schedule.count and self._by_descriptor:
            now = time.perf_counter()
            if now > deadline:
                break
            self._send_due(schedule, now)
            left = schedule.at(self._sent) - time.perf_counter() if self._sent < schedule.count else _LONGEST_WAIT
            self._take(schedule, min(max(left, 0.0), _LONGEST_WAIT))
        self._end(schedule, time.perf_counter())

    def result(self, schedule: Schedule) -> dict[str, Any]:
        """What it has seen."""
        good = self.statuses.get(_OK, 0)
        return {
            "requests": schedule.count,
            "failed": schedule.count - good,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "latency": _milliseconds(self._latencies),
            "late": _milliseconds(self._late),
        }

    def _send_due(self, schedule: Schedule, now: float) -> None:
        requests, connections, late = self._requests, self._connections, self._late
        for number in range(self._sent, schedule.due(now)):
            connections[number % len(connections)].send(requests[number % len(requests)])
            late[number] = time.perf_counter() - schedule.at(number)
            self._sent = number + 1

    def _take(self, schedule: Schedule, wait: float) -> None:
        writable = [one.socket.fileno() for one in self._connections if one.unsent]
        # `select` takes microseconds; `poll` would round what is left until the next request up to a millisecond.
        readable, writable, _ = select.select(self._by_descriptor, writable, (), wait)
        for descriptor in writable:
            self._by_descriptor[descriptor].send(b"")
        if not readable:
            return
        for descriptor in readable:
            self._answers(schedule, self._by_descriptor[descriptor])
        for descriptor in [number for number, one in self._by_descriptor.items() if one.closed]:
            del self._by_descriptor[descriptor]

    def _answers(self, schedule: Schedule, connection: Connection) -> None:
        statuses = connection.receive()
        now = time.perf_counter()
        for status in statuses:
            number = connection.next_answer
            self._latencies[number] = now - schedule.at(number)
            connection.next_answer = number + len(self._connections)
            self.statuses[status] = self.statuses.get(status, 0) + 1
        self._answered += len(statuses)

    def _end(self, schedule: Schedule, now: float) -> None:
        for number in range(schedule.count):
            if self._latencies[number] < 0:
                self._latencies[number] = max(0.0, now - schedule.at(number))
        for connection in self._connections:
            connection.socket.close()


def _milliseconds(seconds: array[float]) -> dict[str, float]:
    found: Percentiles = percentiles(seconds)
    return {name: round(1000 * value, 3) for name, value in found._asdict().items()}


def main() -> None:
    """Run the load, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path, help="a file of scripts.benchmarks.raw_requests")
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--patience", type=float, default=10.0)
    options = parser.parse_args()
    count = max(1, min(MOST_REQUESTS, int(options.rate * options.seconds)))
    client = Client((options.host, options.port), load(options.requests), options.connections, options.patience)
    gc.disable()  # a collection would be this client's own lateness; nothing here makes cycles
    schedule = Schedule(time.perf_counter() + 0.1, options.rate, count)
    client.run(schedule)
    print(json.dumps(client.result(schedule)))


if __name__ == "__main__":
    main()
