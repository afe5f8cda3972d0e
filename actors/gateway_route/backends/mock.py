"""Backend `mock`: the same answer to every call."""

from __future__ import annotations

import msgspec

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call
from actors.http_calls.request_ids import HEADER
from actors.wire.http.messages import Response
from actors.wire.http.responses import check_header, has_body
from config.resources import MockBackend


class Mock:
    """A fixed answer, made once; a body that is not text is sent as JSON.

    Raises:
        ConfigurationError: a header that cannot be sent, or a body where the status has none.
    """

    takes_body = False
    waits = False

    def __init__(self, settings: MockBackend) -> None:
        text = isinstance(settings.body, str)
        body = settings.body.encode() if text else msgspec.json.encode(settings.body)
        if body and not has_body(settings.status):
            raise ConfigurationError(f"backend.mock.body: an answer of status {settings.status} has no body")
        headers = dict(settings.headers)
        for name, value in headers.items():
            try:
                check_header(name, value)
            except ValueError as error:
                raise ConfigurationError(f"backend.mock.headers: {error}") from error
            if name.lower() == HEADER.lower():
                raise ConfigurationError(f"backend.mock.headers: the header {name} is set by the gateway itself")
        if body and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "text/plain; charset=utf-8" if text else "application/json"
        self._response = Response(settings.status, tuple(headers.items()), body)

    def answer(self, _call: Call) -> Response:
        """The fixed answer."""
        return self._response
