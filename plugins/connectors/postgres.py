"""Connector `postgres`: PostgreSQL by asyncpg, on the island."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugins.api import ConnectorType, Host
from plugins.sql.named_parameters import parse
from plugins.sql.postgres_settings import PostgresSettings

if TYPE_CHECKING:
    from plugins.sql.postgres import Postgres


def _library() -> type[Postgres]:
    """What speaks to the server; with asyncpg it is imported when there is one to speak to."""
    from plugins.sql.postgres import Postgres  # noqa: PLC0415 - asyncpg is much of what a start would import

    return Postgres


def _build(settings: PostgresSettings, host: Host) -> Postgres:
    return _library()(settings, host)


CONNECTOR = ConnectorType(
    name="postgres",
    settings=PostgresSettings,
    build=_build,
    secrets=("password", "url"),
    parse=parse,
    prepare=_library,
)
