"""Bodies that are compressed on their way (RFC 9110 8.4): routes take none, so none can grow behind the limits."""

from __future__ import annotations

from actors.http_calls.errors import UNSUPPORTED_ENCODING, CallRefusedError
from actors.wire.http.messages import Request


def check_uncompressed(request: Request) -> None:
    """See that a body is what its bytes are.

    Raises:
        CallRefusedError: 415, and what is taken instead (RFC 9110 12.5.3).
    """
    for coding in request.header_values("content-encoding"):
        if coding.lower() not in {"", "identity"}:
            raise CallRefusedError(UNSUPPORTED_ENCODING, "send it uncompressed", (("Accept-Encoding", "identity"),))
