"""A connect storm from a process of its own: so many clients connect as fast as they are let in, and stay.

So many are on their way at a time; each is counted when its CONNACK has come. Packets are encoded beforehand.
Prints one JSON line: {"connected": n, "seconds": s, "slowest": s}, the last from a client's connect to its CONNACK.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import socket
import sys
import time

from actors.wire.mqtt import encode

PER_DEVICE = 5
CONNACK_OK = encode.connack(0)
PATIENCE_SECONDS = 60.0


def packets(count: int, user: str) -> list[bytes]:
    """The CONNECT of each client, several for each device."""
    made = []
    for number in range(count):
        device = f"dev{number // PER_DEVICE + 1:06d}"
        username = user.format(device=device) if user else None
        password = f"secret-{device}".encode() if user else None
        made.append(encode.connect(f"storm-{number}", username=username, password=password, keep_alive=600))
    return made


class Storm:
    """Connects all, `abreast` at a time."""

    def __init__(self, address: tuple[str, int], connects: list[bytes]) -> None:
        self._address = address
        self._connects = connects
        self._poll = select.epoll()
        self._under_way: dict[int, tuple[socket.socket, float]] = {}
        self.connected: list[socket.socket] = []
        self.slowest = 0.0

    def run(self, abreast: int) -> float:
        """Returns the seconds it took."""
        began = time.perf_counter()
        waiting = iter(self._connects)
        for _ in range(abreast):
            self._start(next(waiting))
        while self._under_way:
            for descriptor, _ in self._poll.poll(1.0):
                self._answered(descriptor)
                packet = next(waiting, None)
                if packet is not None:
                    self._start(packet)
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise SystemExit(f"only {len(self.connected)} were let in within {PATIENCE_SECONDS:g} s")
        return time.perf_counter() - began

    def _start(self, packet: bytes) -> None:
        began = time.perf_counter()
        connection = socket.create_connection(self._address, timeout=30)
        connection.sendall(packet)
        self._under_way[connection.fileno()] = connection, began
        self._poll.register(connection, select.EPOLLIN)

    def _answered(self, descriptor: int) -> None:
        connection, began = self._under_way.pop(descriptor)
        self._poll.unregister(descriptor)
        answer = connection.recv(4)
        if answer != CONNACK_OK:
            raise SystemExit(f"refused: {answer.hex() or 'closed'}")
        self.slowest = max(self.slowest, time.perf_counter() - began)
        self.connected.append(connection)


def main() -> None:
    """Say READY, wait for a line on standard input, connect, print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--abreast", type=int, default=100)
    parser.add_argument("--user", default="", help="user name with {device}; empty: anonymous")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    storm = Storm((options.host, options.port), packets(options.connections, options.user))
    print("READY", flush=True)
    sys.stdin.readline()
    seconds = storm.run(options.abreast)
    print(json.dumps({"connected": len(storm.connected), "seconds": seconds, "slowest": storm.slowest}), flush=True)


if __name__ == "__main__":
    main()
