"""mosquitto_pub and mosquitto_sub, as people use them in a shell."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.clients.visits import SECRET, Place, Report, Visit

_LEVELS = {"3.1": "mqttv31", "3.1.1": "mqttv311", "5": "mqttv5"}
_SECONDS = "10"


class Mosquitto:
    """Each of subscribing, publishing and waiting is a command, with a connection of its own."""

    levels = tuple(_LEVELS)
    transports = ("tcp", "tls")

    def __init__(self) -> None:
        if shutil.which("mosquitto_pub") is None:
            pytest.skip("mosquitto_pub is not installed (Debian: mosquitto-clients)")

    def visit(self, place: Place, visit: Visit) -> Report:
        """As `Client.visit`."""
        common = _common(place, visit)
        listener = ["mosquitto_sub", *common, "-i", visit.name, "-q", "2", "-W", _SECONDS]
        if visit.kept:
            listener += ["-c", "-x", "3600"] if visit.level == "5" else ["-c"]
        if visit.subscribe:
            _run([*listener, "-E"])
        for payload, qos in visit.publish:
            _run(["mosquitto_pub", *common, "-i", f"{visit.name}-pub", "-q", str(qos), "-m", payload])
        if not visit.hear:
            return Report(None, [])
        return Report(None, _run([*listener, "-C", str(visit.hear)]).splitlines())


def _common(place: Place, visit: Visit) -> list[str]:
    host, port = place.address(visit.transport)
    believe = ["--cafile", str(place.authority)] if visit.transport == "tls" else []
    login = ["-u", visit.username, "-P", SECRET]
    return ["-h", host, "-p", str(port), "-V", _LEVELS[visit.level], "-t", visit.topic, *login, *believe]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
