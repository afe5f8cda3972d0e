"""fanout: one publisher, a thousand subscribers, a tenth of which do not read."""

from __future__ import annotations

import json
import subprocess
import sys

from scripts.benchmarks.brokers import brokers
from scripts.benchmarks.idle import anonymous_kilobytes, raise_limit
from scripts.benchmarks.manifests import HOUSE, devices
from scripts.benchmarks.peers import penstock
from scripts.benchmarks.report import Line, show

SUBSCRIBERS = 1_000
STUCK = 100
FLOORS = {"amqtt": 1.5}
PEERS = ("amqtt", "mosquitto")
# What a subscriber that does not read may cost the daemon: its bound for QoS 0, that for QoS 1, and what is around it.
MOST_MEGABYTES = 64.0
DEVICE = ("--publisher=bench/dev000001:secret-dev000001", "--subscriber=bench:bench-secret")


def fanout(*, seconds: float, runs: int, as_json: bool) -> int:
    """Measure what reaches those who read, with QoS 0 and 1, and how the daemon's memory grows meanwhile."""
    raise_limit()
    lines: list[Line] = []
    for qos in (0, 1):
        mine: list[float] = []
        grown: list[float] = []
        peers: dict[str, list[float]] = {name: [] for name in brokers() if name in PEERS}
        for _ in range(runs):
            with penstock() as daemon:
                daemon.apply(HOUSE + devices(1))
                rate, kilobytes = _measure(daemon.mqtt, daemon.pid, qos, seconds, *DEVICE)
                mine.append(rate)
                grown.append(kilobytes / 1024)
            for name, start in brokers().items():
                if name in peers:
                    with start() as broker:
                        peers[name].append(_measure((broker.host, broker.port), broker.pid, qos, seconds)[0])
        lines.append(Line(f"penstock QoS {qos}", "deliveries/s", mine, floors=dict(FLOORS)).against(peers))
        memory = Line(f"penstock QoS {qos} grows by", "MB", grown, note=f"at most {MOST_MEGABYTES:g} MB")
        memory.note += "" if max(grown) <= MOST_MEGABYTES else ": NOT MET"
        lines += [memory, *(Line(f"{peer} QoS {qos}", "deliveries/s", figures) for peer, figures in peers.items())]
    facts: dict[str, object] = {"subscribers": SUBSCRIBERS, "of which do not read": STUCK, "runs": runs}
    code = show("fanout", facts, lines, as_json=as_json)
    return code or int(any("NOT MET" in line.note for line in lines))


def _measure(address: tuple[str, int], pid: int, qos: int, seconds: float, *who: str) -> tuple[float, float]:
    """Deliveries a second, and by how many KB the broker's memory grew from before the first message to the last."""
    command = [sys.executable, "-m", "scripts.benchmarks.fanout_load", address[0], str(address[1]), f"--qos={qos}"]
    command += [f"--subscribers={SUBSCRIBERS}", f"--stuck={STUCK}", f"--seconds={seconds}", *who]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None  # noqa: S101 - asked for
        assert process.stdout is not None  # noqa: S101 - likewise
        process.stdout.readline()
        before = anonymous_kilobytes(pid)
        process.stdin.write("GO\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        grown = anonymous_kilobytes(pid) - before
        process.communicate("END\n")
    if not answer:
        raise SystemExit(f"the load failed with exit code {process.returncode}")
    result = json.loads(answer)
    return result["delivered"] / result["seconds"], grown
