"""`penstock route`, `backend` and `openapi`: what is asked of the control API, and what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl

PUBLISHED = {"route": "r", "group": "a", "environment": "dev", "version": 7, "method": "GET", "path": "/r"}
TRIED = {
    "request": {"method": "GET", "target": "/r/1?q=2", "headers": {"x-a": "b"}, "body": ""},
    "answer": {"status": 200, "headers": [["Content-Type", "text/plain"]], "body": "hello", "truncated": True},
    "reasons": ["connection db: no such table: t"],
    "steps": [{"step": "backend", "milliseconds": 0.25}],
    "milliseconds": 0.5,
}


def asked(control: FakeControl) -> object:
    return json.loads(control.requests[-1].body)


@pytest.mark.parametrize(
    ("command", "path", "body"),
    [
        (("route", "publish", "r", "-e", "dev", "-m", "why"), "routes/r/publish", {"remark": "why"}),
        (("route", "switch", "r", "7", "-e", "dev"), "routes/r/switch", {"version": 7}),
        (("backend", "publish", "r", "-e", "dev"), "backends/r/publish", {"remark": ""}),
    ],
)
def test_what_is_served_now_is_told(
    penstock: Penstock, control: FakeControl, command: tuple[str, ...], path: str, body: dict[str, object]
) -> None:
    """Route, version, environment, method and path."""
    control.on("POST", path, PUBLISHED)
    assert penstock(*command) == (0, "route r: version 7 is served in dev (GET /r)\n", "")
    assert asked(control) == {"environment": "dev", **body}


def test_a_test_shows_request_answer_and_steps(penstock: Penstock, control: FakeControl) -> None:
    """As a person reads it, and as JSON for scripts; pairs without `=` are a usage error."""
    control.on("POST", "routes/r/test?environment=RELEASE", TRIED)
    ended = penstock("route", "test", "r", "-p", "id=1", "-q", "q=2", "-H", "x-a=b", "-b", "{}", "-X", "POST")
    assert ended.code == 0
    assert ended.out.startswith("> GET /r/1?q=2\n> x-a: b\n< 200\n< Content-Type: text/plain\n<\nhello\n")
    assert "there is more of it" in ended.out
    assert "why: connection db: no such table: t\n" in ended.out
    assert "backend" in ended.out
    assert "0.250" in ended.out
    assert asked(control) == {
        "method": "POST", "parameters": {"id": "1"}, "rest": "", "query": {"q": "2"},
        "headers": {"x-a": "b"}, "body": "{}",
    }  # fmt: skip
    assert json.loads(penstock("route", "test", "r", "-o", "json").out) == TRIED
    assert penstock("route", "test", "r", "-p", "id") == (2, "", "penstock: expected NAME=VALUE, got id\n")
    control.on("POST", "backends/b/test?environment=RELEASE", TRIED)
    assert penstock("backend", "test", "b", "-i", "a=1=2").code == 0
    assert asked(control) == {"inputs": {"a": "1=2"}}


def test_versions_are_listed(penstock: Penstock, control: FakeControl) -> None:
    """The newest first, which of them is served, and why; where there are none it says what to do."""
    one = {"version": 2, "environment": "RELEASE", "published": "2026-01-01", "remark": "why", "served": True}
    control.on("GET", "routes/r/versions", {"items": [one]})
    out = penstock("route", "versions", "r").out
    assert all(word in out for word in ("2", "RELEASE", "2026-01-01", "why"))
    control.on("GET", "routes/r/versions", {"items": []})
    assert "penstock route publish r" in penstock("route", "versions", "r").err


def test_offline_and_deploy_say_what_became_of_it(penstock: Penstock, control: FakeControl) -> None:
    """And a refusal is the daemon's own word."""
    control.on("POST", "routes/r/offline", {})
    assert penstock("route", "offline", "r").out == "route r is offline in RELEASE\n"
    control.on("POST", "backends/b/deploy", {"backend": "b", "version": 4})
    assert penstock("backend", "deploy", "b").out.startswith("backend b: version 4 is deployed")
    assert penstock("backend", "deploy", "none").code == 1


def test_documents_go_out_and_come_in(penstock: Penstock, control: FakeControl, tmp_path: Path) -> None:
    """A group's document as JSON; a document's routes as a manifest on standard output."""
    control.on("GET", "api_groups/a/openapi?environment=dev", {"openapi": "3.1.0"})
    assert json.loads(penstock("openapi", "export", "a", "-e", "dev").out) == {"openapi": "3.1.0"}
    control.on("POST", "routes/import?app=a&backend=b", {"manifest": "kind: route\n", "routes": ["r"]})
    (tmp_path / "api.yaml").write_text("openapi: 3.1.0\n")
    assert penstock("openapi", "import", "api.yaml", "--app", "a", "--backend", "b").out == "kind: route\n"
    assert control.requests[-1].body == b"openapi: 3.1.0\n"
