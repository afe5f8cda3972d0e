"""Used quotas in the metadata database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from actors.gateway_route.flow.quotas import QuotaUse


def load_quota_uses(connection: sqlite3.Connection) -> list[QuotaUse]:
    """What every app has used."""
    return [QuotaUse(*row) for row in connection.execute("SELECT app, start, period, used FROM quota_uses")]


def save_quota_uses(connection: sqlite3.Connection, uses: Mapping[str, QuotaUse | None]) -> None:
    """Put what apps have used in the place of what they had; None forgets one."""
    connection.executemany("DELETE FROM quota_uses WHERE app = ?", [(app,) for app in uses])
    kept = [use for use in uses.values() if use is not None]
    connection.executemany("INSERT INTO quota_uses (app, start, period, used) VALUES (?, ?, ?, ?)", kept)
