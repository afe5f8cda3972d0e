"""Producers and consumers of the topic gateway that know what they were told, over any number of daemons' lives."""

from __future__ import annotations

import base64
import json
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx

from tests.fakes.plain_http import NO_TLS

TIMEOUT = 10.0


class Client(ABC):
    """Calls one daemon after the other; `problem` says what no daemon may answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problem = ""
        self.stopping = threading.Event()

    def live(self, address: str, auth: tuple[str, str]) -> None:
        """Call the daemon at an address until it is gone, or it is time to stop."""
        try:
            with httpx.Client(verify=NO_TLS, base_url=f"http://{address}", auth=auth, timeout=TIMEOUT) as http:
                while not self.stopping.is_set() and not self.problem:
                    self._turn(http)
        except httpx.TransportError:
            pass  # it was killed: what the call came to, nobody knows

    @abstractmethod
    def _turn(self, http: httpx.Client) -> None: ...

    def _expect(self, answer: httpx.Response, *also: int) -> bool:
        """Whether a call was answered with 200; anything but that and `also` is a problem."""
        if answer.status_code not in (200, *also):
            self.problem = f"{self.name}: {answer.status_code} {answer.text}"
        return answer.status_code == 200


class Producer(Client):
    """Stores bulks of numbered records, and sends each again until it is acknowledged whole."""

    def __init__(self, name: str, topic: str, bulk: int = 10, pause: float = 0.01) -> None:
        super().__init__(name)
        self._path = f"/v1/topic/{topic}/records"
        self._bulk = bulk
        self._pause = pause
        self.acknowledged = 0
        """Records 0 to this, exclusive, are acknowledged."""
        self.attempted = 0
        self.duplicates = 0

    def _turn(self, http: httpx.Client) -> None:
        numbers = range(self.acknowledged, self.acknowledged + self._bulk)
        lines = [
            json.dumps({"content": {"producer": self.name, "sequence": number}, "key": f"{self.name}-{number % 7}"})
            for number in numbers
        ]
        headers = {"X-Producer-Id": self.name, "X-Producer-Sequence": str(numbers.start)}
        self.attempted = numbers.stop
        answer = http.post(self._path, content="\n".join(lines), headers=headers)
        if self._expect(answer, 503):
            self.acknowledged = numbers.stop
            self.duplicates += answer.json()["duplicates"]
        self.stopping.wait(self._pause)


class Ledger:
    """What the consumers of one group were handed, and what is confirmed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.delivered: set[tuple[str, int]] = set()
        self.confirmed: set[tuple[str, int]] = set()
        self.again: set[tuple[str, int]] = set()
        """Messages that were delivered although they had been confirmed."""

    def deliver(self, messages: Sequence[tuple[str, int]]) -> None:
        with self.lock:
            self.again |= self.confirmed.intersection(messages)
            self.delivered.update(messages)

    def confirm(self, messages: Sequence[tuple[str, int]]) -> None:
        with self.lock:
            self.confirmed.update(messages)


class Consumer(Client):
    """Takes messages of a group and confirms most of them; some it fails, and some it says nothing about."""

    def __init__(self, name: str, topic: str, group: str, ledger: Ledger, ack_wait: int = 3) -> None:
        super().__init__(name)
        self._path = f"/v1/topic/{topic}/group/{group}/messages"
        self._query = {"ack_wait": ack_wait, "time_wait": 1}
        self._ledger = ledger

    def _turn(self, http: httpx.Client) -> None:
        answer = http.get(self._path, params=self._query)
        if not self._expect(answer, 503) or not answer.json():
            return
        taken = [(one["handler"], _content(one["message"]["content"])) for one in answer.json()]
        self._ledger.deliver([message for _, message in taken])
        chance = random.random()
        if chance < 0.02:
            return
        status = "fail" if chance < 0.06 else "success"
        told = {"messages": [{"handler": handler, "status": status} for handler, _ in taken]}
        answer = http.post(self._path, json=told)
        # A handler that came too late counts as a failure, and which one it was is not said.
        if self._expect(answer, 503) and answer.json() == {"success": len(taken), "fail": 0}:
            self._ledger.confirm([message for _, message in taken])


def _content(encoded: str) -> tuple[str, int]:
    content = json.loads(base64.b64decode(encoded))
    return content["producer"], content["sequence"]


@contextmanager
def clients(address: str, auth: tuple[str, str], crowd: Sequence[Client]) -> Iterator[None]:
    """Let clients live with one daemon, each in a thread; at the end of the block they stop."""
    threads = [threading.Thread(target=client.live, args=(address, auth), daemon=True) for client in crowd]
    for client in crowd:
        client.stopping.clear()
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for client in crowd:
            client.stopping.set()
        for thread in threads:
            thread.join(2 * TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    assert not [client.problem for client in crowd if client.problem]
