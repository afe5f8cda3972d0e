"""What the library is to a language: code that is ready to be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from actors.functions.context import RunContext
from actors.functions.messages import FunctionFailure
from config.resources import Function

SAVED = 0
"""The version of a saved copy that is tested, deployed or not."""


class Program(Protocol):
    """The code of one version of one function, ready to be called; it sees to time, memory and size of results."""

    async def call(self, data: Any, context: RunContext) -> bytes:
        """Run it on one JSON value; the answer is JSON.

        Raises:
            FunctionError: it brought no result.
        """

    async def call_batch(self, items: Sequence[Any], context: RunContext) -> list[bytes | FunctionFailure]:
        """Run it on several values; as many answers, in their order.

        Raises:
            FunctionError: the whole batch brought no result.
        """

    def close(self) -> None:
        """Nobody will call it any more; calls in flight go on."""


class Programs(Protocol):
    """Makes programs out of functions, in every language."""

    def make(self, function: Function, version: int) -> Program:
        """A program for a version; `SAVED` for a test.

        Raises:
            ConfigurationError: its code is not there, or cannot be read; says why, and what to do.
        """
