"""The life of the process, seen from outside: starts that fail, signals, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from actors.wire.mqtt import encode
from daemon.folder import DaemonNote
from tests.fakes.daemon import FREE_PORTS, ChildDaemon
from tests.fakes.forked import run_forked
from tests.fakes.numbered import SECRET, check_topic, manifest, stored_reports
from tests.fakes.publisher import publishers

CONFIGURATION = 78
SLOW_ROUTE = """
kind: route
app: house
name: slow
request: {method: GET, path: /slow}
auth: none
backend:
  data:
    connection: sink
    sql: "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500000000) SELECT COUNT(*) FROM c"
"""


def refused_start(data: Path, *arguments: str, **environment: str) -> str:
    """Start a daemon that must not start; returns the one line that it says."""
    ended = run_forked(["run", "--data", str(data), *arguments], os.environ | FREE_PORTS | environment, timeout=30)
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert ended.returncode == CONFIGURATION, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "exception" not in ended.stderr
    assert said[0].startswith("penstock: ")
    assert not (data / "daemon.json").exists()
    return "\n".join(said)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ChildDaemon]:
    with ChildDaemon(tmp_path / "data") as one:
        yield one


# --- starts that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "listener", ["mqtt__listen", "mqtt__tls", "mqtt__websocket", "gateway__listen", "control__listen"]
)
def test_a_port_in_use_is_one_clear_line(tmp_path: Path, listener: str) -> None:
    """Each listener names its setting and the port that somebody else has, and the exit code says configuration."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused_start(tmp_path / "data", **{f"PENSTOCK_{listener.upper()}__PORT": port})
    assert listener.replace("__", ".") in line
    assert port in line
    assert "\n" not in line


def test_a_data_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    """A folder below a file cannot be made: the line names it and says what to give instead."""
    (tmp_path / "file").touch()
    line = refused_start(tmp_path / "file" / "data")
    assert "cannot be written (Not a directory)" in line
    assert "--data" in line
    assert "\n" not in line


def test_a_second_daemon_on_a_folder_is_refused(daemon: ChildDaemon) -> None:
    """The line names the process that has the folder; the first daemon's note stays as it is."""
    command = [sys.executable, "-m", "daemon.cli.main", "run", "--data", str(daemon.data)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == CONFIGURATION
    assert f"process {daemon.pid}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert msgspec.json.decode((daemon.data / "daemon.json").read_bytes(), type=DaemonNote) == daemon.note


def test_broken_settings_are_told_with_line_and_path(tmp_path: Path) -> None:
    """Everything that is wrong in a settings file is told at once, with file, line, path and reason."""
    settings = tmp_path / "penstock.yaml"
    settings.write_text("mqtt:\n  max_connections: 0\nlogging: {level: loud}\n")
    said = refused_start(tmp_path / "data", "--config", str(settings))
    assert f"{settings}:2" in said
    assert "mqtt.max_connections" in said
    assert "logging.level" in said


def test_a_bad_override_names_its_variable(tmp_path: Path) -> None:
    """A setting from the environment that cannot be used is told by the name of its variable."""
    assert "PENSTOCK_DRAIN_SECONDS" in refused_start(tmp_path / "data", PENSTOCK_DRAIN_SECONDS="soon")


def test_a_lost_key_says_how_to_go_on_and_that_way_works(tmp_path: Path) -> None:
    """Without its key the daemon names `--reissue-secrets`; so started, it knows nobody until secrets are applied."""
    data = tmp_path / "data"
    with ChildDaemon(data) as daemon:
        daemon.apply(manifest(["a"]))
        assert daemon.stop() == 0
        (data / "instance.key").unlink()
        line = refused_start(data)
        assert "instance.key" in line
        assert "penstock run --reissue-secrets" in line
        daemon.arguments = ("--reissue-secrets",)
        daemon.start()
        assert _connect(daemon, SECRET) != 0
        daemon.apply(manifest(["a"]))
        assert _connect(daemon, SECRET) == 0


def _connect(daemon: ChildDaemon, secret: str) -> int:
    """The code of the CONNACK."""
    with socket.create_connection(daemon.mqtt(), timeout=10) as connection:
        connection.sendall(encode.connect("a", username="sensor/a", password=secret.encode()))
        return connection.recv(4)[3]


# --- signals -------------------------------------------------------------------------------------------------------


def test_sigterm_drains_under_load(daemon: ChildDaemon) -> None:
    """Under load SIGTERM ends the daemon with 0: what was acknowledged is stored, and the note is gone."""
    daemon.apply(manifest(["a", "b"]))
    for private in ("daemon.json", "instance.key", "penstock.db"):
        assert stat.S_IMODE((daemon.data / private).stat().st_mode) == 0o600
    acknowledged = dict.fromkeys("ab", 0)
    with publishers(daemon.mqtt(), acknowledged):
        time.sleep(0.5)
        assert daemon.stop() == 0
    assert min(acknowledged.values()) > 0
    check_topic(stored_reports(daemon.data), acknowledged)
    assert not (daemon.data / "daemon.json").exists()
    assert "did not drain in time" not in daemon.log.read_text()


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[ChildDaemon]:
    """A daemon whose gateway works on a request that takes far longer than a drain."""
    with ChildDaemon(tmp_path / "data", PENSTOCK_DRAIN_SECONDS="1") as one:
        one.apply(f"{manifest(['a'])}---{SLOW_ROUTE}")
        with socket.create_connection(one.note.gateway.rsplit(":", 1)) as caller:  # type: ignore[union-attr,arg-type]
            caller.sendall(b"GET /slow HTTP/1.1\r\nHost: house\r\n\r\n")
            time.sleep(0.2)
            yield one


def test_a_drain_has_a_deadline(busy: ChildDaemon) -> None:
    """What has not drained within `drain_seconds` is cut off: one line, and an exit code that is not 0."""
    began = time.monotonic()
    assert busy.stop() == 1
    assert 0.9 < time.monotonic() - began < 5
    last = busy.log.read_text().splitlines()[-1]
    assert last.startswith("penstock: cut off: not everything had drained within drain_seconds (1)")
    assert "Traceback" not in busy.log.read_text()


def test_a_second_signal_does_not_wait(busy: ChildDaemon) -> None:
    """A second SIGTERM or Ctrl-C cuts the drain off at once."""
    busy.send(signal.SIGTERM)
    busy.wait_log("daemon drains")
    busy.send(signal.SIGINT)
    assert busy.wait(5) == 1
    assert "penstock: cut off: a second SIGINT came" in busy.log.read_text()


def test_a_thread_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    """Where a disk does not answer, nothing can be cancelled: the process ends all the same, and says why."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ChildDaemon(tmp_path / "data", PENSTOCK_DRAIN_SECONDS="0.2") as daemon:
        with daemon.control() as client, pytest.raises(httpx.ReadTimeout):
            # Reading this secret never ends: nobody writes into the pipe.
            client.post("/api/v1/apply", content=f"kind: app\nname: a\nsecret: {{file: {fifo}}}\n", timeout=0.5)
        assert daemon.stop(15) == 1
        assert "daemon ends hard" in daemon.log.read_text()


def test_sighup_reads_settings_anew(tmp_path: Path) -> None:
    """Logging and the drain's deadline follow at once, and in the status; others are named; a broken file is held."""
    settings = tmp_path / "penstock.yaml"
    settings.write_text("logging: {level: error}\n")
    daemon = ChildDaemon(tmp_path / "data")
    daemon.arguments = ("--config", str(settings))
    with daemon:
        settings.write_text("logging: {level: info}\ndrain_seconds: 7\nlog: {flush_interval: 3}\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_log("settings read anew")
        line = json.loads(next(line for line in daemon.log.read_text().splitlines() if "read anew" in line))
        assert line["changed"] == ["drain_seconds", "logging.level"]
        assert line["need_a_restart"] == ["log.flush_interval"]
        shown = daemon.ask("status")["settings"]
        assert shown["drain_seconds"] == 7
        assert "log.flush_interval" not in shown
        settings.write_text("drain_seconds: [\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_log("settings not read anew")
        assert daemon.ask("status")["settings"] == shown
        assert daemon.stop() == 0
        assert '"seconds": 7.0' in daemon.log.read_text()


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    """READY=1 comes once the daemon serves, STOPPING=1 when it begins to drain (sd_notify)."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        with ChildDaemon(tmp_path / "data", NOTIFY_SOCKET=address) as daemon:
            assert manager.recv(100) == b"READY=1"
            assert daemon.ask("status")["ready"]
            assert daemon.stop() == 0
            assert manager.recv(100) == b"STOPPING=1"


# --- what stays and what does not ----------------------------------------------------------------------------------


def test_logs_are_json_and_tell_no_secret(tmp_path: Path) -> None:
    """Not on a terminal every line is JSON; at debug level too no secret shows, whatever is applied or refused."""
    secrets = {name: f"the-{name}-secret-nobody-may-see" for name in ("device", "wrong", "code", "password", "header")}
    code = secrets["code"] + "-" + "x" * 40
    text = manifest(["a"]).replace(SECRET, secrets["device"])
    more = (
        f"---\nkind: app\nname: other\nsecret: {secrets['device']}\napp_codes: [{code}]\n"
        "---\nkind: connection\napp: other\nname: remote\nconnector: postgres\n"
        f"settings: {{host: 127.0.0.1, port: 1, database: d, user: u, password: {secrets['password']}}}\n"
        "---\nkind: route\napp: other\nname: guarded\nrequest: {method: GET, path: /guarded}\nauth: app\n"
        "backend: {mock: {status: 200, body: ok}}\n"
    )
    with ChildDaemon(tmp_path / "data", PENSTOCK_LOGGING__LEVEL="debug") as daemon:
        daemon.apply(text + more, allow_unreachable="true")
        assert _connect(daemon, secrets["device"]) == 0
        assert _connect(daemon, secrets["wrong"]) != 0
        with daemon.gateway() as client:
            assert client.get("/guarded", headers={"X-Apig-AppCode": code}).status_code == 200
            assert client.get("/guarded", headers={"X-Apig-AppCode": secrets["header"]}).status_code == 401
            assert client.get("/guarded", auth=("other", secrets["wrong"])).status_code == 401
        with daemon.control() as client:
            rotated = client.post("/api/v1/devices/sensor/a/rotate-secret").json()["secret"]
            client.post("/api/v1/connections/remote/test")
            client.post("/api/v1/apply", content=b"kind: app\nname: bad\nsecret: [" + secrets["wrong"].encode() + b"]")
            client.get("/api/v1/status", headers={"Authorization": f"Bearer {secrets['header']}"})
        assert daemon.note is not None
        token = daemon.note.token
        assert daemon.stop() == 0
    log = daemon.log.read_text()
    for line in log.splitlines():
        assert {"event", "level", "timestamp"} <= set(json.loads(line)), line
    for secret in (*secrets.values(), rotated, token):
        assert secret not in log
