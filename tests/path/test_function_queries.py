"""What becomes of a query when nobody waits for the function any more that asked it: it ends at the database."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.fakes.house import Tenant, living
from tests.fakes.mariadb import MariadbDatabase, fixture_mariadb_database, fixture_mariadb_server
from tests.fakes.postgres import PostgresDatabase, fixture_postgres_database, fixture_postgres_server
from tests.plugins.connectors.contract import wait_until

__all__ = [
    "fixture_mariadb_database",
    "fixture_mariadb_server",
    "fixture_postgres_database",
    "fixture_postgres_server",
]

PYTHON = """
from plugins.api import function

@function
async def ask(data, context):
    sql = data if isinstance(data, str) else data["query"]["sql"]
    return [list(row.values()) for row in await context.query("db", sql)]
"""
AWAITING = """
async function execute(data, context) {
  return await context.query("db", JSON.parse(data).query.sql)
}
"""
BLOCKING = """
importClass(com.roma.apic.livedata.config.v1.DataSourceConfig);
importClass(com.roma.apic.livedata.client.v1.DataSourceClient);
function execute(data) {
  const config = new DataSourceConfig()
  config.setConnection("db")
  return new DataSourceClient(config).execute(JSON.parse(data).query.sql)
}
"""
SCRIPTS = {"awaiting": AWAITING, "blocking": BLOCKING}


@dataclass
class Asked:
    """A database that functions ask, with what keeps it busy for ever, and how many of these it does now."""

    connector: str
    settings: dict[str, Any]
    slow: str
    running: Callable[[], int]


def mariadb(database: MariadbDatabase) -> Asked:
    slow = "SELECT count(*) AS slow_count FROM seq_1_to_100000000000 WHERE seq % 7 = 8"
    return Asked("mysql", database.settings, slow, lambda: database.running("slow_count"))


def postgres(database: PostgresDatabase) -> Asked:
    def running() -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1, 1e11)%'"
        found = re.search(r"^ *(\d+)$", database.execute(f"{sql} AND pid <> pg_backend_pid();"), re.MULTILINE)
        assert found is not None
        return int(found[1])

    return Asked("postgres", database.settings, "SELECT count(*) FROM generate_series(1, 1e11) AS n", running)


def sqlite() -> Asked:
    def running() -> int:
        return sum(thread.name.startswith("penstock sql") for thread in threading.enumerate())

    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    return Asked("sqlite", {"path": "db.sqlite"}, slow, running)


@pytest.fixture(params=["mysql", "postgres", "sqlite"])
def asked(request: pytest.FixtureRequest) -> Asked:
    match request.param:
        case "mysql":
            return mariadb(request.getfixturevalue("mariadb_database"))
        case "postgres":
            return postgres(request.getfixturevalue("postgres_database"))
        case _:
            return sqlite()


@pytest.fixture
async def tenant(asked: Asked, tmp_path: Path) -> AsyncIterator[Tenant]:
    """A house with a route for a function of each kind, each of which asks what the caller says."""
    (tmp_path / "data/plugins").mkdir(parents=True)
    (tmp_path / "data/plugins/ask.py").write_text(PYTHON)
    resources: list[dict[str, Any]] = [
        {"kind": "app", "name": "a", "key": "a-key", "secret": "a-secret"},
        {"kind": "connection", "app": "a", "name": "db", "connector": asked.connector, "settings": asked.settings},
        {"kind": "function", "app": "a", "name": "python", "language": "python", "module": "ask", "timeout_ms": 2500},
    ]
    for name, source in SCRIPTS.items():
        script = {"language": "javascript", "source": source, "timeout_ms": 2500}
        resources.append({"kind": "function", "app": "a", "name": name, **script})
    for name in ("python", *SCRIPTS):
        backend = {"function": {"name": name}}
        route = {"name": name, "request": {"path": f"/{name}"}, "auth": "none", "backend": backend}
        resources.append({"kind": "route", "app": "a", **route})
    async with living(tmp_path / "data") as tenant:
        await tenant.apply("\n---\n".join(json.dumps(resource) for resource in resources))
        yield tenant


async def ask(tenant: Tenant, name: str, sql: str) -> tuple[int, str]:
    return await tenant.get(f"/{name}?sql={sql.replace('%', '%25').replace('+', '%2B').replace(' ', '+')}")


async def ask_slowly(tenant: Tenant, asked: Asked, name: str, statuses: list[int]) -> None:
    statuses.append((await ask(tenant, name, asked.slow))[0])


async def serves_on(tenant: Tenant, name: str) -> None:
    """More callers than there are connections are answered: none of these was lost."""
    answers: list[tuple[int, str]] = []

    async def one(number: int) -> None:
        answers.append(await ask(tenant, name, f"SELECT {number} AS n"))

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(one, number)
    assert [status for status, _ in answers] == [200] * 12, answers


async def test_a_call_that_runs_out_of_time_ends_its_query(tenant: Tenant, asked: Asked) -> None:
    """In either language, and where the script's process blocks: the database does nothing more, and serves on."""
    statuses: list[int] = []
    async with trio.open_nursery() as nursery:
        for name in ("python", *SCRIPTS):
            for _ in range(2):
                nursery.start_soon(ask_slowly, tenant, asked, name, statuses)
        await wait_until(lambda: asked.running() > 0)
    assert len(statuses) == 6
    assert set(statuses) <= {500, 502, 503, 504}
    await wait_until(lambda: asked.running() == 0)
    await serves_on(tenant, "python")


async def test_a_caller_that_leaves_ends_the_query_of_the_function(tenant: Tenant, asked: Asked) -> None:
    """Long before the call would have run out of time."""
    for name in ("python", *SCRIPTS):
        await ask(tenant, name, "SELECT 1")
        with trio.CancelScope() as leaving:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask_slowly, tenant, asked, name, [])
                await wait_until(lambda: asked.running() > 0)
                began = trio.current_time()
                leaving.cancel()
        await wait_until(lambda: asked.running() == 0)
        assert trio.current_time() - began < 1.5
    await serves_on(tenant, "python")
