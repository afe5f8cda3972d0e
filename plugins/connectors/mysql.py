"""Connector `mysql`: MySQL and MariaDB by asyncmy, on the island."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugins.api import ConnectorType, Host
from plugins.sql.mysql_settings import MysqlSettings
from plugins.sql.mysql_statements import parse

if TYPE_CHECKING:
    from plugins.sql.mysql import Mysql


def _library() -> type[Mysql]:
    """What speaks to the server; with asyncmy it is imported when there is one to speak to."""
    from plugins.sql.mysql import Mysql  # noqa: PLC0415 - asyncmy is much of what a start would import

    return Mysql


def _build(settings: MysqlSettings, host: Host) -> Mysql:
    return _library()(settings, host)


CONNECTOR = ConnectorType(
    name="mysql",
    settings=MysqlSettings,
    build=_build,
    secrets=("password",),
    parse=parse,
    prepare=_library,
)
