"""`penstock tail` and `penstock top` beside a living daemon, as a person calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.cli.tail import text_of
from tests.fakes.daemon import ChildDaemon

HOUSE = """
{kind: app, name: house, app_codes: [code-0123456789abcdef]}
---
{kind: topic, app: house, name: reports, sync: false}
"""


@pytest.fixture(scope="module", name="daemon")
def fixture_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    with ChildDaemon(tmp_path_factory.mktemp("tail") / "data") as daemon:
        daemon.apply(HOUSE)
        yield daemon


def produce(daemon: ChildDaemon, content: object, key: str) -> None:
    with daemon.topics(headers={"X-Apig-AppCode": "code-0123456789abcdef"}) as client:
        body = {"messages": [{"content": content, "id": "1", "key": key}]}
        assert client.post("/v1/topic/reports/messages", json=body).json()[0]["state"] == "success"


@contextmanager
def following(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "daemon.cli.main", "tail", *arguments, "--data", str(data)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=os.environ.copy()) as process:
        try:
            yield process
        finally:
            process.kill()


def test_messages_are_shown_as_they_come_until_ctrl_c(daemon: ChildDaemon) -> None:
    """A line of JSON each, of one key only; Ctrl-C ends it at once, with nothing said and exit code 0."""
    produce(daemon, {"n": 0}, "a")
    with following(daemon.data, "reports", "--from", "earliest", "--where", "key=a", "-o", "json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["value"] == {"n": 0}
        produce(daemon, {"n": 1}, "b")
        produce(daemon, {"n": 2}, "a")
        assert json.loads(process.stdout.readline())["value"] == {"n": 2}
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_whoever_reads_the_output_may_leave(daemon: ChildDaemon) -> None:
    """Behind `| head` it ends without a word once nobody reads any more."""
    produce(daemon, "x", "a")
    with following(daemon.data, "reports", "--from", "earliest") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        produce(daemon, "y", "a")
        assert process.wait(5) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("tail", "none"), 1, "there is no topic none"),
        (("tail", "reports", "--from", "soon"), 1, "no point in time"),
        (("tail", "reports", "--where", "color=red"), 2, "expected one of key=..."),
        (("tail", "reports", "--where", "key=a", "--where", "key=b"), 2, "given twice"),
        (("top", "--json"), 2, "--once"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    daemon: ChildDaemon, arguments: tuple[str, ...], code: int, word: str
) -> None:
    """The reason, and the exit code of every other command for it."""
    done = daemon.penstock(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("penstock: ")
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_daemon_that_is_not_there_is_said_to_be_unreachable(tmp_path: Path) -> None:
    """Exit code 3, as for every other command."""
    with following(tmp_path, "reports") as process:
        assert process.wait(20) == 3


def test_top_is_for_scripts_and_for_people(daemon: ChildDaemon) -> None:
    """`--once --json` is what the control API says; `--once` is a page that begins with what is to blame."""
    shown = json.loads(daemon.penstock("top", "--once", "--json").stdout)
    assert shown["blocking"] == []
    assert shown["actors"]["name"] == "penstock"
    page = daemon.penstock("top", "--once")
    assert page.returncode == 0
    assert page.stdout.startswith("nothing holds anything back")
    assert "reports-0" in page.stdout


def test_a_message_is_one_line_whatever_it_holds() -> None:
    """Nothing in a message can end the line or move the cursor; what the daemon tells is shown by its name."""
    message = {
        "partition": 0,
        "offset": 7,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "key": "a\n\x1b[2J",
        "value": "two\nlines",
        "value_format": "text",
    }
    assert text_of(message) == "2026-03-01T12:00:00.000Z  0@7  a\\n\\u001b[2J  two\\nlines"
    assert text_of({**message, "key": None, "value": {"n": 1}, "value_format": "json"}).endswith('  -  {"n": 1}')
    assert text_of({"missed": 12}) == "missed: 12"
