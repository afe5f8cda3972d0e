"""A real MariaDB of Debian, started once a test session, with a database and a user of its own for each test.

    from tests.fakes.mariadb import fixture_mariadb_database, fixture_mariadb_server

makes the fixtures `mariadb_server` and `mariadb_database` known to a test module.
"""

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

PASSWORD = "penstock-pässword"
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
# `root` may be told to be somebody else, and nobody else may.
_AS_ROOT = ["--user=root"] if os.geteuid() == 0 else []
_START_SECONDS = 60
# Another process may take a free port first.
_STARTS = 3
_PROGRAMS = {name: shutil.which(name, path=_PATH) for name in ("mariadbd", "mariadb-install-db", "mariadb")}


@dataclass
class MariadbServer:
    """A running server, which speaks TLS with a certificate of `ca` for 127.0.0.1; on its socket `root` is trusted."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def socket(self) -> str:
        """The path of its Unix socket."""
        return str(self.folder / "socket")

    @property
    def ca(self) -> str:
        """The path of the authority that signed its certificate."""
        return str(self.folder / "ca.pem")

    def execute(self, sql: str, database: str = "") -> str:
        """Run SQL as `root`, outside whatever the test does; returns the rows, their columns parted by tabs."""
        command = [str(_PROGRAMS["mariadb"]), "--no-defaults", "--skip-ssl", "-uroot", f"-S{self.socket}", "-N", "-B"]
        done = subprocess.run(
            [*command, "--default-character-set=utf8mb4", *([database] if database else [])],
            input=sql.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def start(self) -> None:
        """Start it; returns once it answers."""
        command = [
            str(_PROGRAMS["mariadbd"]),
            "--no-defaults",
            *_AS_ROOT,
            f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self.folder / 'tmp'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-use-native-aio=0",
            f"--ssl-cert={self.folder / 'server.pem'}",
            f"--ssl-key={self.folder / 'server.key'}",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except AssertionError:
                told = (self.folder / "log").read_text(errors="replace")[-4000:]
                assert self.process.poll() is None, told
                assert time.monotonic() < end, told
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop it in order; clients that are connected are cut off."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(_START_SECONDS)
            self.process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody answers until the end of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@dataclass(frozen=True)
class MariadbDatabase:
    """A fresh database on the server, and a user who may do anything in it."""

    server: MariadbServer
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a connection to it."""
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": self.name,
            "user": self.name,
            "password": PASSWORD,
        }

    def execute(self, sql: str) -> str:
        """Run SQL in it as `root`."""
        return self.server.execute(sql, self.name)

    def running(self, text: str) -> int:
        """How many statements with this text run in it now."""
        sql = f"SELECT count(*) FROM information_schema.processlist WHERE db = '{self.name}' AND info LIKE '%{text}%'"
        return int(self.server.execute(sql))


@pytest.fixture(scope="session", name="mariadb_server")
def fixture_mariadb_server() -> Iterator[MariadbServer]:
    missing = [name for name, path in _PROGRAMS.items() if path is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: apt-get install mariadb-server-core mariadb-client-core")
    folder = Path(tempfile.mkdtemp(prefix="penstock-mariadb-"))
    server = MariadbServer(folder, _free_port())
    try:
        _write_certificates(folder)
        _install(folder)
        _start_somewhere(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _start_somewhere(server: MariadbServer) -> None:
    for attempt in range(1, _STARTS + 1):
        try:
            server.start()
        except AssertionError:
            server.stop()
            if attempt == _STARTS:
                raise
            server.port = _free_port()
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write_certificates(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))


def _install(folder: Path) -> None:
    # Each server clears its own at its start, of whatever another one has there.
    (folder / "tmp").mkdir()
    command = [
        str(_PROGRAMS["mariadb-install-db"]),
        "--no-defaults",
        *_AS_ROOT,
        f"--datadir={folder / 'data'}",
        f"--tmpdir={folder / 'tmp'}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


_numbers = itertools.count(1)


@pytest.fixture(name="mariadb_database")
def fixture_mariadb_database(mariadb_server: MariadbServer) -> Iterator[MariadbDatabase]:
    name = f"penstock_{next(_numbers)}"
    mariadb_server.execute(
        f"CREATE DATABASE {name} CHARACTER SET utf8mb4; CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}';"
        f"GRANT ALL ON {name}.* TO {name}@'%';"
    )
    yield MariadbDatabase(mariadb_server, name)
    mariadb_server.execute(f"DROP DATABASE {name}; DROP USER {name}@'%';")
