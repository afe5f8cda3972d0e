"""From `:name` to `?`: statements as people write them, made ready for MySQL's prepared statements. Pure.

What is read here decides only where a parameter stands: the server counts the places for itself when it prepares the
statement, and values reach it apart from the text. So nothing that a value holds can become SQL, in any `sql_mode`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from plugins.api import ParsedStatement, StatementError
from plugins.sql.placeholders import NAME, name_in_quotes, not_a_name

# Statements that would change the pooled connection for whoever uses it next, or leave its transaction.
_VERBS_OF_SESSIONS = """
    BEGIN CHANGE COMMIT DEALLOCATE DELIMITER EXECUTE FLUSH HANDLER KILL LOAD LOCK PREPARE RELEASE RESET ROLLBACK
    SAVEPOINT SET START STOP UNLOCK USE XA
"""
_NOT_FOR_QUERIES = frozenset(_VERBS_OF_SESSIONS.split())
# Of statements with another first word (CALL, CREATE TEMPORARY TABLE, DO, SHOW WARNINGS, ...) nobody knows.
_KEPT_TO_THEMSELVES = frozenset({"SELECT", "WITH", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"})
# What leaves something behind in a session, or tells what another statement has left there; variables do both.
_OF_THE_SESSION = frozenset({"GET_LOCK", "LAST_INSERT_ID", "ROW_COUNT", "LASTVAL", "PREVIOUS"})
_HINT = "/*+"
_CONCAT = "CONCAT('...', :{name})"
# https://dev.mysql.com/doc/refman/8.4/en/lexical-structure.html, with the sql_mode that each session is given.
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+|\#[^\n]*|--(?=[\s\x00-\x1f]|\Z)[^\n]*)
  | (?P<executed>/\*M?!)
  | (?P<comment>/\*.*?\*/)
  | (?P<text>'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*")
  | (?P<identifier>`(?:[^`]|``)*`)
  | \$\{{(?P<braced>[^{{}}]*)\}}
  | (?P<word>@{{0,2}}[^\W\d][\w$.]*)
  | (?P<number>\d[\w.]*)
  | (?P<assign>:=)
  | :(?P<name>{NAME})
  | (?P<positional>\?)
  | (?P<end>;)
  | (?P<open>['"`]|/\*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Translated(NamedTuple):
    """A statement with `?` for each parameter, the names that stand behind them one by one, and its first word.

    `returning` says whether it hands out the rows that it changes (MariaDB); `of_session` whether its text lets it
    leave something behind in its session, or tell what was left there. (What functions, views and triggers leave
    behind no text shows.)
    """

    sql: str
    names: tuple[str, ...]
    verb: str
    returning: bool
    of_session: bool


def translate(sql: str) -> Translated:
    """Put `?` in place of each `:name` and `${name}`.

    Quotes and identifiers are left alone, optimizer hints, too; other comments are taken out. Semicolons and comments
    may follow the statement.

    Raises:
        StatementError: none or more than one statement, an open quote or comment, a comment that is executed, `?`
            written by hand, a parameter inside a text, or a statement that is not for queries (SET, BEGIN, USE, ...).
    """
    parts: list[str] = []
    names: list[str] = []
    verb = ""
    ended = returning = of_session = False
    for found in _TOKEN.finditer(sql):
        kind, text = found.lastgroup, found.group()
        if kind == "end":
            ended = True
            continue
        if kind == "space" or (kind == "comment" and not text.startswith(_HINT)):
            parts.append(" ")
            continue
        if ended:
            raise StatementError("more than one statement; send one at a time")
        verb = verb or ("" if text == "(" else text.upper())
        returning = returning or (kind == "word" and text.upper() == "RETURNING")
        of_session = of_session or _is_of_session(kind, text)
        parts.append(_translated_token(kind, text, found, names))
    _check_verb(verb)
    of_session = of_session or verb not in _KEPT_TO_THEMSELVES
    return Translated("".join(parts).strip(), tuple(names), verb, returning, of_session)


def parse(sql: str) -> ParsedStatement:
    """The parameters and the first word of a statement; StatementError as `translate`."""
    translated = translate(sql)
    return ParsedStatement(tuple(dict.fromkeys(translated.names)), translated.verb)


def _is_of_session(kind: str | None, text: str) -> bool:
    if kind in {"word", "identifier"}:
        # A function may be called by its name in backticks, too.
        return text.startswith("@") or text.strip("`").upper() in _OF_THE_SESSION
    return kind == "assign" or text == "@"


def _translated_token(kind: str | None, text: str, found: re.Match[str], names: list[str]) -> str:
    match kind:
        case "name":
            return _place(found["name"], names)
        case "braced":
            if re.fullmatch(NAME, found["braced"]) is None:
                raise not_a_name(text)
            return _place(found["braced"], names)
        case "text":
            # Both kinds of quotes are texts here.
            name = name_in_quotes(f"'{text[1:-1]}'", _CONCAT)
            return text if name is None else _place(name, names)
        case "identifier":
            name_in_quotes(text)
            return text
        case "positional":
            raise StatementError("? is no parameter here; write a name: :name")
        case "executed":
            raise StatementError(f"{text} would run what stands in a comment; write it outside, or leave it out")
        case "open":
            raise StatementError(f"a {'comment' if text == '/*' else 'quote'} ({text}) is not closed")
        case _:
            return text


def _place(name: str, names: list[str]) -> str:
    names.append(name)
    return "?"


def _check_verb(verb: str) -> None:
    if not verb:
        raise StatementError("the statement is empty")
    if verb in _NOT_FOR_QUERIES:
        raise StatementError(f"{verb} is not for queries: it would reach beyond its own statement; leave it out")
