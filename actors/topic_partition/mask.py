"""Masks: the values of named JSON fields become `***`, and everything else stays as it was written."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import msgspec

from actors.records import Record, StoredRecord
from config.resources import Mask

R = TypeVar("R", Record, StoredRecord)

STARS = "***"

Masker: TypeAlias = Callable[[bytes], bytes]

_Tree: TypeAlias = dict[str, "_Tree"]
_Opener: TypeAlias = Callable[[Any], dict[str, Any] | list[Any] | None]

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE = b" \t\r\n"
_WHOLE = b'"***"'


def mask_for(app: str | None, owner: str, mask: Mask | None) -> Mask | None:
    """What of a topic an app must not see; None where it may see all. `app` is None for queries and tails.

    What is masked at reading its owner sees. What is masked at the store nobody does: there may be records from before
    it was.
    """
    if mask is None or (mask.at == "read" and app == owner):
        return None
    return mask


def mask_value(mask: Mask, value: bytes) -> bytes:
    """A record's value with the fields of the mask replaced by `***`.

    A path goes into objects by name; in a list a number picks one entry, and a name goes into every entry. What is not
    JSON has no fields and stays as it is, as does everything beside the masked fields, to the byte.
    """
    return masker(mask.fields)(value)


def mask_records(mask: Mask, records: Sequence[R]) -> Sequence[R]:
    """Records with masked values; the very same sequence where nothing had to be masked."""
    apply = masker(mask.fields)
    masked: list[R] | None = None
    for i, record in enumerate(records):
        value = record.value
        if value is None:
            continue
        replaced = apply(value)
        if replaced is not value:
            if masked is None:
                masked = list(records)
            masked[i] = record._replace(value=replaced)
    return records if masked is None else masked


@lru_cache(maxsize=256)
def masker(fields: tuple[str, ...]) -> Masker:
    """What masks the fields of one value; made once for each mask."""
    tree = _tree(fields)
    # A value in which no masked name stands, and none can stand escaped, need not be parsed.
    names = tuple({field.rpartition(".")[2].encode() for field in fields if not field[-1].isdecimal()})
    always = any(field[-1].isdecimal() for field in fields)

    def apply(value: bytes) -> bytes:
        if b"\0" in value or value.startswith(BOM_UTF8):
            return _masked_leniently(value, tree)
        if not always and b"\\" not in value and not any(name in value for name in names):
            return value
        try:
            masked = _masked(value, tree, _opened)
        except msgspec.DecodeError:
            return _masked_leniently(value, tree)
        except RecursionError:
            return _WHOLE  # nobody can tell what stands that deep inside
        return value if masked is None else msgspec.json.encode(masked)

    return apply


def _tree(fields: Iterable[str]) -> _Tree:
    """Names by level. A field that is masked as a whole has nothing below it."""
    tree: _Tree = {}
    for field in sorted(fields, key=lambda field: -field.count(".")):
        node = tree
        for name in field.split("."):
            node = node.setdefault(name, {})
        node.clear()
    return tree


def _opened(value: bytes | msgspec.Raw) -> dict[str, Any] | list[Any] | None:
    """The members or entries of a JSON value, each as it is written; None where it has none."""
    text = bytes(value).lstrip(_SPACE)
    if text.startswith(b"{"):
        return _object.decode(text)
    return _array.decode(text) if text.startswith(b"[") else None


def _masked_leniently(value: bytes, tree: _Tree) -> bytes:
    """What a lenient parser takes for JSON (NaN, half a surrogate pair, UTF-16) is masked too, and written anew."""
    try:
        masked = _masked(json.loads(value), tree, lambda inner: inner if isinstance(inner, dict | list) else None)
    except ValueError:
        return value
    except RecursionError:
        return _WHOLE
    return value if masked is None else json.dumps(masked).encode()


def _masked(value: Any, tree: _Tree, opened: _Opener) -> Any:
    """The value with the fields of the tree masked; None where it has none of them."""
    if not tree:
        return STARS
    inside = opened(value)
    if inside is None:
        return None
    replaced = _of_object(inside, tree, opened) if isinstance(inside, dict) else _of_array(inside, tree, opened)
    return inside if replaced else None


def _of_object(members: dict[str, Any], tree: _Tree, opened: _Opener) -> bool:
    found = False
    for name, below in tree.items():
        if name in members:
            masked = _masked(members[name], below, opened)
            if masked is not None:
                members[name], found = masked, True
    return found


def _of_array(entries: list[Any], tree: _Tree, opened: _Opener) -> bool:
    found = False
    of_each = {name: below for name, below in tree.items() if not name.isdecimal()}
    for i, entry in enumerate(entries):
        below = tree.get(str(i), of_each)
        masked = _masked(entry, below, opened) if below or str(i) in tree else None
        if masked is not None:
            entries[i], found = masked, True
    return found
