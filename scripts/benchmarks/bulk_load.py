"""HTTP bulk load from a process of its own: connections that each post one bulk after the other, on bare sockets.

Requests are encoded beforehand. Prints one JSON line: {"records": n, "seconds": s, "bytes": b}.
"""

from __future__ import annotations

import argparse
import base64
import json
import select
import socket
import time

HEAD_END = b"\r\n\r\n"


def content(number: int) -> bytes:
    """The value of one record."""
    return json.dumps({"deviceId": f"dev{number:06d}", "status": "0", "text": "x" * 40}).encode()


class Connection:
    """One producer: sends a bulk, waits for its answer, sends the next."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""

    def send(self) -> None:
        """Post the bulk."""
        self.socket.sendall(self._request)

    def answered(self) -> bool:
        """Read what is there; True once the answer is whole. One that is not good ends the load."""
        self._received += self.socket.recv(65_536)
        head, found, body = self._received.partition(HEAD_END)
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a bulk was refused: {self._received[:500].decode(errors='replace')}")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return False
        self._received = body[length:]
        return True


def request(host: str, topic: str, user: str, bulk: int) -> bytes:
    """A whole HTTP request with so many records."""
    lines = b"".join(b'{"content":' + content(number) + b"}\n" for number in range(bulk))
    login = base64.b64encode(user.encode()).decode()
    head = f"POST /v1/topic/{topic}/records HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {login}\r\n"
    head += f"Content-Type: application/x-ndjson\r\nContent-Length: {len(lines)}\r\n\r\n"
    return head.encode() + lines


def run(connections: list[Connection], bulks: int) -> tuple[int, float]:
    """Post so many bulks over all connections; every one is answered."""
    poll = select.epoll()
    by_descriptor = {connection.socket.fileno(): connection for connection in connections}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    began = time.perf_counter()
    sent = done = 0
    for connection in connections[:bulks]:
        connection.send()
        sent += 1
    while done < sent:
        for descriptor, _ in poll.poll(30.0):
            connection = by_descriptor[descriptor]
            if connection.answered():
                done += 1
                if sent < bulks:
                    connection.send()
                    sent += 1
    return done, time.perf_counter() - began


def main() -> None:
    """Connect, post, print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("topic")
    parser.add_argument("--user", default="bench:bench-secret")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--bulk", type=int, default=500)
    parser.add_argument("--records", type=int, default=500_000)
    options = parser.parse_args()
    whole = request(options.host, options.topic, options.user, options.bulk)
    connections = [Connection((options.host, options.port), whole) for _ in range(options.connections)]
    done, seconds = run(connections, options.records // options.bulk)
    size = done * sum(len(content(number)) for number in range(options.bulk))
    print(json.dumps({"records": done * options.bulk, "seconds": seconds, "bytes": size}), flush=True)


if __name__ == "__main__":
    main()
