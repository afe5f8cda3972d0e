"""How the command line finds a daemon, and what it says when it cannot use one."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest

from daemon.cli.client import connect
from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl

STATUS = {"instance": "i", "version": "1", "addresses": {}, "settings": {}}


def test_without_a_daemon_it_says_how_to_start_one(penstock: Penstock) -> None:
    """Exit code 3, one line, and what to do."""
    ended = penstock("status", "--data", "elsewhere")
    assert ended.code == 3
    assert ended.err == (
        "penstock: no daemon runs on the data folder elsewhere: start one with `penstock run --data elsewhere`, give "
        "another folder with --data or PENSTOCK_DATA, or name a daemon with --url\n"
    )


def test_a_daemon_that_has_gone_cannot_be_reached(penstock: Penstock, tmp_path: Path) -> None:
    """A note that was left behind leads nowhere: exit code 3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    note = {"mqtt": "", "gateway": "", "control": address, "token": "t", "pid": 7}
    (tmp_path / "daemon.json").write_text(json.dumps(note))
    ended = penstock("--data", str(tmp_path), "status")
    assert ended.code == 3
    assert f"the daemon at {address} (process 7, data folder {tmp_path}) cannot be reached: " in ended.err
    assert "start it with `penstock run --data" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_daemon_of_this_machine_is_asked_without_knowing_whom_the_world_trusts(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No authorities are read for a connection without TLS; for one that a URL names, they may be needed."""
    monkeypatch.setenv("PENSTOCK_TOKEN", "t")
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *given, **_: read.append(given))
    with connect(control.data, None):
        assert read == []
    with connect(control.data, "https://127.0.0.1:1"):
        assert len(read) == 1


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"control": 5}'])
def test_a_note_that_no_daemon_wrote_is_refused(penstock: Penstock, tmp_path: Path, note: str) -> None:
    """A broken daemon.json is told as such."""
    (tmp_path / "daemon.json").write_text(note)
    ended = penstock("status", "--data", str(tmp_path))
    assert ended.code == 3
    assert "is not what a daemon writes" in ended.err


def test_the_local_token_is_sent(penstock: Penstock, control: FakeControl) -> None:
    """The token of daemon.json opens the control API."""
    control.on("GET", "status", STATUS)
    assert penstock("status").code == 0
    assert control.requests[0].headers["Authorization"] == "Bearer local-token"


def test_a_wrong_token_is_named_by_where_it_came_from(
    penstock: Penstock, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PENSTOCK_TOKEN goes before the note's; the token itself is never shown."""
    monkeypatch.setenv("PENSTOCK_TOKEN", "wrong-one")
    ended = penstock("status")
    assert ended.code == 1
    assert ended.err.endswith("does not take the token of PENSTOCK_TOKEN\n")
    assert "wrong-one" not in ended.err
    assert control.requests[0].headers["Authorization"] == "Bearer wrong-one"


def test_a_daemon_elsewhere_is_named_by_its_url(
    penstock: Penstock, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--url needs a token of its own, before or after the command."""
    control.on("GET", "status", STATUS)
    url = f"http://{control.address}"
    assert penstock("--url", url, "status") == (2, "", "penstock: --url needs a token: set PENSTOCK_TOKEN\n")
    monkeypatch.setenv("PENSTOCK_TOKEN", "local-token")
    assert penstock("--url", url, "status").code == 0
    assert penstock("status", "--url", f"{url}/").code == 0


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://[::1", "http://x:port"])
def test_what_is_no_url_is_a_usage_error(penstock: Penstock, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Exit code 2, one line."""
    monkeypatch.setenv("PENSTOCK_TOKEN", "t")
    ended = penstock("status", "--url", url)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((500, b"<html>"), 1, "answers 500 Internal Server Error"),
        ((200, b"<html>"), 3, "does not answer as a control API does"),
        ((409, {"error_msg": "in use", "details": [{"path": "task t", "reason": "refers to it"}]}), 1,
         "penstock: in use\n  task t: refers to it\n"),
        ((400, {"error_msg": "no", "details": []}), 1, "penstock: no\n"),
        ((400, {"error_msg": "no", "details": [{"path": "$", "reason": "no"}]}), 1, "penstock: no\n"),
        ((400, {"error_msg": "no", "details": [{"path": "$.a", "reason": "no"}]}), 1, "penstock: no\n  $.a\n"),
        ((404, {"error_code": "APIC.0101", "error_msg": "The API does not exist", "request_id": "r"}), 1,
         "answers 404 Not Found, and not as a control API does; is that the right address?"),
        ((400, [1]), 1, "answers 400 Bad Request"),
    ],
)  # fmt: skip
def test_an_answer_that_is_a_problem_is_told_without_a_traceback(
    penstock: Penstock, control: FakeControl, answer: tuple[int, object], code: int, words: str
) -> None:
    """The reason and its details, or the bare status where it is not a control API's."""
    control.on("GET", "status", answer[1], answer[0])
    ended = penstock("status")
    assert ended.code == code
    assert words in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("bound", "url"),
    [("0.0.0.0:81", "http://127.0.0.1:81"), ("[::]:81", "http://[::1]:81"), ("localhost:1", "http://localhost:1")],
)
def test_an_address_of_all_interfaces_is_reached_on_loopback(tmp_path: Path, bound: str, url: str) -> None:
    """What a daemon is bound to is not always where one can connect to."""
    note = {"mqtt": "", "gateway": "", "control": bound, "token": "t", "pid": 1}
    (tmp_path / "daemon.json").write_text(json.dumps(note))
    with connect(tmp_path, None, {}) as client:
        assert client.url == url


def test_lists_are_read_page_after_page(control: FakeControl) -> None:
    """All items, however many pages."""
    for page, items in ((1, ["a", "b"]), (2, ["c"])):
        answer = {"items": [{"name": name} for name in items], "page": page, "size": 2, "total": 3}
        control.on("GET", f"topics?page={page}&size=500", answer)
    with connect(control.data, None, {}) as client:
        assert [item["name"] for item in client.items("topic")] == ["a", "b", "c"]
