"""Moving and setting what stands in a JSON document, by dotted path. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

Path = tuple[str, ...]

_ABSENT = object()


def path_of(text: str) -> Path:
    """The segments of a dotted path."""
    return tuple(text.split("."))


def move(document: Any, source: Path, target: Path) -> None:
    """Move what stands at `source` to `target`, in place; where there is nothing, nothing happens.

    A number is an index of a list. Any other name at a list goes through each of its objects, as long as source and
    target go the same way. Objects on the way to the target are made where they are missing; what is no object is left
    as it is, and the value where it was.
    """
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(source[:-1], target[:-1], strict=False)))
    for holder in _holders(document, source[:common]):
        if _settable(holder, target[common:]):
            value = _take(holder, source[common:])
            if value is not _ABSENT:
                put(holder, target[common:], value)


def put(document: Any, target: Path, value: Any) -> None:
    """Set what stands at `target`, in place; objects on the way are made where they are missing."""
    if not _settable(document, target):
        return
    holder = document
    for segment in target[:-1]:
        holder = holder.setdefault(segment, {}) if isinstance(holder, dict) else holder[int(segment)]
    if isinstance(holder, dict):
        holder[target[-1]] = value
    else:
        holder[int(target[-1])] = value


def _holders(document: Any, path: Sequence[str]) -> list[Any]:
    """All that a path leads to, of which a list's objects are several."""
    found = [document]
    for segment in path:
        found = [below for one in found for below in _below(one, segment)]
    # The last list on the way counts by its objects, which is what the rest of the path is about.
    return [one for holder in found for one in (holder if _is_plain_list(holder) else [holder])]


def _is_plain_list(holder: Any) -> bool:
    return isinstance(holder, list)


def _below(holder: Any, segment: str) -> list[Any]:
    if isinstance(holder, dict):
        return [holder[segment]] if segment in holder else []
    if isinstance(holder, list):
        if segment.isdecimal():
            return [holder[int(segment)]] if int(segment) < len(holder) else []
        return [one[segment] for one in holder if isinstance(one, dict) and segment in one]
    return []


def _take(holder: Any, path: Path) -> Any:
    for segment in path[:-1]:
        below = _below(holder, segment)
        if len(below) != 1:
            return _ABSENT
        holder = below[0]
    last = path[-1]
    if isinstance(holder, dict):
        return holder.pop(last, _ABSENT)
    if isinstance(holder, list) and last.isdecimal() and int(last) < len(holder):
        return holder[int(last)]
    return _ABSENT


def _settable(document: Any, path: Path) -> bool:
    """Whether the way to it is one of objects, of missing ones, and of indexes that are there."""
    holder = document
    for segment in path[:-1]:
        if isinstance(holder, dict):
            if segment not in holder:
                return True
            holder = holder[segment]
        elif isinstance(holder, list) and segment.isdecimal() and int(segment) < len(holder):
            holder = holder[int(segment)]
        else:
            return False
    last = path[-1]
    return isinstance(holder, dict) or (isinstance(holder, list) and last.isdecimal() and int(last) < len(holder))
