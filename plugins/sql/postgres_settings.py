"""What people write of a connection to PostgreSQL."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from plugins.api import Secret

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class PostgresSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a connection to PostgreSQL: its parts, or one `url` (`postgresql://user:password@host:port/db`).

    `host` may be the folder of a Unix socket. Where `ssl` is left out, TLS is used if the server speaks it. `pool_size`
    bounds the connections that one statement has at a time, with one more for others; `max_waiting` the queries that
    wait for one; `connect_timeout` the time to make one, `command_timeout` that of a whole query or batch, in seconds.
    """

    host: str | None = None
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    database: str | None = None
    user: str | None = None
    password: Secret = None
    url: Secret = None
    ssl: SslMode | None = None
    pool_size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    max_waiting: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 256
    connect_timeout: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    command_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0

    def __post_init__(self) -> None:
        """Either the parts or the url."""
        parts = [name for name in ("host", "port", "database", "user", "password") if getattr(self, name) is not None]
        if self.url is not None and parts:
            raise ValueError(f"url stands for {', '.join(parts)}; leave one of the two out")
        if self.url is None and self.database is None:
            raise ValueError("name the database, or give a url")
