"""Clients in an environment of their own: installed once into a cache folder, run as a script of one visit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.clients.visits import SECRET, Place, Report, Visit

_HERE = Path(__file__).parent
_MQTT_JS, _GMQTT = "mqtt@5.16.0", "gmqtt==0.7.0"
_SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "websocket": "ws"}


def cache_folder() -> Path:
    """Where what is installed stays from run to run: `PENSTOCK_TEST_CACHE`, or a folder of the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PENSTOCK_TEST_CACHE") or Path(home) / "penstock-tests")


class MqttJs:
    """MQTT.js, on Node.js."""

    levels = ("3.1", "3.1.1", "5")
    transports = ("tcp", "tls", "websocket")

    def __init__(self) -> None:
        if shutil.which("node") is None or shutil.which("npm") is None:
            pytest.skip("MQTT.js needs Node.js and npm, which are not installed")
        self._folder = cache_folder() / _MQTT_JS
        if not (self._folder / "node_modules" / "mqtt").exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            install = ["npm", "install", "--prefix", str(self._folder), "--no-audit", "--no-fund", _MQTT_JS]
            _install("MQTT.js", install)

    def visit(self, place: Place, visit: Visit) -> Report:
        """As `Client.visit`."""
        return _run(
            ["node", str(_HERE / "mqttjs_visit.js")], place, visit, NODE_PATH=str(self._folder / "node_modules")
        )


class Gmqtt:
    """gmqtt, a client for asyncio."""

    levels = ("3.1.1", "5")
    transports = ("tcp", "tls")

    def __init__(self) -> None:
        folder = cache_folder() / f"{_GMQTT}-{sys.version_info.major}.{sys.version_info.minor}"
        self._python = folder / "bin" / "python"
        # The mark comes last: an installation that was cut short is made again.
        mark = folder / "installed"
        if not mark.exists():
            venv.create(folder, clear=True, with_pip=True)
            _install("gmqtt", [str(self._python), "-m", "pip", "install", "--quiet", _GMQTT])
            mark.touch()

    def visit(self, place: Place, visit: Visit) -> Report:
        """As `Client.visit`."""
        return _run([str(self._python), "-I", str(_HERE / "gmqtt_visit.py")], place, visit)


def _install(name: str, command: list[str]) -> None:
    """Install it, or skip what needs it, by name: there is not a network everywhere."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} could not be installed in time")
    if done.returncode:
        pytest.skip(f"{name} could not be installed: {done.stderr.strip()[-300:]}")


def _run(command: list[str], place: Place, visit: Visit, **environment: str) -> Report:
    """Run a script that takes a visit as JSON, and prints its report as JSON."""
    host, port = place.address(visit.transport)
    asked = {
        "host": host,
        "port": port,
        "url": f"{_SCHEMES[visit.transport]}://{host}:{port}" + ("/mqtt" if visit.transport == "websocket" else ""),
        "authority": str(place.authority) if visit.transport == "tls" else None,
        "client_id": visit.name,
        "username": visit.username,
        "password": SECRET,
        "level": {"3.1": 3, "3.1.1": 4, "5": 5}[visit.level],
        "kept": visit.kept,
        "topic": visit.topic,
        "subscribe": visit.subscribe,
        "publish": visit.publish,
        "hear": visit.hear,
    }
    done = subprocess.run(
        [*command, json.dumps(asked)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, f"{visit}: {done.stderr}"
    told = json.loads(done.stdout)
    return Report(told["present"], told["heard"])
