"""Checks reports against the thing model of their product.

A product's properties are compiled into a Struct of msgspec, which checks while it decodes: types, required, lengths,
enumerations and bounds. What msgspec has no word for (an enumeration of numbers, bounds beyond 53 bits) is checked
after. Types are those of JSON Schema, told apart as written: `1.0` and `true` are not integers; null is no value.
Properties that the model does not know are let through.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from config.resources import Product, Property

Checker = Callable[[bytes], str | None]
"""Takes a payload; None where it is good, else the reason (at most REASON_LENGTH characters, never the payload)."""

REASON_LENGTH = 200

# Integers up to here are the same in every JSON reader, and msgspec takes them as bounds.
_EXACT = 2**53

_TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_MISSING = "Object missing required field `"
# msgspec's names of types, and those that people write in a thing model.
_WORDS = {"`str`": "string", "`int`": "integer", "`float`": "number", "`bool`": "boolean"}


class _Field(NamedTuple):
    """A property, the service it stands in, and its name in the Struct."""

    service: str
    prop: Property
    attribute: str

    @property
    def label(self) -> str:
        return f"{self.service}.{self.prop.name}"


class _Rest(NamedTuple):
    """What is left to check of a field once it is decoded."""

    field: _Field
    accepts: Callable[[Any], bool]
    reason: str


def compile_checker(product: Product) -> Checker | None:
    """What checks the reports of a product against all its enabled services; None where any payload is good."""
    services = [service for service in product.services if service.enabled]
    if not services:
        return None
    layers: list[list[_Field]] = [[]]
    seen: Counter[str] = Counter()
    for service in services:
        for prop in service.properties:
            # Two services may both speak of one property; a payload must keep what either asks.
            depth = seen[prop.name]
            seen[prop.name] += 1
            if depth == len(layers):
                layers.append([])
            layers[depth].append(_Field(service.name, prop, f"p{len(layers[depth])}"))
    return _join([_compile_layer(layer) for layer in layers])


def check_json(payload: bytes) -> str | None:
    """Check that a payload is one JSON value in UTF-8; the reason where it is not."""
    try:
        payload.decode()
        _ANY_JSON.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _malformed(error)
    return None


_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)


def _join(checkers: Sequence[Checker]) -> Checker:
    if len(checkers) == 1:
        return checkers[0]

    def check_all(payload: bytes) -> str | None:
        for check in checkers:
            reason = check(payload)
            if reason is not None:
                return reason
        return None

    return check_all


def _compile_layer(fields: Sequence[_Field]) -> Checker:
    decode = msgspec.json.Decoder(_struct(fields)).decode
    rest = [check for field in fields for check in _rest(field)]
    by_name = {field.prop.name: field for field in fields}

    def check(payload: bytes) -> str | None:
        try:
            if not payload.isascii():
                payload.decode()
            decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _reason(error, by_name)
        return None

    def check_with_rest(payload: bytes) -> str | None:
        reason = check(payload)
        return reason if reason is not None else _check_rest(decode(payload), rest)

    return check_with_rest if rest else check


def _check_rest(report: Any, rest: Sequence[_Rest]) -> str | None:
    for field, accepts, reason in rest:
        value = getattr(report, field.attribute)
        if value is not msgspec.UNSET and not accepts(value):
            return f"{field.label}: {reason}"[:REASON_LENGTH]
    return None


def _struct(fields: Sequence[_Field]) -> type[msgspec.Struct]:
    required = [(field.attribute, _annotation(field.prop)) for field in fields if field.prop.required]
    optional = [
        (field.attribute, _annotation(field.prop) | msgspec.UnsetType, msgspec.UNSET)
        for field in fields
        if not field.prop.required
    ]
    names = {field.attribute: field.prop.name for field in fields}
    return msgspec.defstruct("Report", [*required, *optional], rename=names)


def _annotation(prop: Property) -> Any:
    kind = _TYPES[prop.type]
    if prop.enum:
        return Literal[_choices(prop)] if _is_literal(prop) else kind
    if prop.type == "string":
        return Annotated[kind, msgspec.Meta(max_length=prop.max_length)]
    if prop.type == "boolean":
        return kind
    low, high = (bound if _is_exact(bound) else None for bound in (prop.min, prop.max))
    if prop.type == "integer":
        low, high = (None if low is None else math.ceil(low)), (None if high is None else math.floor(high))
    return Annotated[kind, msgspec.Meta(ge=low, le=high)]


def _rest(field: _Field) -> list[_Rest]:
    """The checks that the annotation of a field does not cover."""
    prop = field.prop
    if prop.enum:
        choices = _choices(prop)
        return [] if _is_literal(prop) else [_Rest(field, lambda value: value in choices, _one_of(prop))]
    if prop.type in ("integer", "number") and not (_is_exact(prop.min) and _is_exact(prop.max)):
        return [_Rest(field, lambda value: _is_within(value, prop), f"is not within {prop.min} and {prop.max}")]
    return []


def _is_literal(prop: Property) -> bool:
    """Whether msgspec can check the enumeration: it knows those of strings and of integers that are not too large."""
    choices = _choices(prop)
    if prop.type == "integer":
        return bool(choices) and all(map(_is_exact, choices))
    return bool(choices) and prop.type == "string"


def _choices(prop: Property) -> tuple[Any, ...]:
    """The values of an enumeration that its property can take at all."""
    return tuple(value for value in prop.enum if _is_of_type(value, prop) and _is_within(value, prop))


def _is_of_type(value: object, prop: Property) -> bool:
    if isinstance(value, bool):
        return prop.type == "boolean"
    if isinstance(value, str):
        return prop.type == "string"
    return prop.type == "number" or (prop.type == "integer" and isinstance(value, int))


def _is_within(value: Any, prop: Property) -> bool:
    if isinstance(value, str):
        return prop.max_length is None or len(value) <= prop.max_length
    return (prop.min is None or value >= prop.min) and (prop.max is None or value <= prop.max)


def _is_exact(bound: float | None) -> bool:
    return bound is None or abs(bound) <= _EXACT


def _one_of(prop: Property) -> str:
    return f"is none of {', '.join(map(repr, prop.enum))}"


def _reason(error: Exception, by_name: dict[str, _Field]) -> str:
    """What msgspec said, in the words of the thing model; payloads are never quoted."""
    if not isinstance(error, msgspec.ValidationError):
        return _malformed(error)
    text = str(error)
    missing = by_name.get(text.removeprefix(_MISSING).removesuffix("`")) if text.startswith(_MISSING) else None
    if missing is not None:
        return f"{missing.label}: is missing"[:REASON_LENGTH]
    message, _, path = text.partition(" - at `$.")
    field = by_name.get(path.removesuffix("`"))
    if field is None:
        return f"the payload is not a JSON object: {_in_words(message)}"[:REASON_LENGTH]
    if message.startswith("Invalid enum value"):
        message = _one_of(field.prop)
    return f"{field.label}: {_in_words(message)}"[:REASON_LENGTH]


def _in_words(message: str) -> str:
    for name, word in _WORDS.items():
        message = message.replace(name, word)
    return message


def _malformed(error: Exception) -> str:
    match error:
        case UnicodeDecodeError():
            reason = f"the payload is not UTF-8: {error.reason} at byte {error.start}"
        case RecursionError():
            reason = "the payload is nested too deeply"
        case _:
            reason = f"the payload is not JSON: {error}"
    return reason[:REASON_LENGTH]
