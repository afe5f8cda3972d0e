"""YAML nodes -> typed values, guided by the msgspec type that is wanted.

Where text is wanted, a plain scalar's source text is taken as it was written (`012345670`, `10:20:30:40:50:10`,
`1.10`, `true`), except for `null`, `~` and nothing at all: those are None where text *or nothing* is wanted, and
refused elsewhere, so that nobody's title becomes "null". Everything that is wrong is collected, not only the first.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import inspect

from config.errors import Problem
from config.wording import cut, describe, hint, names, suggest
from config.yaml import Items, Node, Pairs, Scalar, is_null, resolve


class Invalid:
    """Stands for a value that could not be built; the reason has been collected."""

    def __repr__(self) -> str:
        """As it shows in a debugger."""
        return "INVALID"


INVALID: Final = Invalid()

# Which type of a union takes a scalar that the core schema reads as a value of this Python type, best first.
_TAKERS: Mapping[type, tuple[type[inspect.Type], ...]] = {
    bool: (inspect.BoolType,),
    int: (inspect.IntType, inspect.FloatType),
    float: (inspect.FloatType,),
    str: (inspect.StrType,),
}
_SCALARS = frozenset({inspect.StrType, inspect.IntType, inspect.FloatType, inspect.BoolType})


@functools.cache
def type_of(wanted: Any) -> inspect.Type:
    """The description of a type, made once."""
    return inspect.type_info(wanted)


def _bare(wanted: inspect.Type) -> inspect.Type:
    return wanted.type if isinstance(wanted, inspect.Metadata) else wanted


def _is_default(value: Any, field: inspect.Field) -> bool:
    """A default that was written out is that default: msgspec knows by identity what to leave out when it encodes."""
    return type(value) is type(field.default) and bool(value == field.default)


class Decoder:
    """Builds values out of nodes, and collects what is wrong in `problems` (without file, document and subject)."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._builders: Mapping[type[inspect.Type], Callable[[Node, Any, str], Any]] = {
            inspect.Metadata: self._metadata,
            inspect.StructType: self._struct,
            inspect.UnionType: self._union,
            inspect.VarTupleType: self._items,
            inspect.ListType: self._items,
            inspect.DictType: self._dict,
            inspect.StrType: self._text,
            inspect.IntType: self._number,
            inspect.FloatType: self._number,
            inspect.BoolType: self._boolean,
            inspect.LiteralType: self._literal,
            inspect.AnyType: self._any,
        }

    def build(self, node: Node, wanted: Any, path: str = "$") -> Any:
        """The value of a node as the type `wanted`, or INVALID when something in it is wrong."""
        return self._build(node, type_of(wanted), path)

    def refuse(self, node: Node, path: str, reason: str) -> Invalid:
        """Collect a problem."""
        self.problems.append(Problem(reason=reason, line=node.line, path=path))
        return INVALID

    def _build(self, node: Node, wanted: inspect.Type, path: str) -> Any:
        return self._builders[type(wanted)](node, wanted, path)

    def _metadata(self, node: Node, wanted: inspect.Metadata, path: str) -> Any:
        """A type with a description, which says in words what the pattern of a text asks for."""
        if isinstance(wanted.type, inspect.StrType):
            return self._text(node, wanted.type, path, (wanted.extra_json_schema or {}).get("description", ""))
        return self._build(node, wanted.type, path)

    def _struct(self, node: Node, wanted: inspect.StructType, path: str) -> Any:
        if not isinstance(node, Pairs):
            return self._mismatch(node, path, wanted)
        before = len(self.problems)
        fields = {field.encode_name: field for field in wanted.fields}
        values: dict[str, Any] = {}
        for key, value in self._unique(node, path):
            field = fields.get(key.text)
            if field is not None:
                built = self._build(value, field.type, f"{path}.{key.text}")
                values[field.name] = field.default if _is_default(built, field) else built
            elif key.text != wanted.tag_field:
                self.refuse(key, path, f"unknown field `{cut(key.text)}`{suggest(key.text, fields)}")
        for field in wanted.fields:
            if field.required and field.name not in values:
                self.refuse(node, path, f"the field `{field.encode_name}` is missing")
        return INVALID if len(self.problems) > before else self._construct(wanted.cls, values, node, path)

    def _construct(self, cls: type, values: dict[str, Any], node: Node, path: str) -> Any:
        try:
            return cls(**values)
        except ValueError as error:
            return self.refuse(node, path, str(error))

    def _unique(self, node: Pairs, path: str) -> Iterator[tuple[Scalar, Node]]:
        lines: dict[str, int] = {}
        for key, value in node.pairs:
            if key.text in lines:
                self.refuse(key, path, f"`{cut(key.text)}` is written twice, first in line {lines[key.text]}")
            else:
                lines[key.text] = key.line
                yield key, value

    def _union(self, node: Node, wanted: inspect.UnionType, path: str) -> Any:
        options = {type(_bare(option)): option for option in wanted.types}
        if inspect.NoneType in options and is_null(node):
            return None
        if isinstance(node, Pairs):
            taker = options.get(inspect.StructType) or options.get(inspect.DictType)
        elif isinstance(node, Items):
            taker = options.get(inspect.VarTupleType) or options.get(inspect.ListType)
        else:
            taker = self._scalar_taker(node, options)
        return self._build(node, taker, path) if taker else self._mismatch(node, path, *wanted.types)

    def _scalar_taker(self, node: Scalar, options: Mapping[type, inspect.Type]) -> inspect.Type | None:
        """Text, where it is the only scalar that is wanted, takes all as written; else the core schema decides."""
        literal = options.get(inspect.LiteralType)
        if isinstance(literal, inspect.LiteralType) and (
            node.text in literal.values or options.keys() <= _ONLY_LITERAL
        ):
            return literal
        scalars = options.keys() & _SCALARS
        if len(scalars) == 1:
            return options[scalars.pop()]
        try:
            value = resolve(node)
        except ValueError:
            return options.get(inspect.IntType) or options.get(inspect.FloatType)
        return next((options[taker] for taker in _TAKERS.get(type(value), ()) if taker in options), None)

    def _items(self, node: Node, wanted: inspect.VarTupleType | inspect.ListType, path: str) -> Any:
        if not isinstance(node, Items):
            return self._mismatch(node, path, wanted)
        before = len(self.problems)
        values = [self._build(item, wanted.item_type, f"{path}[{i}]") for i, item in enumerate(node.items)]
        self._check_length(node, wanted, len(values), "entries", path)
        if len(self.problems) > before:
            return INVALID
        return tuple(values) if isinstance(wanted, inspect.VarTupleType) else values

    def _dict(self, node: Node, wanted: inspect.DictType, path: str) -> Any:
        if not isinstance(node, Pairs):
            return self._mismatch(node, path, wanted)
        before = len(self.problems)
        values: dict[str, Any] = {}
        for key, value in self._unique(node, path):
            if isinstance(wanted.key_type, inspect.Metadata):
                self._build(key, wanted.key_type, path)
            values[key.text] = self._build(value, wanted.value_type, f"{path}.{key.text}")
        self._check_length(node, wanted, len(values), "entries", path)
        return INVALID if len(self.problems) > before else values

    def _text(self, node: Node, wanted: inspect.StrType, path: str, words: str = "") -> Any:
        if not isinstance(node, Scalar):
            return self._mismatch(node, path, wanted)
        if is_null(node):
            reason = f'{node.text} means nothing at all; write "{node.text}" in quotes for that text'
            empty = 'nothing is written here; write "" for empty text or leave the field out'
            return self.refuse(node, path, reason if node.text else empty)
        if wanted.pattern and not re.search(wanted.pattern, node.text):
            expected = words or f"text that matches {wanted.pattern}"
            return self.refuse(node, path, f"expected {expected}, got {describe(node)}")
        ok = self._check_length(node, wanted, len(node.text), "characters", path)
        return node.text if ok else INVALID

    def _check_length(self, node: Node, wanted: Any, length: int, unit: str, path: str) -> bool:
        if wanted.min_length is not None and length < wanted.min_length:
            reason = f"must have at least {wanted.min_length} {unit}, has {length}" if length else "must not be empty"
            self.refuse(node, path, reason)
        elif wanted.max_length is not None and length > wanted.max_length:
            self.refuse(node, path, f"must have at most {wanted.max_length} {unit}, has {length}")
        else:
            return True
        return False

    def _number(self, node: Node, wanted: inspect.IntType | inspect.FloatType, path: str) -> Any:
        value = self._resolved(node, path)
        if value is INVALID:
            return INVALID
        fits = type(value) is int or (type(value) is float and isinstance(wanted, inspect.FloatType))
        if not fits:
            return self._mismatch(node, path, wanted)
        for sign, bound, holds in (
            ("at least", wanted.ge, wanted.ge is None or value >= wanted.ge),
            ("more than", wanted.gt, wanted.gt is None or value > wanted.gt),
            ("at most", wanted.le, wanted.le is None or value <= wanted.le),
            ("less than", wanted.lt, wanted.lt is None or value < wanted.lt),
        ):
            if not holds:
                return self.refuse(node, path, f"must be {sign} {bound}, got {value}")
        return value if isinstance(wanted, inspect.IntType) else float(value)

    def _boolean(self, node: Node, wanted: inspect.BoolType, path: str) -> Any:
        value = self._resolved(node, path)
        return value if isinstance(value, bool | Invalid) else self._mismatch(node, path, wanted)

    def _literal(self, node: Node, wanted: inspect.LiteralType, path: str) -> Any:
        if not isinstance(node, Scalar):
            return self._mismatch(node, path, wanted)
        if node.text in wanted.values:
            return node.text
        choices = [str(value) for value in wanted.values]
        reason = f"Invalid enum value '{cut(node.text)}', expected one of {', '.join(choices)}"
        return self.refuse(node, path, reason)

    def _any(self, node: Node, wanted: inspect.AnyType, path: str) -> Any:
        match node:
            case Scalar():
                return self._resolved(node, path)
            case Items():
                return [self._any(item, wanted, f"{path}[{i}]") for i, item in enumerate(node.items)]
            case Pairs():
                pairs = self._unique(node, path)
                return {key.text: self._any(value, wanted, f"{path}.{key.text}") for key, value in pairs}

    def _resolved(self, node: Node, path: str) -> Any:
        """What the core schema makes of a scalar; None for what is none."""
        if not isinstance(node, Scalar):
            return None
        try:
            return resolve(node)
        except ValueError as error:
            return self.refuse(node, path, str(error))

    def _mismatch(self, node: Node, path: str, *wanted: inspect.Type) -> Invalid:
        return self.refuse(node, path, f"expected {names(wanted)}, got {describe(node)}{hint(node, wanted)}")


_ONLY_LITERAL = frozenset({inspect.LiteralType, inspect.NoneType})
