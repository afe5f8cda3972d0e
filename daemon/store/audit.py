"""The audit log in the metadata database: bounded, the newest entries are kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from actors.ports import AuditEntry

MOST_ENTRIES = 10_000
_FIELDS = "at, by, subject, action, before, after, reason, outcome"


def add_audit(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    """Add an entry, and drop the oldest beyond the bound."""
    added = connection.execute(
        f"INSERT INTO audit ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - the names of columns
        (entry.at, entry.by, entry.subject, entry.action, entry.before, entry.after, entry.reason, entry.outcome),
    )
    connection.execute("DELETE FROM audit WHERE number <= ?", ((added.lastrowid or 0) - MOST_ENTRIES,))


def load_audit(connection: sqlite3.Connection, limit: int) -> Sequence[AuditEntry]:
    """The last entries, the newest first."""
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM audit ORDER BY number DESC LIMIT ?",  # noqa: S608 - the names of columns
        (limit,),
    )
    return [AuditEntry(*row) for row in rows]
