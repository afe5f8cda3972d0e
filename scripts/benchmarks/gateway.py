"""gateway: requests answered over 32 keep-alive connections, driven by wrk."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.benchmarks.ingest import USER, load
from scripts.benchmarks.manifests import HOUSE, ROUTES, TASK, devices
from scripts.benchmarks.peers import Running, find, free_port, listening, penstock
from scripts.benchmarks.report import Line, show

CONNECTIONS = 32
FLOORS = {"quart-trio on hypercorn": 8.0, "uvicorn": 0.6}

RAW_ASGI = """
BODY = b'{"answer":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"15")]

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
"""

QUART = """
from quart import Response
from quart_trio import QuartTrio

app = QuartTrio(__name__)

@app.get("/mock")
async def mock():
    return Response('{"answer":"ok"}', content_type="application/json")
"""


@contextmanager
def uvicorn() -> Iterator[Running]:
    """Raw ASGI on uvicorn with uvloop and httptools."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--lifespan", "off"]
    with listening(command, port, {"app.py": RAW_ASGI}) as running:
        yield running


@contextmanager
def quart() -> Iterator[Running]:
    """Quart-Trio on Hypercorn."""
    port = free_port()
    command = [sys.executable, "-m", "hypercorn", "--worker-class", "trio", "--bind", f"127.0.0.1:{port}", "app:app"]
    with listening(command, port, {"app.py": QUART}) as running:
        yield running


def requests_per_second(url: str, seconds: float) -> float:
    """Drive a URL with wrk; an answer that is not 200 ends the benchmark."""
    program = find("wrk")
    if program is None:
        raise SystemExit("this benchmark needs wrk: apt-get install wrk")
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{url}: not every answer was good:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None:
        raise SystemExit(f"wrk said nothing:\n{output}")
    return float(found.group(1))


def gateway(*, seconds: float, runs: int, as_json: bool) -> int:
    """Measure the mock route against both peers, and the data route for itself."""
    mock: list[float] = []
    data: list[float] = []
    peers: dict[str, list[float]] = {"uvicorn": [], "quart-trio on hypercorn": []}
    for _ in range(runs):
        with penstock() as daemon:
            daemon.apply(HOUSE + TASK + ROUTES + devices(20))
            load(daemon.mqtt, (20, 10), 0.2, USER)
            while daemon.task("table").get("lag") != 0:
                time.sleep(0.1)
            host, port = daemon.gateway
            mock.append(requests_per_second(f"http://{host}:{port}/mock", seconds))
            data.append(requests_per_second(f"http://{host}:{port}/lots/dev000001", seconds))
        for name, start in (("uvicorn", uvicorn), ("quart-trio on hypercorn", quart)):
            with start() as peer:
                peers[name].append(requests_per_second(f"http://{peer.host}:{peer.port}/mock", seconds))
    lines = [
        Line("penstock, mock route", "requests/s", mock, floors=dict(FLOORS)).against(peers),
        Line("penstock, data route on SQLite", "requests/s", data, note="reported"),
        *(Line(name, "requests/s", figures) for name, figures in peers.items()),
    ]
    return show("gateway", {"connections": CONNECTIONS, "runs": runs}, lines, as_json=as_json)
