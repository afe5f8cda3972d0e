"""A small control API that answers what a test tells it to, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeControl:
    """Answers by method and path (with query); remembers what was asked."""

    data: Path
    address: str = ""
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def on(self, method: str, path: str, answer: Any, status: int = 200) -> None:
        """Answer like this from now on."""
        self.answers[method, f"/api/v1/{path}"] = status, answer

    def lists(self, kind: str, *items: dict[str, Any]) -> None:
        """Answer a list of a kind that fits on one page."""
        page = {"items": list(items), "page": 1, "size": 500, "total": len(items)}
        self.on("GET", f"{kind}s?page=1&size=500", page)


@contextmanager
def fake_control(data: Path) -> Iterator[FakeControl]:
    """Serve on a free port, and write the note that the command line looks for."""
    control = FakeControl(data)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            control.requests.append(Request(self.command, self.path, dict(self.headers), body))
            # To log in takes no token.
            if not self.path.endswith("/tokens") and self.headers.get("Authorization") != "Bearer local-token":
                self.reply(401, {"error_code": "APIC.0301", "error_msg": "no", "request_id": "1", "details": []})
                return
            missing = (
                404,
                {"error_code": "APIC.0101", "error_msg": f"there is no {self.path}", "request_id": "1", "details": []},
            )
            self.reply(*control.answers.get((self.command, self.path), missing))

        def reply(self, status: int, value: Any) -> None:
            text = value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names http.server calls

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    control.address = f"127.0.0.1:{server.server_port}"
    note = {"mqtt": "127.0.0.1:1", "gateway": "127.0.0.1:2", "control": control.address, "token": "local-token"}
    (data / "daemon.json").write_text(json.dumps(note | {"pid": 42}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield control
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
