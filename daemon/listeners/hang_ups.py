"""Which clients have hung up while their request is being worked on."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Protocol, TypeVar

# Linux tells that the other side sends no more also where what it sent before is still unread. Elsewhere a client that
# leaves is noticed once the answer is written.
_NO_MORE = getattr(select, "POLLRDHUP", 0)
_HUNG_UP = _NO_MORE | select.POLLHUP | select.POLLERR


class Waiting(Protocol):
    """A connection whose client waits for an answer."""

    @property
    def descriptor(self) -> int:
        """The file descriptor of its socket."""


W = TypeVar("W", bound=Waiting)


def hung_up(waiting: Iterable[W]) -> list[W]:
    """Those whose client sends no more: with one system call for all of them, which does not block.

    A client that ends only its own direction after a request, and would still read, looks the same as one that is gone
    and counts as that, as it does with most servers.
    """
    by_descriptor = {one.descriptor: one for one in waiting}
    if not by_descriptor:
        return []
    poll = select.poll()
    for descriptor in by_descriptor:
        poll.register(descriptor, _NO_MORE)
    return [by_descriptor[descriptor] for descriptor, events in poll.poll(0) if events & _HUNG_UP]
