"""A bridge for connectors that need none."""

from collections.abc import Awaitable, Callable


class NoBridge:
    async def call(self, function: Callable[[], Awaitable[object]]) -> object:
        raise AssertionError(f"{function} has no business on the island")
