"""Apps as callers: by signature, AppCode, key and secret in headers, or HTTP Basic."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.directory.signing import SigningKey
from actors.gateway_route.auth.identify import Named, Read
from actors.gateway_route.auth.signature import ALGORITHM
from actors.gateway_route.auth.signatures import Signatures
from actors.gateway_route.call import Call
from actors.http_calls.callers import BASIC_CHALLENGE, CODE_HEADER, Apps, app_by_basic, app_by_secret
from actors.http_calls.errors import BAD_APP, CallRefusedError
from actors.wire.http.messages import HeaderFields
from config.resources.route_parts import AppMethod

_ID_HEADER = "x-hw-id"
_KEY_HEADER = "x-hw-appkey"


class AppMethods:
    """The ways in which apps show who they are to one route.

    `appcode_over_http` takes AppCodes on connections that are not encrypted. `unsigned_payload` takes signatures that
    leave the body out. `clock` is the wall clock, in seconds.
    """

    def __init__(
        self, apps: Apps, clock: Callable[[], float], *, appcode_over_http: bool = False, unsigned_payload: bool = False
    ) -> None:
        self._apps = apps
        self._clock = clock
        self._appcode_over_http = appcode_over_http
        self._unsigned_payload = unsigned_payload
        self._challenge: HeaderFields = ()

    def compile(self, methods: Iterable[AppMethod]) -> tuple[tuple[Read, ...], Callable[[], CallRefusedError]]:
        """Readers for these methods, and what makes the error for a caller that shows nothing that they read."""
        chosen = frozenset(methods)
        self._challenge = _challenge(chosen)
        signatures = Signatures(self._holders, self.refuse, self._clock, unsigned_payload=self._unsigned_payload)
        readers: dict[AppMethod, Read] = {
            "appcode": self._by_code,
            "signature": signatures.read,
            "secret": self._by_secret,
            "basic": self._by_basic,
        }
        return tuple(read for method, read in readers.items() if method in chosen), self.refuse

    def refuse(self, detail: str = "") -> CallRefusedError:
        """401, and what it takes instead."""
        return CallRefusedError(BAD_APP, detail, self._challenge)

    def _holders(self, key: str) -> Iterable[tuple[str, SigningKey]]:
        return [(app.name, app.signing_key) for app in self._apps.apps_by_key(key)]

    def _by_code(self, call: Call) -> Named:
        codes = call.request.header_values(CODE_HEADER)
        if not codes:
            return None
        if not call.secure and not self._appcode_over_http:
            raise self.refuse("this API takes an AppCode over HTTPS only")
        app = self._apps.app_by_code(codes[0]) if len(codes) == 1 else None
        if app is None:
            raise self.refuse()
        return app.name

    def _by_secret(self, call: Call) -> Named:
        keys, secrets = call.request.header_values(_ID_HEADER), call.request.header_values(_KEY_HEADER)
        if not keys and not secrets:
            return None
        if len(keys) != 1 or len(secrets) != 1:
            raise self.refuse("X-HW-ID and X-HW-AppKey go together, each once")
        return self._known(app_by_secret(keys[0], secrets[0].encode("latin-1"), self._apps))

    def _by_basic(self, call: Call) -> Named:
        values = call.request.header_values("authorization")
        if not values or values[0][:6].lower() != "basic ":
            return None
        return self._known(app_by_basic(values[0], self._apps) if len(values) == 1 else None)

    def _known(self, app: str | None) -> str:
        if app is None:
            raise self.refuse()
        return app


def _challenge(methods: frozenset[AppMethod]) -> HeaderFields:
    """RFC 9110 11.6.1: a 401 says what is asked for."""
    if "basic" in methods:
        return BASIC_CHALLENGE
    scheme = ALGORITHM if "signature" in methods else "AppCode" if "appcode" in methods else "Secret"
    return (("WWW-Authenticate", f'{scheme} realm="penstock"'),)
