"""The demo as a person runs it."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from actors.errors import ConfigurationError
from config.ports import port_variables
from daemon.demo.lot import MARK, fresh_folder, manifest, secrets
from daemon.demo.run import Outcome, _differences, by_hand
from daemon.folder import DaemonNote, claimed

NOTE = DaemonNote(mqtt="127.0.0.1:1", gateway="127.0.0.1:2", control="127.0.0.1:3", token="t", pid=1)


@contextlib.contextmanager
def usual_ports_taken() -> Iterator[None]:
    """Hold the usual ports; those that somebody else holds are taken anyway."""
    with contextlib.ExitStack() as held:
        for port in port_variables().values():
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


def test_the_demo_proves_that_nothing_was_lost(tmp_path: Path) -> None:
    """Where the usual ports are taken it uses others; its commands can be copied; it ends with 0 and one JSON line."""
    command = [sys.executable, "-m", "daemon.cli.main", "demo", "--for", "2", "--sensors", "5", "--json"]
    command += ["--data", str(tmp_path)]
    with (
        usual_ports_taken(),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo,
    ):
        assert demo.stderr is not None
        for line in demo.stderr:
            if line.startswith(("mosquitto_pub ", "curl ")) and shutil.which(line.split()[0]):
                assert ":1883" not in line
                done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=10, check=False)
                assert done.returncode == 0, done.stderr
                assert "error_code" not in done.stdout
        assert demo.stdout is not None
        lines = demo.stdout.read().splitlines()
        assert demo.wait(30) == 0
    (outcome,) = [json.loads(line) for line in lines]
    assert list(outcome) == ["published", "acknowledged", "rows", "free_expected", "free_answered", "lag"]
    assert outcome["lag"] == 0
    assert outcome["rows"] >= outcome["acknowledged"] > 0
    assert outcome["free_answered"] == outcome["free_expected"]
    assert not (tmp_path / "demo" / "daemon.json").exists()


def test_commands_are_printed_whole_on_a_narrow_terminal() -> None:
    """Each command is one line, however narrow the terminal: what is wrapped or cut cannot be copied."""
    screen = io.StringIO()
    Console(file=screen, width=30).print(by_hand(NOTE), soft_wrap=True, markup=False, highlight=False)
    commands = [shlex.split(line) for line in screen.getvalue().splitlines() if line.startswith(("mosquitto", "curl"))]
    assert [command[0] for command in commands] == ["mosquitto_pub", "curl", "curl", "curl"]
    assert commands[0][-1] == '{"deviceId":"lot-000001","status":"0"}'
    assert commands[2][-1] == "http://127.0.0.1:2/parking/lots/lot-000001"


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """What no demo has put there is left alone, and the reason says what to do."""
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(ConfigurationError, match="not a demo's"):
        fresh_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_demo_begins_anew_each_time(tmp_path: Path) -> None:
    """A folder of an earlier demo is emptied."""
    folder = tmp_path / "demo"
    fresh_folder(folder)
    (folder / "topics").mkdir()
    (folder / "parking.db").touch()
    fresh_folder(folder)
    assert (folder / MARK).exists()
    assert not {"topics", "parking.db"} & {path.name for path in folder.iterdir()}


def test_a_demo_that_runs_is_left_alone(tmp_path: Path) -> None:
    """A second demo on the same folder does not delete it under the first one."""
    fresh_folder(tmp_path / "demo")
    (tmp_path / "demo" / "parking.db").touch()
    with claimed(tmp_path / "demo"), pytest.raises(ConfigurationError, match="another daemon"):
        fresh_folder(tmp_path / "demo")
    assert (tmp_path / "demo" / "parking.db").exists()


def test_more_sensors_are_devices_like_those_of_the_example() -> None:
    """The example stays as it is; each further sensor is one more device with the secret that it logs in with."""
    text = manifest(4)
    for name, secret in secrets(4).items():
        assert text.count(f"name: {name}") == 1
        assert text.count(f"secret: {secret}") == 1


class Lot:
    def status_of(self, sensor: str) -> str | None:
        return {"lot-000001": "0", "lot-000002": "1"}.get(sensor)


@pytest.mark.parametrize(
    ("outcome", "states", "said"),
    [
        (Outcome(9, 9, 9, 1, 1, 0), {"lot-000001": "0", "lot-000002": "1"}, ""),
        (Outcome(9, 9, 9, 1, 1, 2), {}, "lag is 2, not 0"),
        (Outcome(9, 9, 8, 1, 1, 0), {}, "8 rows were written for 9 acknowledged reports"),
        (Outcome(9, 9, 9, 1, None, 0), {}, "the gateway answers None free lots, 1 are free"),
        (Outcome(9, 9, 9, 1, 1, 0), {"lot-000001": "1"}, "the row of lot-000001 says 0"),
        (Outcome(9, 9, 9, 1, 1, 0), {"lot-000003": "1"}, "the row of lot-000003 says None"),
    ],
)
def test_whatever_does_not_add_up_is_said(outcome: Outcome, states: dict[str, str], said: str) -> None:
    """Lag, missing rows, a wrong answer and a wrong row are each told; where all is right nothing is."""
    wrong = "; ".join(_differences(outcome, Lot(), states))  # type: ignore[arg-type]
    assert said in wrong
    assert bool(wrong) == bool(said)
