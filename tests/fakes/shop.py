"""A shop that tests call: its app, a user, the routes whose callers sign, and a caller who signs."""

from __future__ import annotations

from typing import Any

from tests.fakes import signing

KEY, SECRET = "shop-key", "shop-secret-1"

APP = f"""
kind: app
name: shop
key: {KEY}
secret: {SECRET}
app_codes: [shop-code-1]
"""
USER = """
kind: user
name: ada
password: correct horse
access_keys: [{key: ada-ak, secret: ada-secret-1}]
"""
DATABASE = """
kind: connection
app: shop
name: db
connector: sqlite
settings: {path: shop.db}
"""
SIGNED_ROUTES = """
kind: route
app: shop
name: signed
request: {path: "/signed/{item}", method: ANY}
auth: {app: [signature]}
backend: {mock: {body: signed}}
---
kind: route
app: shop
name: unsigned
request: {path: /unsigned, method: ANY}
auth: {app: [signature], unsigned_payload: true}
backend: {mock: {body: unsigned}}
---
kind: route
app: shop
name: people
request: {path: /people, method: ANY}
auth: iam
backend: {mock: {body: people}}
"""


def manifest(*parts: str) -> str:
    """The resources of all the parts."""
    return "---".join(parts)


def ask(
    gateway: str,
    method: str,
    path: str,
    query: list[tuple[str, Any]] | None = None,
    *,
    key: str = KEY,
    secret: str = SECRET,
    sent: dict[str, Any] | None = None,
    **more: Any,
) -> tuple[int, str]:
    """What the gateway answers to a request that the SDK signed: status, and body or error code.

    `sent` is changed after signing; `more` are the request's `headers` and `body`.
    """
    sending = signing.signed(gateway, method, path, query, key=key, secret=secret, **more)
    return signing.send(gateway, sending | (sent or {}))
