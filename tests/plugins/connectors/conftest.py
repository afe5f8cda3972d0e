"""One server of each kind for all the tests of connectors, and a database on it for each of them."""

from collections.abc import AsyncIterator

import pytest

from daemon.island import Island
from plugins.sql.mysql import Mysql
from plugins.sql.postgres import Postgres
from tests.fakes.mariadb import MariadbDatabase, fixture_mariadb_database, fixture_mariadb_server
from tests.fakes.postgres import PostgresDatabase, fixture_postgres_database, fixture_postgres_server
from tests.plugins.connectors import servers

__all__ = [
    "fixture_mariadb_database",
    "fixture_mariadb_server",
    "fixture_postgres_database",
    "fixture_postgres_server",
]


@pytest.fixture
async def island() -> AsyncIterator[Island]:
    async with Island() as island:
        yield island


@pytest.fixture
async def mysql(mariadb_database: MariadbDatabase, island: Island) -> AsyncIterator[Mysql]:
    connector = servers.Mariadb(mariadb_database, island).build()
    yield connector
    await connector.close()


@pytest.fixture
async def postgres(postgres_database: PostgresDatabase, island: Island) -> AsyncIterator[Postgres]:
    connector = servers.Postgres(postgres_database, island).build()
    yield connector
    await connector.close()
