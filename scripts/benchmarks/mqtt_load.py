"""MQTT load from a process of its own: connections with a window of QoS 1 or 2 publishes each, on bare sockets.

Packets are encoded beforehand, so that the load costs as little as it can and the broker is what is measured.
Prints one JSON line: {"acknowledged": n, "seconds": s}.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time

from actors.wire.mqtt import encode

RING = 128  # packets in a connection's ring: more than any window, so that no two outstanding ones share an id
CONNACK_OK = encode.connack(0)
PUBREC, PUBREL = 0x50, b"\x62\x02"


class Connection:
    """One publisher: a ring of encoded packets of equal length, and how much of it is outstanding."""

    __slots__ = ("outstanding", "partial", "position", "qos", "ring", "size", "socket", "unsent")

    def __init__(self, address: tuple[str, int], number: int, user: str, qos: int, *, clean: bool) -> None:
        device = f"dev{number:06d}"
        username = user.format(device=device) if user else None
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        password = f"secret-{device}".encode() if user else None
        client = f"load-{number}"
        self.socket.sendall(
            encode.connect(client, username=username, password=password, keep_alive=600, clean_start=clean)
        )
        answer = self.socket.recv(4)
        if answer != CONNACK_OK:
            raise SystemExit(f"refused: CONNACK {answer.hex()}")
        self.socket.settimeout(0)
        packets = [_publish(device, packet_id, qos) for packet_id in range(1, RING + 1)]
        self.qos = qos
        self.size = len(packets[0])
        self.ring = memoryview(b"".join(packets) * 2)
        self.position = self.outstanding = 0
        self.partial = b""
        self.unsent: memoryview | None = None

    def send(self, count: int) -> None:
        """Send the next `count` packets; what the kernel does not take goes with the next ones."""
        start = self.position * self.size
        self.position = (self.position + count) % RING
        self.outstanding += count
        self._send(self.ring[start : start + count * self.size])

    def receive(self) -> int:
        """Count the messages that are acknowledged for good, and release those of QoS 2 that are received."""
        data = self.partial + self.socket.recv(65_536)
        if len(data) == len(self.partial):
            raise SystemExit("the broker closed a connection")
        whole = len(data) & ~3
        self.partial = data[whole:]
        done = whole >> 2
        if self.qos > 1:
            released = [data[place + 2 : place + 4] for place in range(0, whole, 4) if data[place] == PUBREC]
            done -= len(released)
            if released:
                self._send(memoryview(PUBREL + PUBREL.join(released)))
        self.outstanding -= done
        return done

    def _send(self, data: memoryview) -> None:
        if self.unsent is not None:
            data = memoryview(bytes(self.unsent) + bytes(data))
        sent = self.socket.send(data)
        self.unsent = data[sent:] if sent < len(data) else None


def _publish(device: str, packet_id: int, qos: int) -> bytes:
    payload = json.dumps({"deviceId": device, "status": str(packet_id % 2)}).encode()
    return encode.publish(f"bench/out/{device}", payload, qos=qos, packet_id=packet_id)


def run(connections: list[Connection], window: int, seconds: float) -> dict[str, float]:
    """Publish for `seconds`, then wait for what is outstanding."""
    poll = select.epoll()
    by_descriptor = {connection.socket.fileno(): connection for connection in connections}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    began = time.perf_counter()
    deadline, acknowledged = began + seconds, 0
    for connection in connections:
        connection.send(window)
    while any(connection.outstanding for connection in connections):
        for descriptor, _ in poll.poll(1.0):
            connection = by_descriptor[descriptor]
            count = connection.receive()
            acknowledged += count
            if count and time.perf_counter() < deadline:
                connection.send(count)
        if time.perf_counter() > deadline + 30:
            raise SystemExit("acknowledgements did not come within 30 s of the end")
    return {"acknowledged": acknowledged, "seconds": time.perf_counter() - began}


def main() -> None:
    """Connect, say READY, wait for a line on standard input, publish, print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--user", default="", help="user name with {device}; empty: anonymous")
    parser.add_argument("--qos", type=int, choices=(1, 2), default=1)
    parser.add_argument("--persistent", action="store_true", help="sessions that outlive their connections")
    options = parser.parse_args()
    address = (options.host, options.port)
    connections = [
        Connection(address, number, options.user, options.qos, clean=not options.persistent)
        for number in range(1, options.connections + 1)
    ]
    print("READY", flush=True)
    sys.stdin.readline()
    print(json.dumps(run(connections, options.window, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
