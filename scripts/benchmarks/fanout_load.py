"""One publisher, many subscribers, in a process of their own, on bare sockets; some of them do not read.

The publisher runs ahead of those who read by a window of messages, so that what is measured is what a broker delivers
and not what it drops. Prints one JSON line: {"delivered": n, "seconds": s, "published": n}.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections.abc import Callable

from actors.wire.mqtt import encode

CONNACK_OK = encode.connack(0)
# So much is in the kernel for one that does not read, rather than megabytes.
STUCK_BUFFER = 8 * 1024
# What is lost (a broker may drop QoS 0) is given up after so long.
PATIENCE = 0.5


class Subscriber:
    """A connection that counts what it is delivered, and acknowledges it."""

    __slots__ = ("qos", "received", "rest", "size", "socket", "to_acknowledge")

    def __init__(self, connection: socket.socket, size: int, qos: int, id_place: int) -> None:
        self.socket = connection
        self.size = size
        self.qos = qos
        self.to_acknowledge = id_place
        self.rest = b""
        self.received = 0

    def read(self) -> int:
        """How many deliveries are here."""
        data = self.socket.recv(262_144)
        if not data:
            raise SystemExit("the broker closed a connection that reads")
        data = self.rest + data
        count = len(data) // self.size
        self.rest = data[count * self.size :]
        self.received += count
        if self.qos:
            place = self.to_acknowledge
            starts = range(place, place + count * self.size, self.size)
            self.socket.sendall(b"".join([b"\x40\x02" + data[start : start + 2] for start in starts]))
        return count


def connected(options: argparse.Namespace, name: str, who: str, buffer: int | None = None) -> socket.socket:
    """A connection that is logged in; `who` is user name and password with a colon between, or empty."""
    connection = socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(60)
    connection.connect((options.host, options.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    user, _, password = who.partition(":")
    login = {"username": user, "password": password.encode()} if who else {}
    connection.sendall(encode.connect(name, keep_alive=600, **login))  # type: ignore[arg-type]  # as it says
    if (answer := connection.recv(4)) != CONNACK_OK:
        raise SystemExit(f"{name} was refused: CONNACK {answer.hex()}")
    return connection


def subscribe(connection: socket.socket, options: argparse.Namespace) -> None:
    """Subscribe, and see it granted."""
    connection.sendall(encode.subscribe(1, [(options.filter, options.qos)]))
    if (answer := connection.recv(5)) != encode.suback(1, [options.qos]):
        raise SystemExit(f"not granted: {answer.hex()}")


def run(
    publisher: socket.socket, subscribers: list[Subscriber], options: argparse.Namespace, packet: Callable[[int], bytes]
) -> dict[str, float]:
    """Publish for so many seconds, always about a window ahead of those who read."""
    poll = select.epoll()
    by_descriptor = {one.socket.fileno(): one for one in subscribers}
    for descriptor in (*by_descriptor, publisher.fileno()):
        poll.register(descriptor, select.EPOLLIN)
    readers, delivered, published, given_up = len(subscribers), 0, 0, 0
    began = last = time.perf_counter()
    while (now := time.perf_counter()) < began + options.seconds:
        ahead = published - given_up - delivered // readers
        if ahead <= options.window // 2:
            count = options.window - ahead
            publisher.sendall(b"".join(packet(published + number) for number in range(count)))
            published += count
        elif now > last + PATIENCE:
            given_up, last = given_up + ahead, now
        for descriptor, _ in poll.poll(0.1):
            if descriptor == publisher.fileno():
                if not publisher.recv(65_536):
                    raise SystemExit("the broker closed the publisher's connection")
                continue
            delivered += by_descriptor[descriptor].read()
            last = now
    seconds = time.perf_counter() - began
    slowest = min(one.received for one in subscribers)
    return {"delivered": delivered, "seconds": seconds, "published": published, "slowest": slowest}


def main() -> None:
    """Connect, say READY, wait for a line on standard input, publish, print the result, wait for another line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--stuck", type=int, default=0, help="how many of them do not read")
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--topic", default="bench/out/dev000001")
    parser.add_argument("--filter", default="bench/out/+")
    parser.add_argument("--publisher", default="", help="user:password")
    parser.add_argument("--subscriber", default="", help="user:password")
    options = parser.parse_args()
    payload = json.dumps({"deviceId": "dev000001", "status": "1"}).encode()

    def packet(number: int) -> bytes:
        return encode.publish(options.topic, payload, qos=options.qos, packet_id=number % 60_000 + 1)

    size, id_place = len(packet(0)), 4 + len(options.topic)
    stuck = []
    for number in range(options.stuck):
        stuck.append(connected(options, f"stuck-{number}", options.subscriber, STUCK_BUFFER))
        subscribe(stuck[-1], options)
    readers = []
    for number in range(options.subscribers - options.stuck):
        connection = connected(options, f"reader-{number}", options.subscriber)
        subscribe(connection, options)
        readers.append(Subscriber(connection, size, options.qos, id_place))
    publisher = connected(options, "publisher", options.publisher)
    print("READY", flush=True)
    sys.stdin.readline()
    print(json.dumps(run(publisher, readers, options, packet)), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
