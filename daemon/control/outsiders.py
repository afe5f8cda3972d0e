"""Apps, devices and users who knock at the control API: known, and not let in."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from time import time

from actors.directory.directory import Directory
from actors.directory.users import TokenError, Users
from actors.http_calls.callers import CODE_HEADER


class Outsiders:
    """Tells a credential that is good elsewhere (403) from one that is good nowhere (401)."""

    def __init__(self, directory: Directory, users: Users, clock: Callable[[], float] = time) -> None:
        self._directory = directory
        self._users = users
        self._clock = clock

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request shows an app, a device or a user who they are."""
        headers = {name.lower(): value for name, value in headers.items()}
        return any(self._is_code(code) for code in _codes(headers)) or self._by_secret(headers) or self._token(headers)

    def _is_code(self, code: str) -> bool:
        return self._directory.app_by_code(code) is not None

    def _by_secret(self, headers: Mapping[str, str]) -> bool:
        shown = [(headers.get("x-hw-id", ""), headers.get("x-hw-appkey", "").encode())]
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(encoded.strip(), validate=True).partition(b":")
                shown.append((name.decode(), secret))
            except (binascii.Error, ValueError):
                pass
        return any(name and self._directory.authenticate(name, secret) is not None for name, secret in shown)

    def _token(self, headers: Mapping[str, str]) -> bool:
        for token in (headers.get("x-auth-token", ""), _bearer(headers)):
            try:
                self._users.holder(token, self._clock())
            except TokenError:
                continue
            return True
        return False


def _codes(headers: Mapping[str, str]) -> Iterator[str]:
    for code in (headers.get(CODE_HEADER, ""), _bearer(headers)):
        if code:
            yield code


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
