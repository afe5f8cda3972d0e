"""`:name` to `$1`, past everything that only looks like a parameter."""

import pytest

from plugins.api import StatementError
from plugins.sql.named_parameters import translate


@pytest.mark.parametrize(
    ("sql", "expected", "names"),
    [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT :a::int", "SELECT $1::int", ("a",)),
        ("SELECT ':a', \":b\", :c", "SELECT ':a', \":b\", $1", ("c",)),
        ("SELECT 'it''s :a' || :b", "SELECT 'it''s :a' || $1", ("b",)),
        (r"SELECT E'\':a' || :b", r"SELECT E'\':a' || $1", ("b",)),
        (r"SELECT '\' || :b", r"SELECT '\' || $1", ("b",)),
        ("SELECT $$ :a; $$, $x$ $$ :b $x$, :c", "SELECT $$ :a; $$, $x$ $$ :b $x$, $1", ("c",)),
        ("SELECT 1 -- :a ; \n, :b", "SELECT 1 -- :a ; \n, $1", ("b",)),
        ("SELECT /* :a /* ; */ :b */ :c", "SELECT   $1", ("c",)),
        ("SELECT a[1:2], b[:i]", "SELECT a[1:2], b[$1]", ("i",)),
        ("SELECT a$b$c, :d", "SELECT a$b$c, $1", ("d",)),
        ("SELECT 1;", "SELECT 1", ()),
        ("SELECT ';';; -- end\n /* really */ ", "SELECT ';' -- end\n   ", ()),
        ("SELECT f(x := :y)", "SELECT f(x := $1)", ("y",)),
        ("SELECT :größe", "SELECT $1", ("größe",)),
        ("SELECT ${a}, :b, ${a}", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT '${a}', '$' || '{b}'", "SELECT $1, '$' || '{b}'", ("a",)),
        ("SELECT $$ ${a} $$, ${b}", "SELECT $$ ${a} $$, $1", ("b",)),
    ],
)
def test_names_become_numbers_outside_quotes_and_comments(sql: str, expected: str, names: tuple[str, ...]) -> None:
    """Quotes, dollar quotes, comments, casts, slices and a last semicolon are what they are in PostgreSQL."""
    translated = translate(sql)
    assert translated.sql == expected
    assert translated.names == names


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1; ;x", "more than one statement"),
        ("", "empty"),
        (" ; -- nothing", "empty"),
        ("SELECT 'open", "not closed"),
        ('SELECT "open', "not closed"),
        ("SELECT $a$ open $b$", "not closed"),
        ("SELECT /* open /* */", "not closed"),
        ("SELECT $1", "write a name"),
        ("SELECT ${1a}", "no parameter"),
        ("SELECT '%${a}%'", "inside a text"),
        ('SELECT "${a}"', "inside a name"),
        ("begin", "BEGIN is not for queries"),
        ("/* x */ SET search_path = evil", "SET is not for queries"),
        ("COPY t TO PROGRAM 'x'", "COPY is not for queries"),
    ],
)
def test_what_is_no_single_query_is_refused(sql: str, reason: str) -> None:
    """The reason says what to change."""
    with pytest.raises(StatementError, match=reason):
        translate(sql)
