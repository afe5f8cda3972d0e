"""Statements for SQLite: one, with its parameters."""

from __future__ import annotations

import sqlite3

import pytest

from plugins.api import StatementError
from plugins.sql.sqlite_statements import parse, read_statement


@pytest.mark.parametrize(
    ("sql", "expected", "names"),
    [
        ("SELECT :a, ${b}, :a", "SELECT :a, :b, :a", ("a", "b")),
        ("SELECT '${a}'", "SELECT :a", ("a",)),
        ("SELECT 'it''s :a', \"x:b\", `y;c`, [z :d]", "SELECT 'it''s :a', \"x:b\", `y;c`, [z :d]", ()),
        ("SELECT 1 -- :a ; ${b}\n, :c", "SELECT 1 -- :a ; ${b}\n, :c", ("c",)),
        ("SELECT 1 /* :a ; */ , :c;", "SELECT 1 /* :a ; */ , :c", ("c",)),
        ("SELECT 1; -- end", "SELECT 1 -- end", ()),
        ("SELECT x->'$.a[0]', :größe", "SELECT x->'$.a[0]', :größe", ("größe",)),
        ("SELECT x'00ff', a$b FROM t", "SELECT x'00ff', a$b FROM t", ()),
    ],
)
def test_both_ways_of_writing_a_parameter_bind(sql: str, expected: str, names: tuple[str, ...]) -> None:
    """`:name` and `${name}` are parameters outside quotes and comments, `'${name}'` whole is one as well."""
    statement = read_statement(sql)
    assert statement.sql == expected
    assert statement.parsed.names == names


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1;;DROP TABLE t", "more than one statement"),
        ("", "empty"),
        (" ; -- nothing", "empty"),
        ("SELECT 'open", "not closed"),
        ("SELECT [open", "not closed"),
        ("SELECT ?", "write a name"),
        ("SELECT ?1", "write a name"),
        ("SELECT @a", "write a name"),
        ("SELECT $a", "write a name"),
        ("SELECT ${1a}", "no parameter"),
        ("SELECT ${}", "no parameter"),
        ("SELECT '%${a}%'", r"inside a text.*\|\| :a"),
        ('SELECT "${a}"', "inside a name"),
        ("CALL p(:a)", "no stored procedures"),
    ],
)
def test_what_cannot_be_bound_or_run_is_refused(sql: str, reason: str) -> None:
    """The reason says what to change."""
    with pytest.raises(StatementError, match=reason):
        read_statement(sql)


def test_the_first_word_is_told() -> None:
    """In capitals, past comments and space."""
    assert parse(" /* x */ with a AS (SELECT 1) SELECT * FROM a").verb == "WITH"


def test_sqlite_binds_what_was_made() -> None:
    """A value with SQL in it is a value."""
    statement = read_statement("SELECT ${a} AS x, '${a}' AS y")
    evil = "'; DROP TABLE t; --"
    connection = sqlite3.connect(":memory:")
    assert connection.execute(statement.sql, {"a": evil}).fetchone() == (evil, evil)
    connection.close()
