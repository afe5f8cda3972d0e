"""overload: producers bring three times what a sink takes, under each backlog policy; nothing acknowledged is lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.benchmarks import slow_sink
from scripts.benchmarks.manifests import devices
from scripts.benchmarks.overload_judge import Outcome, judge
from scripts.benchmarks.overload_load import CALLERS, DEVICES
from scripts.benchmarks.overload_watch import Watch
from scripts.benchmarks.peers import Penstock, penstock

TASKS = ("slow", "quick")
POLICIES = ("throttle", "reject", "divert", "drop_oldest")
SINK_RATE = 1000
TIMES = 3
FAST = 1_000_000
# Filled early in the load, so that what memory does afterwards is no filling of windows.
PRODUCER_WINDOW = 10_000
# Of the load's time: how long the sink would need for a backlog at its limit.
LIMIT_SHARE = 0.4
SETTLE_SECONDS = 180.0

HOUSE = """
kind: app
name: bench
key: bench
secret: bench-secret
---
kind: product
app: bench
name: bench
services:
  - name: Load
    properties:
      - {{name: producer, type: string, max_length: 64}}
      - {{name: number, type: integer}}
      - {{name: text, type: string, max_length: 100}}
---
kind: topic
app: bench
name: elsewhere
partitions: 4
---
kind: topic
app: bench
name: reports
partitions: 4
backlog:
  limit: {{messages: {limit}}}
  action: {action}
---
kind: rule
app: bench
name: forward
from: {{product: bench, topic: "bench/out/+"}}
include_device: true
to: [{{topic: reports}}]
---
kind: connection
app: bench
name: slow
connector: slow
settings: {{path: slow.db}}
---
kind: connection
app: bench
name: quick
connector: sqlite
settings: {{path: quick.db}}
"""
TASK = """
---
kind: task
app: bench
name: {name}
source:
  topic: reports
  start: earliest
  fields:
    - {{name: producer, type: string, path: data.producer}}
    - {{name: number, type: integer, path: data.number}}
target:
  connection: {name}
  table: Arrived
  create: true
  columns: {{Producer: producer, Number: number}}
"""


def overload(*, seconds: float, runs: int, as_json: bool) -> int:
    """One run of each policy, whatever `runs`; exit code 1 where anything is not as it must be."""
    outcomes = [_run(policy, seconds) for policy in POLICIES]
    facts = {
        "producers": f"{DEVICES} devices (paho-mqtt, QoS 1) and {CALLERS} callers over HTTP, {TIMES}x the sink's rate",
        "sink": f"a task that writes {SINK_RATE} rows/s; another one of the same topic keeps up",
        "load": f"{seconds:g} s for each policy, its limit is {_limit(seconds)} messages",
        "runs": f"1 of {runs}",
    }
    if as_json:
        lines = [asdict(one) for one in outcomes]
        print(json.dumps({"title": "overload", "facts": facts, "policies": lines}, indent=2))
    else:
        _show(facts, outcomes)
    return int(any(one.not_met for one in outcomes))


def _limit(seconds: float) -> int:
    return int(SINK_RATE * seconds * LIMIT_SHARE)


# --- a run -----------------------------------------------------------------------------------------------------------


def _run(policy: str, seconds: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as packages:
        slow_sink.install(Path(packages))
        window = {"PENSTOCK_TOPICS__PRODUCER_WINDOW": str(PRODUCER_WINDOW)}
        with penstock(PYTHONPATH=f"{packages}:{Path.cwd()}", **window) as daemon:
            data = daemon.folder / "data"
            _set_pace(data, SINK_RATE)
            action = "divert\n  divert_to: elsewhere" if policy == "divert" else policy
            manifest = HOUSE.format(limit=_limit(seconds), action=action) + devices(DEVICES)
            daemon.apply(manifest + TASK.format(name="slow") + TASK.format(name="quick"))
            time.sleep(2)
            outcome = Outcome(policy, limit=_limit(seconds), seconds=seconds, offered_rate=SINK_RATE * TIMES)
            with Watch(daemon, outcome).over(seconds) as watch:
                told = _load(daemon, seconds, watch, lambda: _set_pace(data, FAST))
            _take_down(outcome, told, daemon)
            _drain(daemon, policy, 2 * seconds + SETTLE_SECONDS)
            _reckon(outcome, daemon, told)
    judge(outcome)
    return outcome


def _set_pace(data: Path, rows: int) -> None:
    # Replaced in one go: the sink reads it at any time.
    new = data / "pace.new"
    new.write_text(str(rows))
    new.rename(data / slow_sink.PACE_FILE)


def _load(daemon: Penstock, seconds: float, watch: Watch, stopped: Callable[[], None]) -> list[dict[str, Any]]:
    """Have the producers bring their load; `stopped` is called once they bring nothing new."""
    addresses = [f"{host}:{port}" for host, port in (daemon.mqtt, daemon.topics)]
    command = [sys.executable, "-m", "scripts.benchmarks.overload_load", *addresses]
    command += [f"--rate={SINK_RATE * TIMES}", f"--seconds={seconds}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None  # noqa: S101 - asked for one line above
        load.stdout.readline()
        watch.end_of_load()
        stopped()
        said = load.stdout.readline()
    if load.returncode or not said:
        raise SystemExit("the producers failed")
    told: list[dict[str, Any]] = json.loads(said)
    return told


def _take_down(outcome: Outcome, told: list[dict[str, Any]], daemon: Penstock) -> None:
    """What the producers saw, and what the policy says of itself."""
    outcome.acknowledged = sum(len(one["acknowledged"]) for one in told)
    outcome.acknowledged_in_time = sum(one["in_time"] for one in told)
    outcome.reconnections = sum(one["connections"] - 1 for one in told)
    outcome.longest_wait = max(one["longest"] for one in told)
    outcome.longest_retry_after = max(one["longest_retry_after"] for one in told)
    outcome.without_retry_after = sum(one["without_retry_after"] for one in told)
    outcome.problems = [f"{one['name']}: {one['problem']}" for one in told if one["problem"]]
    for one in told:
        for status, count in one["refused"].items():
            outcome.answers[status] = outcome.answers.get(status, 0) + count
    outcome.gate = daemon.control.get("/api/v1/topics/reports").raise_for_status().json()["status"]["backlog"]
    entries = daemon.control.get("/api/v1/audit?limit=1000").raise_for_status().json()["entries"]
    outcome.activations = sum(entry["by"] == "backlog policy" and entry["after"] == "acting" for entry in entries)


def _drain(daemon: Penstock, policy: str, seconds: float) -> None:
    """Wait until both tasks have everything; what was diverted is brought home before."""
    deadline = time.monotonic() + seconds
    _wait(lambda: _gate(daemon) == "open" and _caught_up(daemon), deadline)
    if policy == "divert":
        answer = daemon.control.post("/api/v1/topics/reports/bring-home", json={"from": "elsewhere"})
        answer.raise_for_status()
        _wait(lambda: _is_home(daemon), deadline)
        _wait(lambda: _caught_up(daemon), deadline)


def _wait(reached: Callable[[], bool], deadline: float) -> None:
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit("the backlog was not worked off in time")
        time.sleep(0.2)


def _gate(daemon: Penstock) -> str:
    status = daemon.control.get("/api/v1/topics/reports").raise_for_status().json()["status"]
    state: str = status["backlog"]["state"]
    return state


def _caught_up(daemon: Penstock) -> bool:
    return all(daemon.control.get(f"/api/v1/groups/{name}").raise_for_status().json()["lag"] == 0 for name in TASKS)


def _is_home(daemon: Penstock) -> bool:
    items = daemon.control.get("/api/v1/topics/reports/bring-home").raise_for_status().json()["items"]
    return all(item["remaining"] == 0 for item in items)


def _reckon(outcome: Outcome, daemon: Penstock, told: list[dict[str, Any]]) -> None:
    """What of the acknowledged messages arrived, in each of the two sinks."""
    acknowledged = {(one["name"], number) for one in told for number in one["acknowledged"]}
    for name in TASKS:
        arrived = _arrived(daemon, name)
        outcome.arrived[name] = len(arrived)
        outcome.missing[name] = len(acknowledged - arrived.keys())
        outcome.twice[name] = arrived.total() - len(arrived)
    outcome.lost = int(str(daemon.task("slow")["lost"]))
    outcome.told = (daemon.folder / "output.log").read_text().count("oldest records dropped")


def _arrived(daemon: Penstock, name: str) -> Counter[tuple[str, int]]:
    path = daemon.folder / "data" / f"{name}.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT Producer, Number, count(*) FROM Arrived GROUP BY 1, 2")
        found = Counter({(producer, number): count for producer, number, count in rows})
    database.close()
    return found


# --- the table -------------------------------------------------------------------------------------------------------


def _show(facts: dict[str, str], outcomes: list[Outcome]) -> None:
    print("\noverload")
    for name, fact in facts.items():
        print(f"  {name}: {fact}")
    columns = [one.figures() for one in outcomes]
    width = max(map(len, columns[0]))
    print(f"  {'':<{width}}" + "".join(f"{one.policy:>14}" for one in outcomes))
    for name in columns[0]:
        print(f"  {name:<{width}}" + "".join(f"{column[name]:>14}" for column in columns))
    for one in outcomes:
        for problem in one.not_met:
            print(f"  NOT MET, {one.policy}: {problem}")
