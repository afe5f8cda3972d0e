"""Statements as scripts write them: a value for each `?`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.api import ParameterError
from plugins.sql.positional import named


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM p WHERE a = ? and b = ?", "SELECT * FROM p WHERE a = :positional_1 and b = :positional_2"),
        ("SELECT '?', ?, \"?\", `?`, ? -- ?", "SELECT '?', :positional_1, \"?\", `?`, :positional_2 -- ?"),
        ("SELECT 'it''s ?' /* ? */, ?, ?", "SELECT 'it''s ?' /* ? */, :positional_1, :positional_2"),
        ("SELECT $x$ ? $x$, ?, ?", "SELECT $x$ ? $x$, :positional_1, :positional_2"),
    ],
)
def test_places_outside_of_quotes_and_comments_get_names(sql: str, expected: str) -> None:
    """In their order, and nothing else of the statement is touched."""
    assert named(sql, ["a", 2]) == (expected, {"positional_1": "a", "positional_2": 2})


def test_a_backslash_keeps_a_quote_open_in_mysql_alone() -> None:
    """What is inside of quotes depends on who reads it."""
    sql = r"SELECT '\' ? ' , ?"
    assert named(sql, [1], backslashes=True)[0] == r"SELECT '\' ? ' , :positional_1"
    assert named(r"SELECT '\', ?, ' ? '", [1])[0] == r"SELECT '\', :positional_1, ' ? '"
    assert named("SELECT 1 # ?\n, ?", [1], backslashes=True)[0] == "SELECT 1 # ?\n, :positional_1"


@pytest.mark.parametrize("values", [[], [1, 2]])
def test_there_is_a_value_for_each_place(values: list[int]) -> None:
    """One more or one less is told with both numbers."""
    with pytest.raises(ParameterError, match=f"has 1 `\\?` for {len(values)} values"):
        named("SELECT ?", values)


@given(st.lists(st.sampled_from(["?", "'", '"', "`", "--", "/*", "*/", "\n", "\\", "#", "$a$", "x", " "]), max_size=20))
def test_nothing_but_places_is_touched(parts: list[str]) -> None:
    """Whatever is written, putting `?` back in place of the names gives the statement as it was."""
    sql = "".join(parts)
    for backslashes in (False, True):
        for count in range(sql.count("?") + 1):
            try:
                text, values = named(sql, list(range(count)), backslashes=backslashes)
            except ParameterError:
                continue
            for name in reversed(values):
                text = text.replace(f":{name}", "?")
            assert text == sql
            break
        else:
            pytest.fail("no number of values fits")
