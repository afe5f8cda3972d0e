"""One call on its way through a route, and the steps that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from actors.wire.http.messages import Request, Response
from config.resources import RELEASE

NO_VALUES: Mapping[str, Any] = {}


class Caller(msgspec.Struct, frozen=True):
    """Who calls: `name` is the app's, the user's or the token's subject; `app` the app that the call counts for.

    `claims` is what is said of the caller: by its token, or by authorizers, whose `mark` tells such callers apart.
    """

    kind: Literal["none", "app", "user", "jwt", "custom"]
    name: str = ""
    app: str | None = None
    claims: Mapping[str, Any] = NO_VALUES
    mark: str = ""


NOBODY = Caller("none")


class Call(msgspec.Struct):
    """Made once a request; steps fill it in as they go.

    `path` has the parameters of the path, decoded, and `rest` what is below a route's prefix. `parameters` are those
    that the backend gets, `body` what was read of the request (empty where nothing asked for it). `peer_ip` is the
    caller's address without its port. `timings` takes `(step, seconds)` of each step, and is there only in tests and
    where a caller may debug. `debug` takes headers for the answer, and is there only where its caller asked for them
    and has the right to.
    """

    request: Request
    request_id: str = ""
    stage: str = RELEASE
    group: str = ""
    peer_ip: str = ""
    caller: Caller = NOBODY
    path: Mapping[str, str] = NO_VALUES
    rest: str = ""
    parameters: Mapping[str, Any] = NO_VALUES
    body: bytes = b""
    timings: list[tuple[str, float]] | None = None
    debug: list[tuple[str, str]] | None = None
    reasons: list[str] | None = None

    @property
    def secure(self) -> bool:
        """Whether the request came encrypted."""
        return self.request.tls is not None


Step = Callable[[Call], Response | Awaitable[None] | None]
"""One thing that is done to a call: an answer ends it, None lets it go on; raises CallRefusedError to refuse it.

One that must wait returns what is to be awaited, and only then: nobody pays for a coroutine that waits for nothing.
"""
