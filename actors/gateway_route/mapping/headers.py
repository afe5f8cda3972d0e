"""Headers that a route sets, adds and takes away."""

from __future__ import annotations

from collections.abc import Mapping

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call
from actors.http_calls.request_ids import HEADER
from actors.wire.http.messages import HeaderFields, Response
from actors.wire.http.responses import check_header


class HeaderChanges:
    """Changes the headers of what a backend answers: a text is set, each of a list is added, None takes away.

    Raises:
        ConfigurationError: a header cannot be sent, or is the server's own.
    """

    __slots__ = ("_added", "_gone")

    def __init__(self, changes: Mapping[str, str | tuple[str, ...] | None]) -> None:
        self._gone = frozenset(name.lower() for name, value in changes.items() if not isinstance(value, tuple))
        self._added: HeaderFields = tuple(
            (name, text)
            for name, value in changes.items()
            for text in ((value,) if isinstance(value, str) else value or ())
        )
        for name in changes:
            _check(name, "x")
        for name, text in self._added:
            _check(name, text)

    def __call__(self, _call: Call, response: Response) -> Response:
        """Change an answer."""
        headers = response.headers
        if self._gone:
            headers = tuple(one for one in headers if one[0].lower() not in self._gone)
        return Response(response.status, (*headers, *self._added), response.body)


def _check(name: str, text: str) -> None:
    try:
        check_header(name, text)
    except ValueError as error:
        raise ConfigurationError(f"response_headers: {error}") from error
    if name.lower() == HEADER.lower():
        raise ConfigurationError(f"response_headers: the header {name} is set by the gateway itself")
