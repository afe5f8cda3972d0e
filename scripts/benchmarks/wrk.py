"""wrk, on one core, over so many keep-alive connections."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from scripts.benchmarks.figures import Load
from scripts.benchmarks.peers import find
from scripts.benchmarks.raw_requests import save

CONNECTIONS = (32, 256)

# Sends the requests of a file, one after the other and over again.
_SCRIPT = """
local requests, at = {}, 0

function init(arguments)
    local file = assert(io.open(arguments[1], "rb"))
    for request in (file:read("*a") .. "\\0"):gmatch("(%Z*)%z") do requests[#requests + 1] = request end
    file:close()
end

function request()
    at = at % #requests + 1
    return requests[at]
end
"""


class Driven(NamedTuple):
    """What wrk says of a run; `failed` requests had another status than 2xx or 3xx, or no answer: `said` tells."""

    rate: float
    failed: int
    said: str


def drive(address: tuple[str, int], requests: list[bytes], seconds: float, connections: int) -> Driven:
    """Send these requests, over and over, as fast as they are answered, for whole seconds."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        script, file = Path(name, "requests.lua"), save(requests, Path(name, "requests"))
        script.write_text(_SCRIPT)
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"-s{script}"]
        url = f"http://{address[0]}:{address[1]}"
        command = [_program(), *options, url, "--", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30)
    return read_output(done.stdout)


def requests_per_second(address: tuple[str, int], requests: list[bytes], seconds: float, connections: int) -> float:
    """Likewise; an answer that is not good ends the benchmark."""
    driven = drive(address, requests, seconds, connections)
    if driven.failed:
        raise SystemExit(f"{driven.failed} requests like {requests[0]!r} failed:\n{driven.said}")
    return driven.rate


def wrk(address: tuple[str, int], requests: list[bytes], connections: int) -> Load:
    """These requests as a load for so many seconds."""
    return lambda seconds: requests_per_second(address, requests, seconds, connections)


def read_output(output: str) -> Driven:
    """Read the report of wrk; one without a rate ends the benchmark."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if rate is None:
        raise SystemExit(f"wrk said nothing:\n{output}")
    statuses = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = [*(statuses.groups() if statuses else ()), *(errors.groups() if errors else ())]
    return Driven(float(rate.group(1)), sum(map(int, failed)), output)


def _program() -> str:
    program = find("wrk")
    if program is None:
        raise SystemExit("this benchmark needs wrk: apt-get install wrk")
    return program
