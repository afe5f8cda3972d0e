"""Which pages of other origins may call a route: the CORS protocol of the Fetch standard, 3.2."""

from __future__ import annotations

from actors.errors import ConfigurationError
from actors.http_calls.errors import ACCESS_DENIED, CallRefusedError
from actors.wire.http.checks import METHODS
from actors.wire.http.messages import HeaderFields, Request, Response
from config.resources import Cors

ORIGIN_HEADER = "origin"
METHOD_HEADER = "access-control-request-method"

_EVERY = "*"
_ALLOW_ORIGIN = "Access-Control-Allow-Origin"
_PREFIX = "access-control-"
_VARY: HeaderFields = (("Vary", "Origin"),)


class CrossOrigin:
    """Answers preflights of one route, and tells browsers who may read its answers.

    What a backend says of this is taken out: two policies in one answer are none. An origin that may not call is told
    so in a preflight; an actual request of it is answered all the same, and its browser keeps the answer from the page.

    Raises:
        ConfigurationError: every origin were let in with credentials.
    """

    __slots__ = ("_any", "_asked", "_origins", "_said")

    def __init__(self, settings: Cors, method: str) -> None:
        self._any = _EVERY in settings.origins
        if self._any and settings.credentials:
            raise ConfigurationError("cors: `*` does not go with `credentials: true`; write down which origins")
        self._origins = frozenset(settings.origins)
        allowed: HeaderFields = (("Access-Control-Allow-Credentials", "true"),) if settings.credentials else ()
        exposed = (("Access-Control-Expose-Headers", ", ".join(settings.expose)),) if settings.expose else ()
        self._said: HeaderFields = (*allowed, *exposed)
        headers = (("Access-Control-Allow-Headers", ", ".join(settings.headers)),) if settings.headers else ()
        self._asked: HeaderFields = (
            *allowed,
            ("Access-Control-Allow-Methods", ", ".join(settings.methods or _methods(method))),
            *headers,
            ("Access-Control-Max-Age", str(settings.max_age)),
            # Which route answers depends on the method that is asked for.
            ("Vary", "Origin, Access-Control-Request-Method"),
        )

    def preflight(self, request: Request) -> Response:
        """The answer to a page that asks before it calls.

        What methods and headers there are is said whatever it asks for: its browser knows best what it lacks.

        Raises:
            CallRefusedError: 403, its origin may not call.
        """
        granted = self._granted(request)
        if granted is None:
            raise CallRefusedError(ACCESS_DENIED, "pages of this origin may not call this API", _VARY)
        return Response(204, ((_ALLOW_ORIGIN, granted), *self._asked))

    def tagged(self, request: Request, response: Response) -> Response:
        """An answer, with who may read it; also one that is an error."""
        headers = response.headers
        if any(name[:15].lower() == _PREFIX for name, _ in headers):
            headers = tuple(one for one in headers if not one[0].lower().startswith(_PREFIX))
        granted = self._granted(request)
        if granted is not None:
            headers = (*headers, (_ALLOW_ORIGIN, granted), *self._said)
        # Also where there was no origin: a cache must not give this answer to who has one (Fetch 3.2.6).
        return Response(response.status, headers if self._any else (*headers, *_VARY), response.body)

    def _granted(self, request: Request) -> str | None:
        """The origin that the answer is for; None where there is none, or one that may not call."""
        if self._any:
            return _EVERY
        origins = request.header_values(ORIGIN_HEADER)
        return origins[0] if len(origins) == 1 and origins[0] in self._origins else None


def asked_by(request: Request) -> str | None:
    """The method that a page asks for, where a request is a preflight at all."""
    return None if request.header(ORIGIN_HEADER) is None else request.header(METHOD_HEADER)


def _methods(method: str) -> tuple[str, ...]:
    match method:
        case "ANY":
            return tuple(sorted(METHODS))
        case "GET":
            return ("GET", "HEAD")
        case _:
            return (method,)
