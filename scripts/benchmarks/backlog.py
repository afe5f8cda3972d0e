"""backlog: millions of messages without a consumer, then drained by a task; memory, and how good the prediction is."""

from __future__ import annotations

import time

from scripts.benchmarks.idle import anonymous_kilobytes
from scripts.benchmarks.manifests import HOUSE
from scripts.benchmarks.peers import Penstock, penstock
from scripts.benchmarks.report import Line, show
from scripts.benchmarks.topics import produce

MESSAGES_PER_SECOND_OF_LOAD = 2_000_000
MOST_MEGABYTES = 50.0
MOST_DEVIATION = 0.2
QUARTERS = (0.25, 0.5, 0.75)
TOPIC = """
---
kind: topic
app: bench
name: bulk
partitions: 4
sync: false
"""
TASK = """
kind: task
app: bench
name: drain
runners: 1
source:
  topic: bulk
  start: earliest
  fields:
    - {name: deviceId, type: string, path: deviceId}
    - {name: status, type: string, path: status}
target:
  connection: sink
  table: Drained
  create: true
  columns: {DeviceId: deviceId, Status: status}
"""


def backlog(*, seconds: float, runs: int, as_json: bool) -> int:
    """Pile up 2 million messages for each second asked for (5: 10 million), then drain; one run, whatever `runs`."""
    messages = int(seconds * MESSAGES_PER_SECOND_OF_LOAD)
    with penstock() as daemon:
        daemon.apply(HOUSE + TOPIC)
        produce(daemon, 50_000)
        before = anonymous_kilobytes(daemon.pid)
        rate = _rate(produce(daemon, messages))
        piled = anonymous_kilobytes(daemon.pid) - before
        daemon.apply(TASK)
        drained, most, predictions = _drain(daemon, messages + 50_000)
    grown = max(piled, most - before) / 1024
    worst = max((abs(predicted / actual - 1) for predicted, actual in predictions), default=0.0)
    lines = [
        Line("produced over HTTP, nobody consuming", "records/s", [rate]),
        Line("drained by a task into SQLite", "rows/s", [drained]),
        Line("memory grown at most", "MB", [grown], note=f"at most {MOST_MEGABYTES:g} MB"),
        Line("prediction off by at most", "%", [worst * 100], note=f"at most {MOST_DEVIATION:.0%}, at each quarter"),
    ]
    facts = {"messages": f"{messages:,}", "memory at the end of the load": f"{piled / 1024:+.1f} MB"}
    facts |= {"predictions": ", ".join(f"{a:.0f} s for {b:.0f} s" for a, b in predictions), "runs": f"1 of {runs}"}
    code = show("backlog", facts, lines, as_json=as_json)
    return code or int(grown > MOST_MEGABYTES or worst > MOST_DEVIATION)


def _rate(result: dict[str, float]) -> float:
    return result["records"] / result["seconds"]


def _drain(daemon: Penstock, messages: int) -> tuple[float, int, list[tuple[float, float]]]:
    """Rows per second, the most memory on the way, and at each quarter what was predicted and what it took."""
    began, most = time.perf_counter(), 0
    said: list[tuple[float, float]] = []
    while True:
        group = daemon.control.get("/api/v1/groups/drain").raise_for_status().json()
        lag = sum(partition["lag"] for partition in group["partitions"])
        most = max(most, anonymous_kilobytes(daemon.pid))
        done = 1 - lag / messages
        if len(said) < len(QUARTERS) and done >= QUARTERS[len(said)] and group["drain_seconds"] is not None:
            said.append((time.perf_counter(), group["drain_seconds"]))
        if lag == 0:
            break
        time.sleep(0.2)
    end = time.perf_counter()
    return messages / (end - began), most, [(predicted, end - at) for at, predicted in said]
