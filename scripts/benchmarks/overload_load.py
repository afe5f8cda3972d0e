"""Producers that bring more than is taken, from a process of its own: devices over MQTT (paho) and apps over HTTP.

Each brings so many messages a second and numbers them. One that is held back waits and does not catch up; one that is
refused brings the same again, once the time that it was told is over. After `--seconds` they bring nothing new, but
end only once everything that they brought is acknowledged. Prints `STOPPED` in between, and one JSON line at the end.
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import paho.mqtt.client as paho

DEVICES = 10
CALLERS = 4
WINDOW = 100
BULK = 25
KEEP_ALIVE = 10
SETTLE_SECONDS = 120.0
REFUSED = (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE)


@dataclass
class Told:
    """What one producer brought and what it was told; `acknowledged` are numbers of messages, times in seconds.

    `in_time` is what was acknowledged before the end of the load.
    """

    name: str
    acknowledged: list[int] = field(default_factory=list)
    in_time: int = 0
    connections: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    without_retry_after: int = 0
    longest_retry_after: float = 0.0
    longest: float = 0.0
    problem: str = ""


class Pace:
    """When the next message is due; what could not be brought in its second is not brought later."""

    def __init__(self, rate: float, until: float) -> None:
        self._every = 1 / rate
        self._until = until
        self._next = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether nothing new is to be brought."""
        return time.monotonic() >= self._until

    def due(self) -> int:
        """How many messages are due by now."""
        now = time.monotonic()
        self._next = max(self._next, now - 1)
        count = int((now - self._next) / self._every)
        self._next += count * self._every
        return count


def value(producer: str, number: int) -> bytes:
    """One message."""
    return json.dumps({"producer": producer, "number": number, "text": "x" * 60}).encode()


def device(address: tuple[str, int], number: int, pace: Pace, deadline: float) -> Told:
    """Publish with QoS 1 and a window, as a device does; paho sends again after a reconnection."""
    name = f"dev{number:06d}"
    told, outstanding = Told(name), deque[tuple[int, float, paho.MQTTMessageInfo]]()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
    client.username_pw_set(f"bench/{name}", f"secret-{name}")
    client.max_inflight_messages_set(WINDOW)
    client.on_connect = lambda *_: _count(told)
    client.connect(*address, keepalive=KEEP_ALIVE)
    client.loop_start()
    due = 0
    while (outstanding or not pace.over) and time.monotonic() < deadline:
        due = min(due + (0 if pace.over else pace.due()), WINDOW)
        while due and len(outstanding) < WINDOW and not pace.over:
            due -= 1
            message = len(told.acknowledged) + len(outstanding)
            info = client.publish(f"bench/out/{name}", value(name, message), qos=1)
            outstanding.append((message, time.monotonic(), info))
        while outstanding and outstanding[0][2].is_published():
            message, sent, _ = outstanding.popleft()
            told.acknowledged.append(message)
            told.in_time += not pace.over
            told.longest = max(told.longest, time.monotonic() - sent)
        time.sleep(0.02)
    if outstanding:
        told.problem = f"{len(outstanding)} messages were never acknowledged"
    client.disconnect()
    client.loop_stop()
    return told


def _count(told: Told) -> None:
    told.connections += 1


def caller(address: tuple[str, int], number: int, pace: Pace, deadline: float) -> Told:
    """Post bulks of numbered records one after the other, as an application does."""
    told = Told(f"app{number}")
    connection = http.client.HTTPConnection(*address, timeout=60)
    told.connections = 1
    due = 0
    while not pace.over:
        due = min(due + pace.due(), 10 * BULK)
        if due < BULK:
            time.sleep(0.01)
            continue
        due -= BULK
        first = len(told.acknowledged)
        began = time.monotonic()
        for status in _post(connection, told, first):
            if status not in REFUSED or time.monotonic() > deadline:
                told.problem = f"a bulk was answered with {status}"
                return told
        told.acknowledged += range(first, first + BULK)
        told.in_time += 0 if pace.over else BULK
        told.longest = max(told.longest, time.monotonic() - began)
    return told


def _post(connection: http.client.HTTPConnection, told: Told, first: int) -> Iterator[int]:
    """Post one bulk until it is taken; yields each other answer, and then waits as it was told to."""
    lines = b"".join(
        b'{"key":"%s-%d","content":{"data":%s}}\n' % (told.name.encode(), number % 64, value(told.name, number))
        for number in range(first, first + BULK)
    )
    login = b64encode(b"bench:bench-secret").decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-ndjson"}
    headers |= {"X-Producer-Id": told.name, "X-Producer-Sequence": str(first)}
    while True:
        connection.request("POST", "/v1/topic/reports/records", lines, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status == http.client.OK:
            return
        told.refused[answer.status] = told.refused.get(answer.status, 0) + 1
        after = answer.headers.get("Retry-After")
        told.without_retry_after += after is None
        told.longest_retry_after = max(told.longest_retry_after, float(after or 0))
        yield answer.status
        time.sleep(float(after or 1))


def main() -> None:
    """Produce, print what was acknowledged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mqtt")
    parser.add_argument("http")
    parser.add_argument("--rate", type=float, default=3000.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    deadline = until + SETTLE_SECONDS
    told: list[Told] = []
    work = [(device, options.mqtt, number, options.rate / 2 / DEVICES) for number in range(1, DEVICES + 1)]
    work += [(caller, options.http, number, options.rate / 2 / CALLERS) for number in range(1, CALLERS + 1)]

    def run(index: int) -> None:
        producer, text, number, rate = work[index]
        host, port = text.rsplit(":", 1)
        told.append(producer((host, int(port)), number, Pace(rate, until), deadline))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, until - time.monotonic()))
    print("STOPPED", flush=True)
    for thread in threads:
        thread.join()
    print(json.dumps([asdict(one) for one in told]), flush=True)


if __name__ == "__main__":
    main()
