"""The key of a record: decides its partition, and with that what stays in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

KeyExtractor = Callable[[bytes], bytes | None]
"""Takes a payload and finds its key; None where it has none."""

# An index into what fits in one packet.
_INDEX_DIGITS = 9

SUFFIXES = tuple(f"~{number:02x}".encode() for number in range(256))
"""What `key_suffix: random` adds to a key: enough of them to reach every partition of the largest topic evenly."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def constant_key(key: str, device: str) -> bytes | None:
    """The key of every record of a device, for `device` (its name) and `none`."""
    return device.encode() if key == "device" else None


def compile_key(key: str) -> KeyExtractor | None:
    """What reads the key out of each payload, for a rule whose `key` is a path; None for `device` and `none`.

    The path is dotted (`deviceId`, `readings.0.lot`) and read in the payload, not in the envelope. Text is taken as
    it is, anything else as compact JSON. Where the field is missing or null, or the payload is not JSON, the record
    has no key.
    """
    if key in ("device", "none"):
        return None
    steps = tuple(key.split("."))

    def extract(payload: bytes) -> bytes | None:
        try:
            value = _walk(_decode(payload), steps)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if value is None:
            return None
        return value.encode() if isinstance(value, str) else _encode(value)

    return extract


def _walk(value: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        match value:
            case dict():
                value = value.get(step)
            case list() if step.isdecimal() and len(step) <= _INDEX_DIGITS and int(step) < len(value):
                value = value[int(step)]
            case _:
                return None
    return value
