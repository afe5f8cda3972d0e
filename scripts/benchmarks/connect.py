"""connect: how fast devices are let in, all of them at once, each with its name and secret."""

from __future__ import annotations

import json
import subprocess
import sys

from scripts.benchmarks.brokers import brokers
from scripts.benchmarks.ingest import USER
from scripts.benchmarks.manifests import HOUSE, devices
from scripts.benchmarks.peers import penstock
from scripts.benchmarks.report import Line, show

CONNECTIONS = 5_000
PER_DEVICE = 5
LEAST_PER_SECOND = 2_000.0
PEERS = ("amqtt", "mosquitto")


def storm(address: tuple[str, int], user: str = "") -> dict[str, float]:
    """Run the storm in a process of its own and return what it says."""
    command = [sys.executable, "-m", "scripts.benchmarks.connect_load", address[0], str(address[1])]
    command += [f"--connections={CONNECTIONS}", f"--user={user}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate("GO\n")
    if process.returncode:
        raise SystemExit(f"the storm failed with exit code {process.returncode}")
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def connect(*, seconds: float, runs: int, as_json: bool) -> int:  # noqa: ARG001 - a storm lasts as long as it lasts
    """Let 5,000 clients connect, peers in turn, `runs` times."""
    mine: list[float] = []
    slowest: list[float] = []
    peers: dict[str, list[float]] = {name: [] for name in brokers() if name in PEERS}
    for _ in range(runs):
        with penstock() as daemon:
            daemon.apply(HOUSE + devices(CONNECTIONS // PER_DEVICE))
            result = storm(daemon.mqtt, USER)
            mine.append(result["connected"] / result["seconds"])
            slowest.append(result["slowest"] * 1000)
        for name, figures in peers.items():
            with brokers()[name]() as broker:
                result = storm((broker.host, broker.port))
                figures.append(result["connected"] / result["seconds"])
    line = Line("penstock", "connects/s", mine, note=f"at least {LEAST_PER_SECOND:,.0f}/s").against(peers)
    line.note += "" if line.median >= LEAST_PER_SECOND else ": NOT MET"
    lines = [
        line,
        Line("slowest of all", "ms", slowest, note="from connect to CONNACK, with 100 on their way at a time"),
        *(Line(peer, "connects/s", figures) for peer, figures in peers.items()),
    ]
    facts: dict[str, object] = {"connections": CONNECTIONS, "peers": "without user names", "runs": runs}
    return show("connect", facts, lines, as_json=as_json) or int(line.median < LEAST_PER_SECOND)
