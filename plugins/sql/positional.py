"""From `?` to `:name`: statements as scripts write them, made ready for connectors. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from plugins.api import ParameterError

# What a `?` means nothing in: texts and names in quotes, comments. Only in MySQL a backslash keeps a quote from ending.
_STANDARD = re.compile(
    r"""(?P<left>'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)|\?""",
    re.DOTALL,
)
_MYSQL = re.compile(
    r"""(?P<left>'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*"|`[^`]*`|--[\s\x00-\x1f][^\n]*|\#[^\n]*|/\*.*?\*/)|\?""",
    re.DOTALL,
)
_PREFIX = "positional_"


def named(sql: str, values: Sequence[object], *, backslashes: bool = False) -> tuple[str, Mapping[str, object]]:
    """A name for each `?` outside of quotes and comments, and the values by name.

    With `backslashes` these escape within quotes, as in MySQL.

    Raises:
        ParameterError: there are more or fewer values than places.
    """
    text, places = _named(sql, backslashes=backslashes)
    if places != len(values):
        raise ParameterError(f"the statement has {places} `?` for {len(values)} values")
    return text, {f"{_PREFIX}{number}": value for number, value in enumerate(values, 1)}


@lru_cache(maxsize=1000)
def _named(sql: str, *, backslashes: bool) -> tuple[str, int]:
    parts: list[str] = []
    places = at = 0
    for found in (_MYSQL if backslashes else _STANDARD).finditer(sql):
        if found["left"] is None:
            places += 1
            parts += (sql[at : found.start()], f":{_PREFIX}{places}")
            at = found.end()
    return "".join((*parts, sql[at:])), places
