"""Topic filters as they are written: whether one is a filter, what it covers, and what it overlaps with (MQTT 4.7).

A topic's name is a filter without wildcards, so `covers` also says whether a filter matches a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MAX_FILTER_BYTES: Final = 65_535


def filter_problem(topic_filter: str) -> str:
    """Why a text is no topic filter (MQTT-4.7), or nothing."""
    levels = topic_filter.split("/")
    if not topic_filter:
        return "it is empty"
    if len(topic_filter.encode()) > _MAX_FILTER_BYTES:
        return f"longer than {_MAX_FILTER_BYTES} bytes"
    if "\0" in topic_filter:
        return "contains a null character"
    if "#" in topic_filter and (levels[-1] != "#" or topic_filter.count("#") > 1):
        return "`#` stands only alone, as the last level"
    if any("+" in level and level != "+" for level in levels):
        return "`+` stands only alone, as a whole level"
    return ""


def covers(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Whether everything that one filter matches is matched by another one; both as their levels.

    A leading wildcard does not match names that begin with `$` (MQTT-4.7.2-1); `a/#` matches `a` as well (4.7.1.2).
    """
    if _hidden(wide, narrow):
        return False
    for depth, level in enumerate(wide):
        if level == "#":
            return True
        if depth == len(narrow):
            return False
        other = narrow[depth]
        if other == "#":
            # Names have at least one level, so that `+/#` matches what `#` does.
            return depth == 0 and list(wide) == ["+", "#"]
        if level not in ("+", other):
            return False
    return len(wide) == len(narrow)


def overlaps(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether there is a name that both filters match; both as their levels."""
    if _hidden(one, other) or _hidden(other, one):
        return False
    for level, across in zip(one, other, strict=False):
        if "#" in (level, across):
            return True
        if "+" not in (level, across) and level != across:
            return False
    rest = [*one[len(other) :], *other[len(one) :]]
    return rest in ([], ["#"])


def _hidden(wild: Sequence[str], named: Sequence[str]) -> bool:
    return wild[0] in ("+", "#") and named[0].startswith("$")
