"""The rows of a result, bounded while they come."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from plugins.api import ResultLimits, ResultTooLargeError

_BYTES_A_CHARACTER = 4
_ROW_ROOM = 64 * 1024


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
            self._refuse()

    def expect(self, size: int) -> None:
        """A row of so many bytes, as they come over the network, is about to be read.

        Raises:
            ResultTooLargeError: it cannot be within the limits.
        """
        if size > self._limits.bytes * _BYTES_A_CHARACTER + _ROW_ROOM:
            self._refuse()

    def _refuse(self) -> NoReturn:
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
