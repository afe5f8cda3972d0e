"""An environment's variables in what a route says: `#name#` stands for a value, case-sensitive, also side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_VARIABLE = re.compile(r"#([A-Za-z][A-Za-z0-9_-]{0,63})#")


def variables_in(text: str) -> Iterator[str]:
    """The names of the variables in a text, in order."""
    yield from _VARIABLE.findall(text)


def stray_mark(text: str) -> bool:
    """Whether a `#` belongs to no variable."""
    return "#" in _VARIABLE.sub("", text)


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """The text with values for variables; a value is taken as it is, whatever marks are in it.

    Raises:
        KeyError: names the first variable that has no value.
    """
    return _VARIABLE.sub(lambda found: values[found[1]], text) if "#" in text else text
