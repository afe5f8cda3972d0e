"""One declared parameter: from what a caller wrote to a value of its type, or the reason why not. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, assert_never

import msgspec

from actors.gateway_route.parameters.reading import JsonText
from config.resources import Parameter

Check = Callable[[Any], Any]
"""The value of a parameter, of its type; raises ValueError with what it must be."""

# A pattern looks at no longer text, so that none can keep others waiting for long.
PATTERN_CHARACTERS = 1024
_INTEGER = re.compile(r"[+-]?\d{1,40}", re.ASCII)
# As JSON writes them (RFC 8259 6).
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def check_of(parameter: Parameter) -> Check:
    """What a parameter's values must pass: its type first, then its bounds."""
    steps: list[Check] = [_type_of(parameter)]
    steps += _bounds(parameter)
    if parameter.enum:
        steps.append(_one_of(parameter))
    if len(steps) == 1:
        return steps[0]

    def check(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return check


def _type_of(parameter: Parameter) -> Check:
    match parameter.type:
        case "string":
            return _string
        case "integer":
            return _integer
        case "number":
            return _number
        case "boolean":
            return _boolean
        case "json":
            return _json_of_body if parameter.place == "body" else _json_of_text
        case _:
            assert_never(parameter.type)


def _string(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("must be text")
    return value


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.fullmatch(value) is not None:
        return int(value)
    if type(value) is float and value.is_integer():
        return int(value)
    raise ValueError("must be an integer")


def _number(value: Any) -> int | float:
    if type(value) is str and _NUMBER.fullmatch(value) is not None:
        value = float(value) if set(value) & set(".eE") else int(value)
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise ValueError("must be a number")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _BOOLEANS.get(value) if type(value) is str else None
    if found is None:
        raise ValueError("must be true or false")
    return found


def _json_of_text(value: Any) -> str:
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise ValueError("must be JSON") from None
    return str(value)


def _json_of_body(value: Any) -> str:
    return str(value) if isinstance(value, JsonText) else msgspec.json.encode(value).decode()


def _bounds(parameter: Parameter) -> list[Check]:
    checks: list[Check] = []
    if parameter.min is not None:
        checks.append(_at_least(parameter.min))
    if parameter.max is not None:
        checks.append(_at_most(parameter.max))
    if parameter.min_length is not None:
        checks.append(_long_enough(parameter.min_length))
    if parameter.max_length is not None:
        checks.append(_short_enough(parameter.max_length))
    if parameter.pattern is not None:
        checks.append(_like(parameter.pattern))
    return checks


def _at_least(least: float) -> Check:
    def check(value: Any) -> Any:
        if value < least:
            raise ValueError(f"must be at least {least}")
        return value

    return check


def _at_most(most: float) -> Check:
    def check(value: Any) -> Any:
        if value > most:
            raise ValueError(f"must be at most {most}")
        return value

    return check


def _long_enough(least: int) -> Check:
    def check(value: Any) -> Any:
        if len(value) < least:
            raise ValueError(f"must have at least {least} characters")
        return value

    return check


def _short_enough(most: int) -> Check:
    def check(value: Any) -> Any:
        if len(value) > most:
            raise ValueError(f"must have at most {most} characters")
        return value

    return check


def _like(pattern: str) -> Check:
    search = re.compile(pattern).search

    def check(value: Any) -> Any:
        if len(value) > PATTERN_CHARACTERS:
            raise ValueError(f"must have at most {PATTERN_CHARACTERS} characters")
        if search(value) is None:
            raise ValueError(f"must match the pattern {pattern}")
        return value

    return check


def _one_of(parameter: Parameter) -> Check:
    allowed = frozenset(parameter.enum)
    shown = ", ".join(_shown(value) for value in parameter.enum)

    def check(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(f"must be one of {shown}")
        return value

    return check


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
