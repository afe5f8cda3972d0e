"""What the attacks of this folder are aimed at: an instance with routes of every kind of lock, and two rival apps."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes import shop
from tests.fakes.daemon import ChildDaemon
from tests.fakes.plain_http import NO_TLS
from tests.fakes.raw_http import exchange

ISSUER = "https://id.example.com/"

OWN = """
kind: app
name: rival
key: rival-key
secret: rival-secret-1
app_codes: [rival-code-1]
---
kind: app
name: metered
key: metered-key
secret: metered-secret-1
app_codes: [metered-code-1, metered-code-2]
quota: {calls: 20, period: 365d}
---
kind: product
app: shop
name: sensor
protocol: mqtt
services: [{name: s, properties: [{name: n, type: integer}]}]
---
kind: device
app: shop
product: sensor
name: one
secret: device-secret-1
---
kind: topic
app: shop
name: orders
access: publish+subscribe
---
kind: environment
name: dev
---
kind: route
app: shop
name: orders
request: {path: "/orders/{id}", method: ANY}
auth: app
backend: {mock: {body: an order}}
---
kind: route
app: shop
name: tokens
request: {path: /tokens}
auth: {jwt: {jwks_file: keys.json, issuer: "https://id.example.com/", audience: [shop], algorithms: [RS256]}}
backend: {mock: {body: a token}}
---
kind: route
app: shop
name: open
request: {path: /open}
auth: none
backend: {mock: {body: open}}
---
kind: route
app: shop
name: account
auth: none
request:
  path: /account
  method: POST
  undeclared: refuse
  parameters:
    - {name: name, in: body, type: string, required: true, max_length: 20}
    - {name: amount, in: body, type: integer, min: 1, max: 10, default: 1}
backend:
  data:
    connection: db
    sql: "SELECT :name AS name, :amount AS amount, :role AS role, :caller AS caller"
    parameters: [{name: role, constant: guest}, {name: caller, system: source_address}]
---
kind: route
app: shop
name: events
auth: none
request: {path: /events, method: POST}
backend: {topic: {topic: orders}}
---
kind: route
app: metered
name: metered
request: {path: /metered, method: ANY}
auth: app
backend: {mock: {body: counted}}
---
kind: throttle
app: shop
name: ten
limit: 10
period: 1d
by: address
---
kind: route
app: shop
name: tickets
request: {path: /tickets, method: ANY}
auth: none
throttles: [ten]
backend: {mock: {body: a ticket}}
---
kind: route
app: shop
name: broken
request: {path: /broken}
auth: none
backend: {data: {connection: db, sql: "SELECT * FROM no_such_table"}}
"""
MANIFEST = shop.manifest(shop.APP, shop.USER, shop.DATABASE, shop.SIGNED_ROUTES, OWN)


class Site:
    """The instance, and the tools of those who attack it."""

    def __init__(self, daemon: ChildDaemon) -> None:
        self.daemon = daemon
        self.private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.private_key.public_key()))
        (daemon.data / "keys.json").write_text(json.dumps({"keys": [public | {"kid": "k1", "use": "sig"}]}))

    @property
    def gateway(self) -> str:
        assert self.daemon.note is not None
        return self.daemon.note.gateway

    def call(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        with self.daemon.gateway() as client:
            return client.request(method, path, **more)

    def refusal(self, path: str, method: str = "GET", **more: Any) -> tuple[int, str]:
        """Status and code of an answer that must be an error, in the one shape that errors have."""
        answer = self.call(path, method, **more)
        body = answer.json()
        assert set(body) == {"error_code", "error_msg", "request_id"}, answer.text
        assert answer.headers["x-request-id"] == body["request_id"]
        return answer.status_code, body["error_code"]

    def signed(
        self,
        method: str,
        path: str,
        query: list[tuple[str, Any]] | None = None,
        **more: Any,
    ) -> tuple[int, str]:
        """What comes of a request that the SDK signed (see `shop.ask`)."""
        return shop.ask(self.gateway, method, path, query, **more)

    def token(self, *, key: Any = None, algorithm: str = "RS256", headers: Any = None, **claims: Any) -> str:
        """A token that is right but for what is asked."""
        right = {"iss": ISSUER, "aud": "shop", "exp": int(time.time()) + 300, "sub": "ada"}
        kept = {name: value for name, value in (right | claims).items() if value is not None}
        return jwt.encode(kept, key or self.private_key, algorithm=algorithm, headers={"kid": "k1"} | (headers or {}))

    def raw(self, *pieces: bytes, seconds: float = 20.0) -> bytes:
        """All that comes back for these bytes until the server closes; it may do so before it has them all."""
        return exchange(self.gateway, *pieces, seconds=seconds)

    def control(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """The control API, with other credentials than its own."""
        assert self.daemon.note is not None
        with httpx.Client(verify=NO_TLS, base_url=f"http://{self.daemon.note.control}/api/v1/", timeout=30) as client:
            return client.request(method, path, headers=headers or {}, **more)

    def apply_refused(self, manifest: str) -> str:
        """Why a manifest is not applied."""
        with self.daemon.control() as client:
            answer = client.post("/api/v1/apply", content=manifest.encode())
        assert answer.status_code == 400, answer.text
        return " ".join(one["reason"] for one in answer.json()["details"])


def basic(key: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}


def status_of(answer: bytes) -> int:
    """The status of a raw answer; 0 where there is none."""
    return int(answer.split(b" ", 2)[1]) if answer else 0
