"""The id that every answer carries, so that a caller and an operator can speak of the same call."""

from __future__ import annotations

import re
import secrets
from itertools import count

from actors.wire.http.messages import Request

HEADER = "X-Request-Id"

# Ids are shown in logs, answers and pages: what quotes, markup and shells are made of is none.
_SANE = re.compile(r"[A-Za-z0-9._~:;,/+=@|#-]{1,128}")


class RequestIds:
    """Ids of one gateway: a random prefix, which tells one run from another, and a counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._counter = count(1)

    def choose(self, request: Request) -> str:
        """The caller's own id where it is sane (at most 128 letters, digits and `._~:;,/+=@|#-`), else a new one."""
        return self.take_over(request.header("x-request-id"))

    def take_over(self, given: str | None) -> str:
        """The id that a caller gave, where it is sane, else a new one."""
        return given if given is not None and _SANE.fullmatch(given) else self.new()

    def new(self) -> str:
        """An id nobody else has."""
        return f"{self._prefix}-{next(self._counter)}"
