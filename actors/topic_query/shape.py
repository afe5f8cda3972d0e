"""A message as a query shows it. Pure."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from actors.records import StoredRecord
from actors.topic_partition.mask import mask_value
from config.moments import format_moment
from config.resources import Mask


def message(partition: int, record: StoredRecord, mask: Mask | None = None) -> dict[str, Any]:
    """A message ready for JSON.

    `{partition, offset, timestamp, key, key_format, headers, value, value_format}`: the value is JSON as it was written
    where it is JSON (`json`), else `text` where it is UTF-8, else `base64`; `none` where there is none. Headers are
    `{name, value, format}` in their order. Masked fields show `***`.
    """
    value = record.value
    if value is not None and mask is not None:
        value = mask_value(mask, value)
    key, key_format = _text(record.key)
    shown, value_format = _value(value)
    return {
        "partition": partition,
        "offset": record.offset,
        "timestamp": format_moment(record.timestamp),
        "key": key,
        "key_format": key_format,
        "headers": [_header(name, content) for name, content in record.headers],
        "value": shown,
        "value_format": value_format,
    }


def _value(value: bytes | None) -> tuple[Any, str]:
    if value:
        try:
            msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            return msgspec.Raw(value), "json"
    return _text(value)


def _text(content: bytes | None) -> tuple[str | None, str]:
    if content is None:
        return None, "none"
    try:
        return content.decode(), "text"
    except UnicodeDecodeError:
        return base64.b64encode(content).decode(), "base64"


def _header(name: str, content: bytes) -> dict[str, Any]:
    value, value_format = _text(content)
    return {"name": name, "value": value, "format": value_format}
