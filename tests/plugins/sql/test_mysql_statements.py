"""`:name` to `?`, past everything that only looks like a parameter."""

import pytest

from plugins.api import ParsedStatement, StatementError
from plugins.sql.mysql_statements import parse, translate


@pytest.mark.parametrize(
    ("sql", "expected", "names"),
    [
        ("SELECT :a, :b, :a", "SELECT ?, ?, ?", ("a", "b", "a")),
        ("SELECT ':a', \":b\", `:c`, :d", "SELECT ':a', \":b\", `:c`, ?", ("d",)),
        ("SELECT 'it''s :a', :b", "SELECT 'it''s :a', ?", ("b",)),
        (r"SELECT 'it\'s :a', :b", r"SELECT 'it\'s :a', ?", ("b",)),
        (r"SELECT '\\', :b", r"SELECT '\\', ?", ("b",)),
        (r'SELECT "\":a", :b', r'SELECT "\":a", ?', ("b",)),
        ("SELECT `a``:b`, :c", "SELECT `a``:b`, ?", ("c",)),
        ("SELECT 1 -- :a ; \n, :b", "SELECT 1  \n, ?".replace("\n", " "), ("b",)),
        ("SELECT 1 # :a ; '\n, :b", "SELECT 1   , ?", ("b",)),
        ("SELECT 1--:b", "SELECT 1--?", ("b",)),
        ("SELECT /* :a ; ' */ :c", "SELECT   ?", ("c",)),
        ("SELECT /*+ MAX_EXECUTION_TIME(9) */ :c", "SELECT /*+ MAX_EXECUTION_TIME(9) */ ?", ("c",)),
        ("SELECT @a := :b, @@version, a$b", "SELECT @a := ?, @@version, a$b", ("b",)),
        ("SELECT j->'$.a', j->>\"$.b\" FROM t WHERE i=:i;", "SELECT j->'$.a', j->>\"$.b\" FROM t WHERE i=?", ("i",)),
        ("SELECT ';';; -- end\n /* really */ ", "SELECT ';'", ()),
        ("SELECT :größe", "SELECT ?", ("größe",)),
        ("SELECT ${a}, :b, '${a}', \"${c}\"", "SELECT ?, ?, ?, ?", ("a", "b", "a", "c")),
        ("SELECT X'00', _utf8mb4'é', N'x', 0x1F, 1e5, t.c", "SELECT X'00', _utf8mb4'é', N'x', 0x1F, 1e5, t.c", ()),
    ],
)
def test_names_become_places_outside_quotes_and_comments(sql: str, expected: str, names: tuple[str, ...]) -> None:
    """Quotes, backslashes, comments, variables, hints and a last semicolon are what they are in MySQL."""
    translated = translate(sql)
    assert " ".join(translated.sql.split()) == " ".join(expected.split())
    assert translated.names == names


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("", "empty"),
        ("-- nothing", "empty"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1; /* a */ DROP TABLE t", "more than one statement"),
        ("SELECT ?", "write a name"),
        ("SELECT 'open", "quote (') is not closed"),
        (r"SELECT 'open\'", "quote (') is not closed"),
        ("SELECT `open", "quote (`) is not closed"),
        ("SELECT /* open", "comment (/*) is not closed"),
        ("SELECT 1 /*!50000 , 2 */", "would run what stands in a comment"),
        ("SELECT 1 /*M! , 2 */", "would run what stands in a comment"),
        ("SELECT 'a ${b} c'", "CONCAT('...', :b)"),
        ("SELECT `${b}`", "only values are bound"),
        ("SELECT ${b c}", "is no parameter"),
        *(
            (f"{verb} x", f"{verb.upper()} is not for queries")
            for verb in ("set", "USE", "begin", "Commit", "XA", "LOAD")
        ),
        *((f"/* a */ {verb} x", f"{verb} is not for queries") for verb in ("PREPARE", "HANDLER", "LOCK", "FLUSH")),
    ],
)
def test_what_would_reach_beyond_itself_is_refused(sql: str, told: str) -> None:
    """Each with what to do instead."""
    with pytest.raises(StatementError) as caught:
        translate(sql)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "verb", "returning"),
    [
        ("select 1", "SELECT", False),
        ("(SELECT 1) UNION (SELECT 2)", "SELECT", False),
        ("insert into t values (1) returning a", "INSERT", True),
        ("DELETE FROM t WHERE a = 'RETURNING'", "DELETE", False),
        ("  /* x */ CALL p()", "CALL", False),
    ],
)
def test_the_first_word_is_told(sql: str, verb: str, *, returning: bool) -> None:
    """In capitals, past parentheses and comments."""
    translated = translate(sql)
    assert (translated.verb, translated.returning) == (verb, returning)


def test_parse_names_each_parameter_once() -> None:
    """In the order in which they come first."""
    assert parse("SELECT :b, :a, :b") == ParsedStatement(("b", "a"), "SELECT")


@pytest.mark.parametrize(
    ("sql", "of_session"),
    [
        ("SELECT * FROM person WHERE name = :name FOR UPDATE", False),
        ("(SELECT 1) UNION (SELECT 2)", False),
        ("WITH a AS (SELECT 1) SELECT * FROM a", False),
        ("INSERT INTO mail (address) VALUES ('a@b.example')", False),
        ("UPDATE t SET last_insert = 1, `row` = 'GET_LOCK'", False),
        ("REPLACE INTO t VALUES (1)", False),
        ("DELETE FROM t /* @x */", False),
        ("SELECT @x", True),
        ("SELECT @`x`, @'x'", True),
        ("SELECT 1 INTO @x", True),
        ("SELECT get_lock ('a', 0)", True),
        ("SELECT `GET_LOCK`('a', 0)", True),
        ("INSERT INTO child VALUES (LAST_INSERT_ID())", True),
        ("CREATE TEMPORARY TABLE t SELECT 1", True),
        ("CALL anything()", True),
        ("DO 1", True),
        ("SHOW WARNINGS", True),
    ],
)
def test_statements_that_reach_into_their_session_are_known(sql: str, *, of_session: bool) -> None:
    """Variables, locks, what only a session knows, and every statement that is none of the plain ones."""
    assert translate(sql).of_session is of_session
