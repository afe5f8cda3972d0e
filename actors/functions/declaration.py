"""How a plugin module declares a function, and what the function may call. Offered to plugins by `plugins.api`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, overload

import msgspec


class Rows(list[dict[str, Any]]):
    """The rows of a query, a dict for each; `affected` tells how many a statement changed that brings none."""

    __slots__ = ("affected",)

    def __init__(self, rows: Sequence[dict[str, Any]] = (), affected: int = 0) -> None:
        super().__init__(rows)
        self.affected = affected


class HttpAnswer(NamedTuple):
    """The answer to an outgoing call; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8 text; what is none is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return msgspec.json.decode(self.body)


class Published(NamedTuple):
    """Where a record lies that was published."""

    topic: str
    partition: int
    offset: int


class FunctionContext(Protocol):
    """What a function may do while it is called; what it may reach is what its app may reach.

    It is of no use once the call has ended. What is refused or fails raises PenstockError with a text that says why.
    """

    @property
    def function(self) -> str:
        """The function's name."""

    @property
    def version(self) -> int:
        """Which version of it runs; 0 for the saved copy in a test."""

    @property
    def app(self) -> str:
        """Whose function it is: it has this app's rights."""

    @property
    def caller(self) -> str:
        """The app that called it."""

    def log(self, message: str, **facts: Any) -> None:
        """Write a line into the log of this run; so many bytes of a run are kept."""

    async def query(self, connection: str, sql: str, /, **parameters: Any) -> Rows:
        """Run one statement with named parameters (`:name`), always bound.

        Raises:
            ConnectorError: there is no such connection for this app, it does not answer, or refuses the statement;
                ResultTooLargeError: the rows are more than `functions.max_rows` or `functions.max_query_bytes`.
        """

    async def http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        json: Any = None,
    ) -> HttpAnswer:
        """Call another system; `json` is sent in place of `body`. An answer of any status is an answer.

        Raises:
            OutgoingCallError: the address is not to be called, nobody answers there, or it answers too much.
        """

    async def publish(self, topic: str, data: Any, *, key: str | None = None) -> Published:
        """Store a record in a topic; it is committed when the call returns. `data` that is not bytes is sent as JSON.

        Raises:
            PenstockError: this app may not publish there, or the topic does not take it now.
        """


CallOne = Callable[[Any, FunctionContext], Awaitable[Any]]
CallMany = Callable[[Sequence[Any], FunctionContext], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class FunctionType:
    """What a plugin module declares with `@function`.

    `batch` takes several items at once and answers as many results in their order; where one item fails, its result is
    the exception. Without it, items are handed to `call` one after the other.
    """

    call: CallOne
    batch: CallMany | None = None


@overload
def function(call: CallOne, /) -> FunctionType: ...
@overload
def function(*, batch: CallMany | None = None) -> Callable[[CallOne], FunctionType]: ...
def function(
    call: CallOne | None = None, /, *, batch: CallMany | None = None
) -> FunctionType | Callable[[CallOne], FunctionType]:
    """Declare the function of a plugin module: `@function`, or `@function(batch=...)`.

    It is called with the data (decoded JSON) and a FunctionContext, in the daemon's own event loop (trio), and answers
    what can be written as JSON. It must not block.
    """
    if call is not None:
        return FunctionType(call)

    def declare(call: CallOne) -> FunctionType:
        return FunctionType(call, batch)

    return declare
