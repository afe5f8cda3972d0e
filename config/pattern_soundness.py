"""Whether a regular expression may meet callers: some take so long for a short text that all else stands still."""

from __future__ import annotations

import re

# What a pattern is made of is shown nowhere else.
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_MAXIMUM = codes.MAXREPEAT
_GREEDY_OR_NOT = (codes.MAX_REPEAT, codes.MIN_REPEAT)


def pattern_flaw(pattern: str) -> str:
    """Why a pattern cannot be used; nothing where it can.

    A repetition without an end, within another one, is tried in exponentially many ways (catastrophic backtracking)
    unless each round of the outer one begins with a character that nothing else in it takes.
    """
    try:
        parsed = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    if _ambiguous(parsed):
        return (
            "may take a caller's text exponentially long to match: of a repetition within a repetition, begin each "
            "round with a character that nothing else in it takes, or make it possessive, as in (?:a++b)*"
        )
    return ""


def _ambiguous(items: Any) -> bool:
    for code, argument in items:
        if code in _GREEDY_OR_NOT:
            _, most, body = argument
            if (most == _MAXIMUM and not _rounds_are_clear(body)) or _ambiguous(body):
                return True
        elif code in {codes.SUBPATTERN, codes.ATOMIC_GROUP}:
            if _ambiguous(argument[-1] if code is codes.SUBPATTERN else argument):
                return True
        elif code is codes.BRANCH and any(_ambiguous(way) for way in argument[1]):
            return True
    return False


def _rounds_are_clear(body: Any) -> bool:
    """Whether there is one way only to tell where a round begins and ends."""
    flat = _flat(body)
    if not any(code in {*_GREEDY_OR_NOT, codes.BRANCH, codes.GROUPREF} for code, _ in flat):
        return True
    if not flat or flat[0][0] is not codes.LITERAL:
        return False
    first = flat[0][1]
    return not any(_may_take(item, first) for item in flat[1:])


def _flat(body: Any) -> list[tuple[Any, Any]]:
    """The items of a pattern, those of its plain groups in their place."""
    found: list[tuple[Any, Any]] = []
    for code, argument in body:
        if code is codes.SUBPATTERN:
            found += _flat(argument[-1])
        else:
            found.append((code, argument))
    return found


def _may_take(item: tuple[Any, Any], character: int) -> bool:
    """Whether an item of a pattern might match a character; True also where that is not known."""
    code, argument = item
    if code is codes.LITERAL:
        return bool(argument == character)
    if code in {codes.IN, codes.NOT_LITERAL, codes.ANY, codes.CATEGORY}:
        one = parser.SubPattern(parser.State(), [item])
        return compiler.compile(one).match(chr(character)) is not None
    if code in (*_GREEDY_OR_NOT, codes.POSSESSIVE_REPEAT):
        return any(_may_take(one, character) for one in _flat(argument[2]))
    return code is not codes.AT
