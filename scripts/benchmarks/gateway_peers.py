"""Servers that the gateway is compared with; both answer `/mock` as its mock route does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.benchmarks.peers import Running, free_port, listening

_RAW_ASGI = """
BODY = b'{"answer":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"15")]

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
"""

_QUART = """
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
    with listening(command, port, {"app.py": _RAW_ASGI}) as running:
        yield running


@contextmanager
def quart() -> Iterator[Running]:
    """Quart-Trio on Hypercorn."""
    port = free_port()
    command = [sys.executable, "-m", "hypercorn", "--worker-class", "trio", "--bind", f"127.0.0.1:{port}", "app:app"]
    with listening(command, port, {"app.py": _QUART}) as running:
        yield running
