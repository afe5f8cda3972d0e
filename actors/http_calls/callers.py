"""Which app calls."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Protocol

from actors.directory.entries import AppEntry
from actors.directory.identities import AppIdentity, DisabledDevice, Identity
from actors.http_calls.errors import BAD_APP, CallRefusedError
from actors.wire.http.messages import HeaderFields, Request

CODE_HEADER = "x-apig-appcode"
BASIC_CHALLENGE: HeaderFields = (("WWW-Authenticate", 'Basic realm="penstock", charset="UTF-8"'),)


class Apps(Protocol):
    """Of the directory, what those ask who are called."""

    def app_by_code(self, code: str) -> AppEntry | None:
        """The app that one of its AppCodes names."""

    def apps_by_key(self, key: str) -> Iterable[AppEntry]:
        """The apps that have this key."""

    def authenticate(self, username: str, password: bytes) -> Identity | DisabledDevice | None:
        """Who this is, by name or key, and secret."""


def calling_app(request: Request, apps: Apps) -> str:
    """The name of the app that calls: by an AppCode in `X-Apig-AppCode`, or by key and secret as HTTP Basic (RFC 7617).

    Raises:
        CallRefusedError: 401, it shows neither, or a wrong one.
    """
    app = _by_code(request, apps) or _by_basic(request, apps)
    if app is None:
        raise CallRefusedError(BAD_APP, headers=BASIC_CHALLENGE)
    return app


def app_by_secret(key: str, secret: bytes, apps: Apps) -> str | None:
    """The name of the app that has this key and secret."""
    # A device is no caller: only an app's key, which has no slash, is looked up.
    identity = apps.authenticate(key, secret) if "/" not in key else None
    return identity.app if isinstance(identity, AppIdentity) else None


def app_by_basic(authorization: str, apps: Apps) -> str | None:
    """The name of the app whose key and secret an `Authorization` header shows as HTTP Basic."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, colon, secret = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        name = key.decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return app_by_secret(name, secret, apps) if colon else None


def _by_code(request: Request, apps: Apps) -> str | None:
    codes = request.header_values(CODE_HEADER)
    app = apps.app_by_code(codes[0]) if len(codes) == 1 else None
    return app.name if app is not None else None


def _by_basic(request: Request, apps: Apps) -> str | None:
    values = request.header_values("authorization")
    return app_by_basic(values[0], apps) if len(values) == 1 else None
