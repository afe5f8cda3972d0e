"""Statements are read by their connectors before anything is applied."""

from __future__ import annotations

import pytest

from config.manifest import load
from config.resources import Connection
from daemon.catalog.statements import statement_problems
from plugins.connectors.postgres import CONNECTOR as POSTGRES
from plugins.connectors.sqlite import CONNECTOR as SQLITE

CONNECTORS = {"sqlite": SQLITE, "postgres": POSTGRES}
HEAD = """
kind: connection
app: a
name: lite
connector: sqlite
settings: {path: x.db}
---
"""


def problems(data: str) -> list[tuple[str, str]]:
    text = f"{HEAD}kind: route\napp: a\nname: r\nrequest: {{path: /x}}\nbackend: {{data: {data}}}\n"
    stored = Connection(app="a", name="pg", connector="postgres", settings={"database": "d"})
    known = {"pg": stored, "other": Connection(app="a", name="other", connector="plugin", settings={})}
    found = statement_problems(load(text), known.get, CONNECTORS)
    return [(one.path, one.reason) for one in found]


@pytest.mark.parametrize("connection", ["lite", "pg"])
def test_two_statements_in_one_are_refused(connection: str) -> None:
    """Whether the connection is in the manifest or on the instance."""
    ((path, reason),) = problems(f"{{connection: {connection}, sql: 'DELETE FROM a; DELETE FROM b'}}")
    assert path == "$.backend.data.sql"
    assert "more than one statement" in reason


def test_each_statement_is_read_by_its_own_connector() -> None:
    """Only SQLite has no procedures; the one that is wrong is named by its number."""
    call = "{connection: %s, sql: 'CALL p(:a)', result: %s}"
    ((path, reason),) = problems(f"{{statements: [{call % ('pg', 'one')}, {call % ('lite', 'two')}]}}")
    assert path == "$.backend.data.statements[1].sql"
    assert "no stored procedures" in reason


@pytest.mark.parametrize(
    ("sql", "reason"),
    [("DELETE FROM t", "pages are those of a query"), ("SELECT 1; -- all of them", "more than one statement")],
)
def test_pages_are_of_queries(sql: str, reason: str) -> None:
    """What no page can be made of is refused."""
    ((_, why),) = problems(f"{{connection: lite, paging: true, sql: '{sql}'}}")
    assert reason in why


def test_what_nobody_can_read_is_left_to_the_database() -> None:
    """A connector that cannot parse, and a connection that is not there, say nothing here."""
    for connection in ("other", "missing"):
        assert problems(f"{{connection: {connection}, sql: 'x; y'}}") == []
