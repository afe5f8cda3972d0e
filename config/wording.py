"""How errors speak of types, of what was written instead, and of what was perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from msgspec import inspect

from config.yaml import Items, Node, Pairs, Scalar, is_null, resolve

_SHOWN = 60
_NAMES: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.VarTupleType: "a list",
    inspect.ListType: "a list",
}


def cut(text: str) -> str:
    """A text as far as it is worth showing, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def describe(node: Node) -> str:
    """What stands there: `a list`, `nothing`, `5`, `'text'`, `"1" (quoted text)`."""
    match node:
        case Pairs():
            return "a mapping"
        case Items():
            return "a list"
        case Scalar(plain=False):
            return f'"{cut(node.text)}" (quoted text)' if _means_something_else(node.text) else f"'{cut(node.text)}'"
        case Scalar(text=""):
            return "nothing"
    return cut(node.text) if _means_something_else(node.text) else f"'{cut(node.text)}'"


def _means_something_else(text: str) -> bool:
    """Whether the text would be no text were it written without quotes."""
    try:
        return not isinstance(resolve(Scalar(text, 0, plain=True)), str)
    except ValueError:
        return True


def hint(node: Node, wanted: Iterable[inspect.Type]) -> str:
    """What to do about a scalar that is not of a wanted type, where there is a usual mistake behind it."""
    types = {type(option) for option in wanted}
    if not isinstance(node, Scalar) or not types & {inspect.BoolType, inspect.IntType, inspect.FloatType}:
        return ""
    if not node.plain and not is_null(Scalar(node.text, 0, plain=True)) and _means_something_else(node.text):
        return "; write it without quotes"
    if inspect.BoolType in types and node.text.lower() in {"yes", "no", "on", "off", "y", "n"}:
        return "; YAML 1.2 knows only true and false"
    return ""


def names(options: Iterable[inspect.Type]) -> str:
    """What is wanted: `text`, `a whole number`, `a list or a mapping`."""
    types = [option for option in options if not isinstance(option, inspect.NoneType)]
    if any(isinstance(option, inspect.FloatType) for option in types):
        types = [option for option in types if not isinstance(option, inspect.IntType)]
    return " or ".join(dict.fromkeys(_name(option) for option in types))


def _name(option: inspect.Type) -> str:
    bare = option.type if isinstance(option, inspect.Metadata) else option
    if isinstance(bare, inspect.LiteralType):
        choices = [str(value) for value in bare.values]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else f"`{choices[0]}`"
    return _NAMES.get(type(bare), "a mapping")


def suggest(written: str, known: Iterable[str]) -> str:
    """What to append to a complaint about an unknown word: the nearest one, else all of them."""
    choices = list(known)
    near = difflib.get_close_matches(written, choices, 1)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known here: {', '.join(choices)}"
