"""Kill the daemon at random moments under HTTP load: nothing acknowledged is lost, nothing confirmed comes again."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.power import PowerSupply, note_syncs
from tests.fakes.daemon import ChildDaemon
from tests.fakes.topic_clients import Consumer, Ledger, Producer, clients
from tests.fakes.topic_files import read_topic

ROUNDS = 6
AUTH = ("house", "house-secret")
MANIFEST = f"""
kind: app
name: house
key: {AUTH[0]}
secret: {AUTH[1]}
---
kind: topic
app: house
name: orders
partitions: 3
"""


@pytest.mark.timeout(120)
def test_nothing_acknowledged_is_lost_and_nothing_confirmed_comes_again(tmp_path: Path) -> None:
    """Over 6 SIGKILLs, every other one with a power cut, HTTP producers and consumers can rely on what they were told.

    The topic holds each acknowledged (producer, sequence), and each once, however often it was sent; the group is
    handed all of it, and nothing that it has confirmed again.
    """
    data = tmp_path / "data"
    power = PowerSupply(tmp_path / "power")
    ledger = Ledger()
    producers = [Producer(f"p{number}", "orders") for number in range(2)]
    consumers = [Consumer(f"c{number}", "orders", "billing", ledger) for number in range(3)]
    with ChildDaemon(data, PENSTOCK_LOG__SEGMENT_BYTES="20000", before=note_syncs, **power.environment) as daemon:
        daemon.apply(MANIFEST)
        for number in range(ROUNDS):
            assert daemon.note is not None
            with clients(daemon.note.topics, AUTH, [*producers, *consumers]):
                time.sleep(random.uniform(0.3, 1.0))
                daemon.kill()
            if number % 2:
                power.cut(data / "topics")
            daemon.start()
        assert daemon.note is not None
        with clients(daemon.note.topics, AUTH, [*producers, *consumers]):
            time.sleep(0.5)
            for producer in producers:
                producer.stopping.set()
            _wait_drained(daemon)
        assert daemon.stop() == 0
    _check_topic(data, producers)
    stored = {(producer.name, number) for producer in producers for number in range(producer.acknowledged)}
    assert stored <= ledger.delivered
    assert ledger.again == set()
    assert len(ledger.confirmed) > len(stored) / 2
    assert not any(read_topic(data, "billing.dead"))


def _wait_drained(daemon: ChildDaemon) -> None:
    deadline = time.monotonic() + 30
    while (lag := daemon.ask("groups/billing")["lag"]) != 0:
        assert time.monotonic() < deadline, f"billing still lags {lag}"
        time.sleep(0.1)


def _check_topic(data: Path, producers: list[Producer]) -> None:
    counts: Counter[tuple[str, int]] = Counter()
    for partition in read_topic(data, "orders"):
        assert [record.offset for record in partition] == list(range(len(partition)))
        for record in partition:
            content = json.loads(record.value or b"")
            assert record.headers["penstock-producer"] == f"house/{content['producer']}/{content['sequence']}".encode()
            counts[content["producer"], content["sequence"]] += 1
    assert {place: count for place, count in counts.items() if count > 1} == {}
    for producer in producers:
        numbers = {number for name, number in counts if name == producer.name}
        assert set(range(producer.acknowledged)) <= numbers <= set(range(producer.attempted))
        assert producer.acknowledged > 0
