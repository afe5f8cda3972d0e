"""Statements as people write them, read before SQLite sees them: one of them, and its parameters. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from plugins.api import ParsedStatement, StatementError
from plugins.sql.placeholders import NAME, name_in_quotes, not_a_name

# https://www.sqlite.org/lang_expr.html, and the tokenizer's own view of quotes: four kinds of them.
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
  | \$\{{(?P<braced>[^{{}}]*)\}}
  | :(?P<name>{NAME})
  | (?P<foreign>\?\d*|[@$#:]\w+)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<end>;)
  | (?P<open>['"`\[])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PROCEDURES = frozenset({"CALL", "EXEC", "EXECUTE"})


class SqliteStatement(NamedTuple):
    """A statement with `:name` for each parameter, however it was written, its parameters, and its first word."""

    sql: str
    parsed: ParsedStatement


def read_statement(sql: str) -> SqliteStatement:
    """Make `:name` of each `${name}`; quotes, brackets and comments are left alone.

    Raises:
        StatementError: none or more than one statement, an open quote, a parameter that is written in another way or
            stands inside a text, or a call of a stored procedure, of which SQLite has none.
    """
    parts: list[str] = []
    names: dict[str, None] = {}
    verb = ""
    ended = False
    for found in _TOKEN.finditer(sql):
        kind, text = found.lastgroup, found.group()
        if kind == "end":
            ended = True
            continue
        if kind != "space":
            if ended:
                raise StatementError("more than one statement; send one at a time")
            verb = verb or text.upper()
            text = _read_token(kind, text, found, names)
        parts.append(text)
    if not verb:
        raise StatementError("the statement is empty")
    if verb in _PROCEDURES:
        raise StatementError(f"{verb}: SQLite has no stored procedures; write the statement itself")
    return SqliteStatement("".join(parts).rstrip(), ParsedStatement(tuple(names), verb))


def parse(sql: str) -> ParsedStatement:
    """The parameters and the first word of a statement; StatementError as `read_statement`."""
    return read_statement(sql).parsed


def _read_token(kind: str | None, text: str, found: re.Match[str], names: dict[str, None]) -> str:
    match kind:
        case "name":
            names[found["name"]] = None
            return text
        case "braced":
            return _parameter(found["braced"], text, names)
        case "text":
            name = name_in_quotes(text)
            return text if name is None else _parameter(name, text, names)
        case "foreign":
            raise StatementError(f"{text} is no parameter here; write a name: :name")
        case "open":
            raise StatementError(f"a quote ({text}) is not closed")
        case _:
            return text


def _parameter(name: str, text: str, names: dict[str, None]) -> str:
    if re.fullmatch(NAME, name) is None:
        raise not_a_name(text)
    names[name] = None
    return f":{name}"
