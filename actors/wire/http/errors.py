"""How a request is refused before, or while, anybody handles it."""

from __future__ import annotations

from actors.errors import PenstockError

BAD_REQUEST = 400
METHOD_NOT_ALLOWED = 405
REQUEST_TIMEOUT = 408
CONTENT_TOO_LARGE = 413
URI_TOO_LONG = 414
EXPECTATION_FAILED = 417
MISDIRECTED = 421
# Not registered, but what gateways answer: it tells a long header from a long body.
HEADERS_TOO_LARGE = 494
INTERNAL_ERROR = 500
NOT_IMPLEMENTED = 501
SERVICE_UNAVAILABLE = 503


class RequestRefusedError(PenstockError):
    """A request that cannot be served; the connection ends after the answer, since where the next begins is unsure.

    Attributes:
        status: the status code to answer with.
        reason: what is wrong with the request, for its sender.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
