"""Apps, users and routes for the tests of who may call."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable
from hashlib import sha256
from time import gmtime, strftime
from typing import Any

import msgspec

from actors.directory.directory import Directory
from actors.directory.entries import AccessKeyEntry, AppEntry, UserEntry
from actors.directory.signing import SigningKey
from actors.directory.users import Users
from actors.gateway_route.auth import signature
from actors.gateway_route.auth.access_lists import AccessLists
from actors.gateway_route.auth.compile import Identities, compile_identity
from actors.gateway_route.auth.grants import Grants
from actors.gateway_route.auth.jwks import KeySets, KeySourceError
from actors.gateway_route.auth.signature import EMPTY_PAYLOAD
from actors.gateway_route.call import Call, Caller
from actors.wire.http.messages import Request
from actors.wire.http.tls import TlsSession
from config.resources import RELEASE, Auth, Jwt, MockBackend, Route, RouteBackend, RouteRequest

TLS = TlsSession("TLSv1.3")
SIGNED = ("host", "x-sdk-date")


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def digest(secret: bytes) -> bytes:
    return hmac.digest(b"instance", secret, "sha256")


def app(name: str) -> AppEntry:
    secret = f"{name}-secret".encode()
    return AppEntry(name, f"{name}-key", digest(secret), (digest(f"{name}-code".encode()),), SigningKey(secret))


def user(name: str = "ada", *, enabled: bool = True, password: str = "hash") -> UserEntry:
    return UserEntry(name, password, (AccessKeyEntry(f"{name}-ak", name, SigningKey(f"{name}-sk".encode())),), enabled)


class KeyServer:
    """Where key sets come from: bytes, or an error."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.asked = 0

    async def __call__(self, _settings: Jwt) -> bytes:
        self.asked += 1
        if self.answer is None:
            raise KeySourceError("it is down")
        return self.answer


class World:
    """Owner, friend and stranger; user ada; nothing granted, no lists, no keys."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.directory = Directory(digest)
        for name in ("owner", "friend", "stranger"):
            self.directory.put_app(app(name))
        self.users = Users(digest)
        self.users.put(user())
        self.grants = Grants()
        self.lists = AccessLists()
        self.server = KeyServer()
        keys = KeySets(self.server, self.clock)
        self.identities = Identities(self.directory, self.users, self.grants, self.lists, keys, self.clock)

    async def ask(
        self,
        request: Request,
        route: Route,
        *,
        environment: str = RELEASE,
        peer: str = "192.0.2.1",
        secure: bool = False,
    ) -> Caller:
        """Who calls; raises what its caller would hear."""
        call = Call(msgspec.structs.replace(request, tls=TLS if secure else None), peer_ip=peer)
        identity = compile_identity(route, environment, self.identities)
        if identity.address is not None:
            identity.address(call)
        waiting: Awaitable[None] | None = None if identity.identify is None else identity.identify(call)
        if waiting is not None:
            await waiting
        return call.caller

    def signed(
        self,
        method: str = "GET",
        path: str = "/lots",
        query: str = "",
        *,
        key: str = "owner-key",
        secret: bytes = b"owner-secret",
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        payload: str | None = None,
    ) -> Request:
        """A signed request; with `payload` in X-Sdk-Content-Sha256."""
        date = strftime("%Y%m%dT%H%M%SZ", gmtime(self.clock.now))
        fields = [("host", "api"), ("x-sdk-date", date), *headers]
        if payload is not None:
            fields.append(("x-sdk-content-sha256", payload))
        asked = Request(method, path, query, fields, body)
        hashed = payload or (sha256(body).hexdigest() if body else EMPTY_PAYLOAD)
        names = tuple(name for name, _ in fields)
        fields.append(("authorization", signature.sign(asked, key, SigningKey(secret), names, hashed)))
        return Request(method, path, query, fields, body)


def route(auth: Auth | str = "app", **more: Any) -> Route:
    return Route(
        name="lots",
        app="owner",
        request=RouteRequest(path="/lots"),
        backend=RouteBackend(mock=MockBackend()),
        auth=auth,
        **more,
    )


def with_headers(**headers: str) -> Request:
    return Request("GET", "/lots", "", [(name.replace("_", "-"), value) for name, value in headers.items()])


def basic(key: str, secret: str) -> Request:
    return with_headers(authorization="Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode())
