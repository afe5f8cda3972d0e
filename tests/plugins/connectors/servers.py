"""Servers of each kind, and what the SQL of each says for the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from daemon.island import Island
from plugins.api import Connector, ConnectorType, Host
from plugins.connectors import mysql, postgres
from tests.fakes.mariadb import MariadbDatabase
from tests.fakes.postgres import PostgresDatabase


def build(connector: ConnectorType, settings: dict[str, Any], island: Island) -> Connector:
    """A connector with these settings."""
    return connector.build(msgspec.convert(settings, connector.settings), Host(Path(), island))


class _Server:
    connector: ClassVar[ConnectorType]
    connections: str
    """What counts those that connectors hold."""

    def __init__(self, database: MariadbDatabase | PostgresDatabase, island: Island) -> None:
        self.database = database
        self.island = island

    def build(self, **more: Any) -> Connector:
        """A connector to the database, with further settings."""
        return build(self.connector, self.database.settings | more, self.island)

    def count(self, sql: str) -> int:
        """The one number that a statement yields."""
        found = re.search(r"^ *(\d+)$", self.database.execute(sql), re.MULTILINE)
        assert found is not None
        return int(found[1])


class Mariadb(_Server):
    """A database of MariaDB, and connectors to it."""

    connector = mysql.CONNECTOR
    result_name = "FreeNo"
    """What the column FreeNo of a result is called."""
    version = "MariaDB"
    key_type = "varchar(99)"
    """A type of text that may be a key."""
    who = "SELECT CONNECTION_ID() AS id, SLEEP(0.01)"
    sleep = "SELECT SLEEP(60)"
    series = "SELECT seq FROM seq_1_to_{}"
    changed: ClassVar = ["MODIFY a text", "ADD b text"]

    def __init__(self, database: MariadbDatabase, island: Island) -> None:
        super().__init__(database, island)
        self.socket = database.server.socket
        name = database.name
        self.connections = f"SELECT count(*) FROM information_schema.processlist WHERE user = '{name}'"
        self.end_connections = f"KILL USER {name}"
        self.allow_nowhere = f"GRANT ALL ON nowhere.* TO {name}@'%'"
        # A trigger that runs as somebody else could be ended only by him.
        self.slow_inserts = (
            f"CREATE DEFINER = {name}@`%` TRIGGER slow BEFORE INSERT ON ParkingData FOR EACH ROW DO SLEEP(60)"
        )


class Postgres(_Server):
    """A database of PostgreSQL, and connectors to it."""

    connector = postgres.CONNECTOR
    result_name = "freeno"
    version = "PostgreSQL 1"
    key_type = "text"
    who = "SELECT pg_backend_pid() FROM pg_sleep(0.01)"
    sleep = "SELECT pg_sleep(60)"
    series = "SELECT generate_series(1, {})"
    changed: ClassVar = ["ALTER a TYPE text", "ADD b text"]

    def __init__(self, database: PostgresDatabase, island: Island) -> None:
        super().__init__(database, island)
        self.socket = f"{database.server.host}/.s.PGSQL.5432"
        name = database.name
        self.connections = (
            f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock' AND datname = '{name}';"
        )
        self.end_connections = (
            f"SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = '{name}' "
            "AND pid <> pg_backend_pid();"
        )
        self.allow_nowhere = "SELECT 1;"
        self.slow_inserts = (
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';"
            "CREATE TRIGGER slow BEFORE INSERT ON ParkingData FOR EACH ROW EXECUTE FUNCTION slow();"
        )


Server = Mariadb | Postgres
