"""What a person sees of the demo: on a terminal, in a file, and where its daemon does not start."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from daemon.demo.lot import _last_words
from daemon.demo.run import _display, by_hand
from daemon.folder import DaemonNote

NUMBERS = {"sensors": "20", "reports received": "1,046", "lag": "0", "task": "running"}


def test_in_a_file_the_numbers_are_a_line_each_time() -> None:
    """Nothing is overwritten where it cannot be, and no control codes are left behind."""
    file = io.StringIO()
    with _display(Console(file=file)) as show:
        show(NUMBERS)
        show(NUMBERS | {"lag": "1"})
    assert file.getvalue() == (
        "sensors 20, reports received 1,046, lag 0, task running\n"
        "sensors 20, reports received 1,046, lag 1, task running\n"
    )


def test_on_a_terminal_the_numbers_stay_in_their_place() -> None:
    """Two to a row, and what follows begins on a line of its own."""
    file = io.StringIO()
    with _display(Console(file=file, force_terminal=True, width=80, color_system=None)) as show:
        show(NUMBERS)
    text = file.getvalue()
    assert "reports received   1,046" in text
    assert text.rstrip("\x1b[?25h").endswith("\n")


def test_commands_are_whole_and_words_fit_a_narrow_terminal() -> None:
    """A command that is cut or wrapped by the program cannot be copied."""
    note = DaemonNote(mqtt="127.0.0.1:1883", gateway="127.0.0.1:8080", control="127.0.0.1:8090", token="t", pid=1)
    lines = by_hand(note).splitlines()
    commands = [line for line in lines if line.startswith(("mosquitto_pub", "curl"))]
    assert len(commands) == 4
    assert "-P lot-secret-000001" in commands[0]
    assert commands[0].endswith("""-m '{"deviceId":"lot-000001","status":"0"}'""")
    assert all(len(line) < 80 for line in lines if line not in commands)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("{}\npenstock: the port is in use\n\n", "the port is in use"),
        ("", "see {folder}/daemon.log"),
    ],
)
def test_a_daemon_that_does_not_start_says_why(tmp_path: Path, log: str, words: str) -> None:
    """Its last line, not only where to look for it."""
    (tmp_path / "daemon.log").write_text(log)
    assert _last_words(tmp_path / "daemon.log") == words.format(folder=tmp_path)
