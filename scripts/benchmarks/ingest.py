"""ingest, qos2 and pipeline: reports, stored and synced before they are acknowledged; then until they are rows."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.benchmarks.brokers import brokers
from scripts.benchmarks.manifests import HOUSE, TASK, devices
from scripts.benchmarks.peers import Penstock, penstock
from scripts.benchmarks.report import Line, show

USER = "bench/{device}"
SHAPES = {"20 x 10": (20, 10), "100 x 10": (100, 10)}
INGEST_FLOORS = {"20 x 10": {"amqtt": 3.5, "mosquitto": 0.25}, "100 x 10": {"amqtt": 8.0, "mosquitto": 0.6}}
QOS2_FLOORS = {"QoS 1": 0.4}
PIPELINE_FLOORS = {"ingest": 0.5, "amqtt": 4.0}
SLOW_SYNC_MILLISECONDS = 1.0
LAG_SECONDS = 2.0
DRAIN_SECONDS = 120.0


def load(
    address: tuple[str, int], shape: tuple[int, int], seconds: float, user: str = "", *more: str
) -> dict[str, float]:
    """Run the load in a process of its own, with `more` options, and return what it says."""
    connections, window = shape
    command = [sys.executable, "-m", "scripts.benchmarks.mqtt_load", address[0], str(address[1])]
    command += [f"--connections={connections}", f"--window={window}", f"--seconds={seconds}", f"--user={user}", *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate("GO\n")
    if process.returncode:
        raise SystemExit(f"the load failed with exit code {process.returncode}")
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def sync_milliseconds() -> float:
    """The p50 of one fdatasync after a write of 4 KiB, on the disk that the daemon is given."""
    Path("var").mkdir(exist_ok=True)
    times = []
    with tempfile.NamedTemporaryFile(dir="var") as file:
        for _ in range(200):
            file.write(os.urandom(4096))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def ingest(*, seconds: float, runs: int, as_json: bool) -> int:
    """Measure ingest at both shapes, peers in turn, `runs` times."""
    sync = sync_milliseconds()
    lines = []
    for name, shape in SHAPES.items():
        mine, peers = _measure(shape, seconds, runs)
        judged = name != "20 x 10" or sync <= SLOW_SYNC_MILLISECONDS
        note = "" if judged else "reported, not judged: a sync takes over 1 ms"
        line = Line(f"penstock {name}", "msg/s", mine, floors=dict(INGEST_FLOORS[name]), judged=judged, note=note)
        lines += [line.against(peers), *(Line(f"{peer} {name}", "msg/s", figures) for peer, figures in peers.items())]
    facts = {"p50 of one fdatasync": f"{sync:.2f} ms", "connections x window": "QoS 1, all acknowledged", "runs": runs}
    return show("ingest", facts, lines, as_json=as_json)


def _measure(shape: tuple[int, int], seconds: float, runs: int) -> tuple[list[float], dict[str, list[float]]]:
    mine: list[float] = []
    peers: dict[str, list[float]] = {name: [] for name in brokers()}
    for _ in range(runs):
        with penstock() as daemon:
            daemon.apply(HOUSE + devices(shape[0]))
            mine.append(_rate(load(daemon.mqtt, shape, seconds, USER)))
        for name, start in brokers().items():
            with start() as broker:
                peers[name].append(_rate(load((broker.host, broker.port), shape, seconds)))
    return mine, peers


def _rate(result: dict[str, float]) -> float:
    return result["acknowledged"] / result["seconds"]


def qos2(*, seconds: float, runs: int, as_json: bool) -> int:
    """Measure QoS 2 against QoS 1 of the same run, with clean and with persistent sessions."""
    lines: list[Line] = []
    for name, shape in SHAPES.items():
        figures: dict[str, list[float]] = {"QoS 1": [], "QoS 2": [], "QoS 2, persistent": []}
        for _ in range(runs):
            for what, more in (
                ("QoS 1", ()),
                ("QoS 2", ("--qos=2",)),
                ("QoS 2, persistent", ("--qos=2", "--persistent")),
            ):
                with penstock() as daemon:
                    daemon.apply(HOUSE + devices(shape[0]))
                    figures[what].append(_rate(load(daemon.mqtt, shape, seconds, USER, *more)))
        floor = {"QoS 1": figures["QoS 1"]}
        lines += [
            Line(f"QoS 2 {name}", "msg/s", figures["QoS 2"], floors=dict(QOS2_FLOORS)).against(floor),
            Line(f"QoS 2, persistent {name}", "msg/s", figures["QoS 2, persistent"]).against(floor),
            Line(f"QoS 1 {name}", "msg/s", figures["QoS 1"]),
        ]
    return show("qos2", {"runs": runs}, lines, as_json=as_json)


def pipeline(*, seconds: float, runs: int, as_json: bool) -> int:
    """Measure the whole way into SQLite against the ingest of the same run, and against amqtt's."""
    lines: list[Line] = []
    for name, shape in SHAPES.items():
        rows: list[float] = []
        lags: list[float] = []
        peers: dict[str, list[float]] = {"ingest": [], "amqtt": []}
        for _ in range(runs):
            with penstock() as daemon:
                daemon.apply(HOUSE + devices(shape[0]))
                peers["ingest"].append(_rate(load(daemon.mqtt, shape, seconds, USER)))
            with brokers()["amqtt"]() as broker:
                peers["amqtt"].append(_rate(load((broker.host, broker.port), shape, seconds)))
            rate, lag = _pipeline_once(shape, seconds)
            rows.append(rate)
            lags.append(lag)
        line = Line(f"pipeline {name}", "rows/s", rows, floors=dict(PIPELINE_FLOORS)).against(peers)
        late = Line(f"lag 0 after the last publish {name}", "ms", [lag * 1000 for lag in lags])
        late.note = f"at most {LAG_SECONDS:g} s{'' if late.median <= LAG_SECONDS * 1000 else ': NOT MET'}"
        lines += [line, late, *(Line(f"{peer} {name}", "msg/s", figures) for peer, figures in peers.items())]
    facts = {"p50 of one fdatasync": f"{sync_milliseconds():.2f} ms", "runs": runs}
    return show("pipeline", facts, lines, as_json=as_json)


def _pipeline_once(shape: tuple[int, int], seconds: float) -> tuple[float, float]:
    with penstock() as daemon:
        daemon.apply(HOUSE + TASK + devices(shape[0]))
        result = load(daemon.mqtt, shape, seconds, USER)
        lag = _wait_drained(daemon, int(result["acknowledged"]))
    return result["acknowledged"] / (result["seconds"] + lag), lag


def _wait_drained(daemon: Penstock, rows: int) -> float:
    began = time.perf_counter()
    while True:
        status = daemon.task("table")
        if status.get("lag") == 0 and int(str(status.get("rows", 0))) >= rows:
            return time.perf_counter() - began
        if time.perf_counter() - began > DRAIN_SECONDS:
            raise SystemExit(f"the task did not catch up: {status}")
        time.sleep(0.02)
