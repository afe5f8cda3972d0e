"""What people write of a connection to MySQL or MariaDB."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from plugins.api import Secret
from plugins.sql.mysql_zones import zone_of

_ZONE = re.compile(r"[A-Za-z0-9_+:/-]+")
SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


class MysqlSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a connection to MySQL or MariaDB.

    `host` may be the path of a Unix socket. `ssl`: `prefer` (TLS if the server speaks it), `disable`, `require`,
    `verify-ca` (its certificate is signed by one of `ssl_ca`, or of the system's) or `verify-full` (and is the host's);
    `ssl_cert` and `ssl_key` are the client's own. Text is always UTF-8 (utf8mb4). `time_zone` is an offset or a name:
    what DATETIME columns are meant in. `pool_size` bounds the connections that one statement has at a time, with one
    more for others; `max_waiting` the queries that wait for one; `connect_timeout` the time to make one,
    `command_timeout` that of a whole query or batch, in seconds.
    """

    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 3306
    database: Annotated[str, msgspec.Meta(min_length=1)]
    user: Annotated[str, msgspec.Meta(min_length=1)]
    password: Secret = None
    ssl: SslMode = "prefer"
    ssl_ca: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    time_zone: str = "+00:00"
    pool_size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    max_waiting: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 256
    connect_timeout: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    command_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0

    def __post_init__(self) -> None:
        """A time zone that both sides know, and certificates where TLS is spoken."""
        try:
            known = _ZONE.fullmatch(self.time_zone) is not None and zone_of(self.time_zone) is not None
        except (ValueError, OSError):
            known = False
        if not known:
            raise ValueError("time_zone is neither an offset (+02:00) nor the name of a zone (Europe/Berlin)")
        if self.ssl_key is not None and self.ssl_cert is None:
            raise ValueError("ssl_key needs ssl_cert")
        if self.ssl == "disable" and (self.ssl_ca or self.ssl_cert):
            raise ValueError("ssl_ca and ssl_cert are for TLS; leave them out, or ssl: disable")
