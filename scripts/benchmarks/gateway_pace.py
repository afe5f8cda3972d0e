"""gateway: latencies at a constant rate: of a gateway at peace, and of one whose routes change meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from scripts.benchmarks import gateway_manifests
from scripts.benchmarks.figures import Figures
from scripts.benchmarks.peers import Penstock, penstock
from scripts.benchmarks.raw_requests import get, save
from scripts.benchmarks.report import Line
from scripts.benchmarks.wrk import CONNECTIONS, drive, requests_per_second

MOST_MILLISECONDS = 25.0
TIMES_SLOWER = 2.0
CHANGES_A_SECOND = 5.0
MOCK = [get("/mock")]
_TURN_SECONDS = 2.0


def measure(seconds: float, figures: Figures) -> None:
    """The top rate; half of it at peace and while another route changes, in turn; and wrk while it does."""
    with penstock() as daemon:
        daemon.apply(gateway_manifests.callers() + gateway_manifests.changing(0))
        top = max(requests_per_second(daemon.gateway, MOCK, seconds, connections) for connections in CONNECTIONS)
        figures.add("half", top / 2)
        made = 0
        for _ in range(max(1, round(2 * seconds / _TURN_SECONDS))):
            _keep(figures, "at peace", constant_rate(daemon.gateway, MOCK, top / 2, _TURN_SECONDS))
            with Changes(daemon, made).going_on() as changes:
                _keep(figures, "while changing", constant_rate(daemon.gateway, MOCK, top / 2, _TURN_SECONDS))
            made = changes.made
        with Changes(daemon, made).going_on() as changes:
            driven = drive(daemon.gateway, MOCK, seconds, max(CONNECTIONS))
        figures.add("changes", changes.made)
        figures.add("wrk while changing", driven.rate)
        figures.add("failed under wrk", driven.failed)


def _keep(figures: Figures, name: str, told: dict[str, Any]) -> None:
    figures.add(f"p99 {name}", told["latency"]["p99"])
    figures.add(f"p50 {name}", told["latency"]["p50"])
    figures.add(f"late {name}", told["late"]["p99"])
    figures.add(f"failed {name}", told["failed"])


class Changes:
    """Changes one route over and over: applied anew, offline, published; `made` counts on from those made before."""

    def __init__(self, daemon: Penstock, made: int) -> None:
        self.made = made
        self._daemon = daemon
        self._caller = httpx.Client(base_url="http://{}:{}".format(*daemon.gateway))
        self._over = threading.Event()
        self._problem = ""

    @contextmanager
    def going_on(self) -> Iterator[Changes]:
        """Change for as long as the block lasts; a change that fails, or is not served, ends the benchmark."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()
            self._caller.close()
        if self._problem:
            raise SystemExit(self._problem)

    def _run(self) -> None:
        try:
            while not self._over.wait(1 / CHANGES_A_SECOND):
                self._change(self.made)
                self.made += 1
        except (httpx.HTTPError, SystemExit) as error:
            self._problem = f"the route could not be changed: {error}"

    def _change(self, number: int) -> None:
        """Of three changes one makes a new version, one takes the route away, and one brings it back."""
        match number % 3:
            case 0:
                self._daemon.apply(gateway_manifests.changing(number))
                self._expect(httpx.codes.OK, f"version-{number}")
            case 1:
                self._publishing("offline")
                self._expect(httpx.codes.NOT_FOUND)
            case _:
                self._publishing("publish")
                self._expect(httpx.codes.OK)

    def _publishing(self, verb: str) -> None:
        path = f"/api/v1/routes/{gateway_manifests.CHANGING}/{verb}"
        self._daemon.control.post(path, json={"environment": "RELEASE"}).raise_for_status()

    def _expect(self, status: int, text: str = "") -> None:
        answer = self._caller.get(f"/{gateway_manifests.CHANGING}")
        if answer.status_code != status or text not in answer.text:
            raise SystemExit(f"expected {status} {text}, and was answered {answer.status_code} {answer.text}")


def lines(figures: Figures) -> list[Line]:
    """The p99 at peace held to its bound, and that while a route changes to the one at peace."""
    rate = f"at {_median(figures, 'half'):,.0f} requests/s, half of the top rate"
    changes = f"at most {CHANGES_A_SECOND:g} changes a second, {_median(figures, 'changes'):,.0f} in all"
    peace = Line("mock, p99 at half of the top rate", "ms", figures["p99 at peace"], most=MOST_MILLISECONDS)
    peace.note = f"{rate}; {_details(figures, 'at peace')}"
    moving = Line("the same while another route changes", "ms", figures["p99 while changing"])
    moving.ceilings = {"at peace": TIMES_SLOWER}
    moving.note = f"{changes}; {_details(figures, 'while changing')}"
    failed = sum(sum(figures[f"failed {when}"]) for when in ("at peace", "while changing", "under wrk"))
    wrk = Line(f"wrk meanwhile, {max(CONNECTIONS)} connections", "requests/s", figures["wrk while changing"])
    return [
        peace,
        moving.against({"at peace": figures["p99 at peace"]}),
        wrk,
        Line("requests that failed in all of this", "requests", [failed], most=0),
    ]


def constant_rate(address: tuple[str, int], requests: list[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """Ask at a constant rate from a process of its own; returns what it says (`scripts.benchmarks.constant_rate`)."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        file = save(requests, Path(folder, "requests"))
        command = [sys.executable, "-m", "scripts.benchmarks.constant_rate", address[0], str(address[1]), str(file)]
        command += [f"--rate={rate}", f"--seconds={seconds}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise SystemExit(f"the client at a constant rate failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _details(figures: Figures, name: str) -> str:
    p50, late = _median(figures, f"p50 {name}"), _median(figures, f"late {name}")
    return f"p50 {p50:.1f} ms, of the p99 the client itself at most {late:.1f} ms"


def _median(figures: Figures, name: str) -> float:
    return Line("", "", figures[name]).median
