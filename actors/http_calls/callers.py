"""Which app calls."""

from __future__ import annotations

import base64
import binascii
from typing import Protocol

from actors.directory.entries import AppEntry
from actors.directory.identities import AppIdentity, DisabledDevice, Identity
from actors.http_calls.errors import BAD_APP, CallRefusedError
from actors.wire.http.messages import Request

_CODE_HEADER = "x-apig-appcode"
_CHALLENGE = (("WWW-Authenticate", 'Basic realm="penstock", charset="UTF-8"'),)


class Apps(Protocol):
    """Of the directory, what those ask who are called."""

    def app_by_code(self, code: str) -> AppEntry | None:
        """The app that one of its AppCodes names."""

    def authenticate(self, username: str, password: bytes) -> Identity | DisabledDevice | None:
        """Who this is, by name or key, and secret."""


def calling_app(request: Request, apps: Apps) -> str:
    """The name of the app that calls: by an AppCode in `X-Apig-AppCode`, or by key and secret as HTTP Basic (RFC 7617).

    Raises:
        CallRefusedError: 401, it shows neither, or a wrong one.
    """
    app = _by_code(request, apps) or _by_secret(request, apps)
    if app is None:
        raise CallRefusedError(BAD_APP, headers=_CHALLENGE)
    return app


def _by_code(request: Request, apps: Apps) -> str | None:
    codes = request.header_values(_CODE_HEADER)
    app = apps.app_by_code(codes[0]) if len(codes) == 1 else None
    return app.name if app is not None else None


def _by_secret(request: Request, apps: Apps) -> str | None:
    values = request.header_values("authorization")
    if len(values) != 1:
        return None
    scheme, _, encoded = values[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, colon, secret = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        name = key.decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    # A device is no caller: only an app's key, which has no slash, is looked up.
    identity = apps.authenticate(name, secret) if colon and "/" not in name else None
    return identity.app if isinstance(identity, AppIdentity) else None
