"""From `:name` to `$1`: statements as people write them, made ready for PostgreSQL's protocol. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from plugins.api import ParsedStatement, StatementError
from plugins.sql.placeholders import NAME, name_in_quotes, not_a_name

# Statements that would change the pooled connection for whoever uses it next, or leave its transaction.
_VERBS_OF_SESSIONS = """
    ABORT BEGIN CHECKPOINT CLOSE COMMIT COPY DEALLOCATE DECLARE DISCARD END EXECUTE FETCH LISTEN LOAD LOCK MOVE NOTIFY
    PREPARE REASSIGN RELEASE RESET ROLLBACK SAVEPOINT SET START UNLISTEN
"""
_NOT_FOR_QUERIES = frozenset(_VERBS_OF_SESSIONS.split())
# https://www.postgresql.org/docs/current/sql-syntax-lexical.html
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<text>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")
  | \$\{(?P<braced>[^{}]*)\}
  | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
  | (?P<positional>\$\d+)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<cast>::|:=)
  | :(?P<name>[^\W\d]\w*)
  | (?P<end>;)
  | (?P<open>['"]|\$(?:[^\W\d]\w*)?\$)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Translated(NamedTuple):
    """A statement with `$1`, `$2`, ..., the names that stand behind them in order, and its first word in capitals."""

    sql: str
    names: tuple[str, ...]
    verb: str


def translate(sql: str) -> Translated:
    """Put `$n` in place of each `:name` and `${name}`; a name that comes twice keeps its number.

    Quotes, dollar quotes, comments (nested, too) and `::` casts are left alone. A slice with a name after its colon
    wants a space there: `a[i : j]`. Semicolons and comments may follow the statement.

    Raises:
        StatementError: none or more than one statement, an open quote or comment, `$1` written by hand, a parameter
            inside a text, or a statement that is not for queries (SET, BEGIN, COPY, ...).
    """
    parts: list[str] = []
    names: dict[str, int] = {}
    verb = ""
    ended = False
    at = 0
    while at < len(sql):
        found = _TOKEN.match(sql, at)
        assert found is not None, "the last alternative takes any character"  # noqa: S101 - the pattern's own promise
        at, kind, text = found.end(), found.lastgroup, found.group()
        if kind == "comment":
            at, text = _end_of_comment(sql, found.start()), " "
        elif kind == "end":
            ended = True
            continue
        elif kind != "space":
            if ended:
                raise StatementError("more than one statement; send one at a time")
            verb = verb or text.upper()
            text = _translated_token(kind, text, names)
        parts.append(text)
    _check_verb(verb)
    return Translated("".join(parts), tuple(names), verb)


def parse(sql: str) -> ParsedStatement:
    """The parameters and the first word of a statement; StatementError as `translate`."""
    translated = translate(sql)
    return ParsedStatement(translated.names, translated.verb)


def _translated_token(kind: str | None, text: str, names: dict[str, int]) -> str:
    match kind:
        case "name":
            return _numbered(text[1:], names)
        case "braced":
            if re.fullmatch(NAME, text[2:-1]) is None:
                raise not_a_name(text)
            return _numbered(text[2:-1], names)
        case "text":
            name = name_in_quotes(text)
            return text if name is None else _numbered(name, names)
        case "positional":
            raise StatementError(f"{text} is no parameter here; write a name: :name")
        case "open":
            raise StatementError(f"a quote ({text}) is not closed")
        case _:
            return text


def _numbered(name: str, names: dict[str, int]) -> str:
    return f"${names.setdefault(name, len(names) + 1)}"


def _end_of_comment(sql: str, start: int) -> int:
    depth = 0
    for mark in re.finditer(r"/\*|\*/", sql[start:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return start + mark.end()
    raise StatementError("a comment (/*) is not closed")


def _check_verb(verb: str) -> None:
    if not verb:
        raise StatementError("the statement is empty")
    if verb in _NOT_FOR_QUERIES:
        raise StatementError(f"{verb} is not for queries: it would reach beyond its own statement; leave it out")
