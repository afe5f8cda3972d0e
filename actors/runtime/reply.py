"""One-shot answers: the only way anything comes back from an actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Reply(Generic[T]):
    """A slot for one answer, which the answering actor fills once.

    The asker either waits (`await reply.wait()`) or hands in `notify`, which is called, without an argument, when the
    answer is there: so a session with many answers outstanding needs no task for each of them.
    """

    __slots__ = ("_error", "_event", "_notify", "_taken", "_value", "done")

    def __init__(self, notify: Callable[[], None] | None = None) -> None:
        self.done = False
        self._taken = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._notify = notify
        self._event: trio.Event | None = None

    def set(self, value: T) -> None:
        """Answer. A second answer is ignored: the asker already went on with the first."""
        self._fill(value, None)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, which is raised where the answer is read."""
        self._fill(None, error)

    def take(self) -> bool:
        """Begin what is asked; False where nobody asks it any more. For actors whose askers may withdraw."""
        self._taken = not self.done
        return self._taken

    def withdraw(self, error: BaseException) -> bool:
        """Ask no more; False where it has begun, or is done: then the answer must be waited for."""
        if self._taken or self.done:
            return False
        self._fill(None, error)
        return True

    def also(self, notify: Callable[[], None]) -> None:
        """Call `notify` as well when the answer is there: now, if it is. For one who asks what another one asked."""
        if self.done:
            notify()
            return
        before = self._notify

        def both() -> None:
            if before is not None:
                before()
            notify()

        self._notify = both

    @property
    def error(self) -> BaseException | None:
        """The error of a failed answer; None while there is no answer or a good one."""
        return self._error

    def value(self) -> T:
        """The answer, or its error raised; only to be called once `done`."""
        if not self.done:
            raise RuntimeError("there is no answer yet")
        if self._error is not None:
            # One error may answer many askers: without this, each of them would lengthen its traceback.
            raise self._error.with_traceback(None)
        return self._value  # type: ignore[return-value]  # set() took a T

    async def wait(self) -> T:
        """Wait for the answer and return it.

        Raises:
            ActorGone: the actor ended before it answered.
        """
        if not self.done:
            if self._event is None:
                self._event = trio.Event()
            await self._event.wait()
        else:
            await trio.lowlevel.checkpoint()
        return self.value()

    def _fill(self, value: T | None, error: BaseException | None) -> None:
        if self.done:
            return
        self.done = True
        self._value = value
        self._error = error
        if self._event is not None:
            self._event.set()
        if self._notify is not None:
            self._notify()
