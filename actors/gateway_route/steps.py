"""What stands around the backend of a route: made once, when a version of it is compiled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from actors.gateway_route.access_log import Observer
from actors.gateway_route.caching import CachedAnswers
from actors.gateway_route.call import Call, Step
from actors.gateway_route.compression import Compressor
from actors.gateway_route.cross_origin import CrossOrigin
from actors.wire.http.messages import Response

After = Callable[[Call, Response], Response | Awaitable[Response]]
"""One thing that is done to an answer; one that must wait returns what is to be awaited, as a step does."""


class NamedStep(NamedTuple):
    """A step under the name that traces tell it by."""

    name: str
    step: Step


class NamedAfter(NamedTuple):
    """What is done to answers, likewise."""

    name: str
    after: After


class Steps(NamedTuple):
    """The way of a call; what a route does not use is not among them.

    `head` works on the request's head alone: what is refused there never sends its body. `body` comes once the body is
    read, which it asks for by being there. `after` is done to the answers of the backend, which may come out of
    `cache`; `compressor` comes last. `cross_origin` answers preflights, and tags every answer, also errors. `observe`
    is told of calls that have their answer.
    """

    head: tuple[NamedStep, ...] = ()
    body: tuple[NamedStep, ...] = ()
    after: tuple[NamedAfter, ...] = ()
    cache: CachedAnswers | None = None
    compressor: Compressor | None = None
    cross_origin: CrossOrigin | None = None
    observe: Observer | None = None
