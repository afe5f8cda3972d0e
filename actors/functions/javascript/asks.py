"""What a call of a script asks its host for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
import trio

from actors.errors import PenstockError
from actors.functions.javascript.frames import MAX_FRAME, Ask, FrameError
from actors.functions.javascript.messages import Host
from actors.sizes import size_words

log = structlog.get_logger()

# The prelude holds scripts to less; whoever passes these has broken out of it.
_MAX_ASKS = 128
_MAX_ASK_BYTES = 32 * 1024 * 1024
# Of what a call asks for, so much is done at a time: each may bring megabytes, which lie here until they are taken.
_MOST_AT_WORK = 8
_MAX_ANSWER = MAX_FRAME - 1024
# Numbers, texts, lists and so on in the arguments of one: as Python's objects each takes some twenty times its text.
_MOST_VALUES = 200_000


class Asks:
    """What one call has asked for and not heard of.

    `answer` is given the number of an ask, whether it went well, and what it brought; it returns when that has left.
    `emptied` is called whenever nothing is under way any more.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        answer: Callable[[int, bool, bytes], Awaitable[None]],
        emptied: Callable[[], None],
    ) -> None:
        self._nursery = nursery
        self._answer = answer
        self._emptied = emptied
        self._room = trio.CapacityLimiter(_MOST_AT_WORK)
        self._scopes: set[trio.CancelScope] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._scopes)

    def begin(self, host: Host, ask: Ask) -> None:
        """Do what is asked for, in a task of its own.

        Raises:
            FrameError: more than any script can ask for is under way.
        """
        if len(self._scopes) >= _MAX_ASKS or self._bytes + len(ask.body) > _MAX_ASK_BYTES:
            raise FrameError("more requests than a script can make")
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self._bytes += len(ask.body)
        self._nursery.start_soon(self._do, host, ask, scope)

    def cancel(self) -> None:
        """Give all of it up."""
        for scope in self._scopes:
            scope.cancel()

    def end_by(self, deadline: float) -> None:
        """Give up at that time what is not done by then."""
        for scope in self._scopes:
            scope.deadline = deadline

    async def _do(self, host: Host, ask: Ask, scope: trio.CancelScope) -> None:
        try:
            with scope:
                async with self._room:
                    ok, body = await _answered(host, ask)
                    await self._answer(ask.number, ok, body)
        finally:
            self._scopes.discard(scope)
            self._bytes -= len(ask.body)
            if not self._scopes:
                self._emptied()


async def _answered(host: Host, ask: Ask) -> tuple[bool, bytes]:
    name, _, text = ask.body.partition(b" ")
    operation = name.decode("utf-8", "replace")
    if text.count(b",") + text.count(b"[") + text.count(b"{") > _MOST_VALUES:
        return False, f"{operation}: the arguments have more than {_MOST_VALUES:,} values".encode()
    try:
        arguments = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return False, f"{operation}: the arguments cannot be read: {error}".encode()
    try:
        answer = await host.call(operation, arguments)
        body = b"" if answer is None else msgspec.json.encode(answer, enc_hook=str)
    except PenstockError as error:
        return False, str(error).encode("utf-8", "replace")
    except Exception as error:
        log.exception("what a script asked for failed", operation=operation)
        return False, f"{operation} failed: {type(error).__name__}".encode()
    if len(body) > _MAX_ANSWER:
        told = f"{operation}: the answer has {len(body)} bytes, and at most {size_words(_MAX_ANSWER)} go to a script"
        return False, told.encode()
    return True, body
