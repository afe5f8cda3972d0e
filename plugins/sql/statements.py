"""The SQL that every transactional sink needs: the position table, and inserts that overwrite by key.

SQLite and PostgreSQL share this dialect; placeholders are the caller's (`?`, or `$1`).
"""

from __future__ import annotations

from collections.abc import Callable

from plugins.api import TargetTable

POSITIONS = "penstock_offsets"


def quoted(identifier: str) -> str:
    """An identifier as SQL writes it, whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'


def insert(table: TargetTable, target: str, values: str) -> str:
    """INSERT of `values` (`(?, ?), (?, ?)`) into `target` (quoted); with a key, rows that are there are overwritten."""
    columns = ", ".join(quoted(name) for name, _ in table.columns)
    return f"INSERT INTO {target} ({columns}) VALUES {values}{_on_conflict(table)}"  # noqa: S608 - quoted identifiers


def _on_conflict(table: TargetTable) -> str:
    if not table.key:
        return ""
    keys = ", ".join(map(quoted, table.key))
    rest = [quoted(name) for name, _ in table.columns if name not in table.key]
    if not rest:
        return f" ON CONFLICT ({keys}) DO NOTHING"
    return f" ON CONFLICT ({keys}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in rest)}"


def create(table: TargetTable, target: str, type_of: Callable[[str], str]) -> str:
    """CREATE TABLE IF NOT EXISTS; `type_of` maps a field type to the database's. Key columns are never null."""
    lines = [
        f"{quoted(name)} {type_of(field_type)}{' NOT NULL' if name in table.key else ''}"
        for name, field_type in table.columns
    ]
    if table.key:
        lines.append(f"PRIMARY KEY ({', '.join(map(quoted, table.key))})")
    return f"CREATE TABLE IF NOT EXISTS {target} ({', '.join(lines)})"
