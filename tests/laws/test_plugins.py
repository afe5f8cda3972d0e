"""Laws of what SQL connectors share."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from plugins.api import StatementError, TargetTable
from plugins.connectors.sqlite import Inserts
from plugins.sql import mysql_names, mysql_statements
from plugins.sql.mysql_writes import parts_of
from plugins.sql.named_parameters import translate
from plugins.sql.statements import create, quoted

SQL_PIECES = st.sampled_from(
    [
        ":a",
        "::",
        ":",
        "'",
        '"',
        "$$",
        "$x$",
        "$1",
        "/*",
        "*/",
        "--",
        "\n",
        ";",
        "E'",
        "\\",
        "SELECT",
        "a",
        "1",
        " ",
        "[",
        "é",
    ]
)


@given(st.lists(SQL_PIECES, max_size=30).map("".join))
def test_any_text_is_translated_or_refused(sql: str) -> None:
    """The scanner ends on every input, with a StatementError, or with names that each stood behind a colon, once."""
    try:
        translated = translate(sql)
    except StatementError:
        return
    assert len(set(translated.names)) == len(translated.names)
    assert all(name.isidentifier() and f":{name}" in sql for name in translated.names)
    assert translated.verb


@given(st.lists(SQL_PIECES | st.sampled_from(["`", "#", "-- ", "/*!", "?", "@a", ":="]), max_size=30).map("".join))
def test_any_text_is_translated_or_refused_for_mysql_too(sql: str) -> None:
    """The scanner ends on every input; there are as many places as names, each of which stood behind a colon."""
    try:
        translated = mysql_statements.translate(sql)
    except StatementError:
        return
    assert all(name.isidentifier() and f":{name}" in sql for name in translated.names)
    assert translated.sql.count("?") >= len(translated.names)
    assert translated.verb


@given(st.text(), st.sampled_from("'\""))
def test_whatever_is_quoted_for_mysql_is_left_alone(text: str, quote: str) -> None:
    """Texts in either kind of quotes and identifiers pass unchanged, and the parameter behind them is found."""
    literal = quote + text.replace("\\", "\\\\").replace(quote, quote * 2) + quote
    sql = f"SELECT {literal}, {mysql_names.quoted(text)}, "
    assert mysql_statements.translate(sql + ":p")[:4] == (sql + "?", ("p",), "SELECT", False)


@given(st.integers(0, 20_000), st.integers(1, 1_000))
def test_batches_part_into_few_sizes(rows: int, columns: int) -> None:
    """All rows, in statements within the protocol's number of places, of eleven sizes at most."""
    parts = list(parts_of(rows, columns))
    assert sum(parts) == rows
    assert all(part * columns <= 65_535 for part in parts)
    assert len(set(parts)) <= 11


@given(st.text())
def test_whatever_is_quoted_is_left_alone(text: str) -> None:
    """A literal and an identifier pass unchanged, and the parameter behind them is found."""
    literal = "'" + text.replace("'", "''") + "'"
    sql = f"SELECT {literal}, {quoted(text)}, "
    assert translate(sql + ":p") == (sql + "$1", ("p",), "SELECT")


@given(
    st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1), min_size=1)
    .map(lambda names: list({name.casefold(): name for name in names}.values()))
    .filter(lambda names: len(names) < 20),
    st.integers(min_value=0, max_value=70),
)
def test_every_row_arrives_once_and_in_order(names: list[str], count: int) -> None:
    """However columns are named and however many rows there are, the statements bring exactly these rows."""
    table = TargetTable("t", tuple((name, "integer") for name in names))
    rows = [tuple(range(n, n + len(names))) for n in range(count)]
    connection = sqlite3.connect(":memory:")
    connection.execute(create(table, "t", lambda _: "INTEGER"))
    for sql, values in Inserts(table).of(rows):
        connection.execute(sql, values)
    assert connection.execute("SELECT * FROM t ORDER BY rowid").fetchall() == rows
    connection.close()
