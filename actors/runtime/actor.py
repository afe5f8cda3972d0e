"""What every actor is: a name, a mailbox, one owner task, and an end that leaves nobody waiting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from actors.errors import ActorGone
from actors.runtime.mailbox import Mailbox

M = TypeVar("M")


class Child(Protocol):
    """What a supervisor can run: an actor, a listener, or another supervisor."""

    async def run(self, started: Callable[[], None]) -> None:
        """Do the work until it ends; call `started` once, when those started after it may rely on it."""

    def stop(self) -> None:
        """Ask for a graceful end: take nothing new, finish what is here, return from `run`."""


class Actor(Generic[M]):
    """Owner of its state and of one mailbox; nobody else touches that state.

    A subclass implements `serve`. It is one nursery at most: the owner task and one helper that only moves bytes.
    """

    def __init__(self, name: str, mailbox: Mailbox[M]) -> None:
        self.name = name
        self.mailbox = mailbox

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until the mailbox is sealed and empty, or until cancelled; whoever still waits gets ActorGone."""
        with self.life():
            await self.serve(started)

    @abstractmethod
    async def serve(self, started: Callable[[], None]) -> None:
        """Call `started`, then take messages until `trio.EndOfChannel`."""

    def stop(self) -> None:
        """Take nothing new, finish what is here."""
        self.mailbox.seal()

    @contextmanager
    def life(self) -> Iterator[None]:
        """When the block ends, for whatever reason, close the mailbox and fail every open reply in it."""
        try:
            yield
        finally:
            fail_replies(self.mailbox.close(), ActorGone(self.name))


def fail_replies(messages: Iterable[object], error: BaseException) -> None:
    """Fail the reply slot of every message that has one."""
    for message in messages:
        reply = getattr(message, "reply", None)
        if reply is not None:
            reply.fail(error)
