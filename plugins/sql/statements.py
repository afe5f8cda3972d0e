"""The SQL that every transactional sink needs: the position table, and inserts that overwrite by key.

SQLite and PostgreSQL share this dialect; placeholders are the caller's (`?`, or `$1`). MySQL shares CREATE TABLE.
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


def create(
    table: TargetTable,
    target: str,
    type_of: Callable[[str], str],
    *,
    key_type_of: Callable[[str], str] | None = None,
    quote: Callable[[str], str] = quoted,
) -> str:
    """CREATE TABLE IF NOT EXISTS; `type_of` maps a field type to the database's. Key columns are never null."""
    types_of_keys = key_type_of or type_of
    lines = [
        f"{quote(name)} {f'{types_of_keys(kind)} NOT NULL' if name in table.key else type_of(kind)}"
        for name, kind in table.columns
    ]
    if table.key:
        lines.append(f"PRIMARY KEY ({', '.join(map(quote, table.key))})")
    return f"CREATE TABLE IF NOT EXISTS {target} ({', '.join(lines)})"
