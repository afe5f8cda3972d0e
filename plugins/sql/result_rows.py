"""The rows of a result, bounded while they come."""

from __future__ import annotations

from typing import Any

import msgspec

from plugins.api import ResultLimits, ResultTooLargeError


class ResultRows:
    """Rows as they come, within limits."""

    def __init__(self, limits: ResultLimits) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self._limits = limits
        self._bytes = 0

    def add(self, row: tuple[Any, ...]) -> None:
        """Keep one more row.

        Raises:
            ResultTooLargeError: it is one too many, or the bytes are.
        """
        self.rows.append(row)
        self._bytes += sum(map(_size, row))
        if len(self.rows) > self._limits.rows or self._bytes > self._limits.bytes:
            raise ResultTooLargeError(
                f"the result is larger than {self._limits.rows} rows or {self._limits.bytes} bytes; "
                "ask for less, with LIMIT"
            )


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (dict, list)):
        return len(msgspec.json.encode(value, enc_hook=str))
    return 8
