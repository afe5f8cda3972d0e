"""What both ways of writing a parameter have in common, whatever the dialect: `:name` and `${name}`. Pure."""

from __future__ import annotations

import re

from plugins.api import StatementError

NAME = r"[^\W\d]\w*"
"""A parameter's name, as a regular expression."""

_BRACED = re.compile(rf"\$\{{({NAME})\}}")
_WHOLE = re.compile(rf"'\$\{{({NAME})\}}'")


def name_in_quotes(text: str, joined: str = "'...' || :{name}") -> str | None:
    """The parameter that a quoted text stands for: `'${name}'` is the parameter `name`, as a bound value.

    `joined` is how the dialect joins a text and a parameter, for the error's advice.

    Raises:
        StatementError: the parameter is only a part of the text, or of a name, where nothing can be bound.
    """
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        return whole[1]
    inside = _BRACED.search(text)
    if inside is None:
        return None
    shown, name = inside[0], inside[1]
    if text.startswith("'"):
        raise StatementError(
            f"the parameter {shown} stands inside a text, where it cannot be bound; put it outside: "
            f"{joined.format(name=name)}"
        )
    raise StatementError(
        f"the parameter {shown} stands inside a name: only values are bound, tables and columns are not"
    )


def not_a_name(text: str) -> StatementError:
    """The error for `${...}` around something else."""
    return StatementError(f"{text} is no parameter: its name has letters, digits and underscores, and no digit first")
