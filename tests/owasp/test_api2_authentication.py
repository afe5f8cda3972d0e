"""OWASP API2:2023, broken authentication."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes import signing
from tests.owasp.site import Site, basic

MOVED: list[dict[str, Any]] = [
    {"method": "PUT"},
    {"uri": "/signed/2?a=1"},
    {"uri": "/signed/1%2F?a=1"},
    {"uri": "/signed/1?a=2"},
    {"uri": "/signed/1?a=1&admin=1"},
    {"uri": "/signed/1"},
    {"body": b"another"},
    {"body": b""},
]


def test_api2_a_signature_that_was_moved(site: Site) -> None:
    """To another method, path, query, body or value of a signed header: 401; nothing of it can be used again."""
    right = {"headers": {"X-Order": "7"}, "body": b"body"}
    assert site.signed("POST", "/signed/1", [("a", "1")], **right) == (200, "signed")
    for sent in MOVED:
        answer = site.signed("POST", "/signed/1", [("a", "1")], sent=sent, **right)
        assert answer == (401, "APIC.0303"), sent


def test_api2_a_signed_header_that_was_changed(site: Site) -> None:
    """Changed, taken out or told twice."""
    made = signing.signed(
        site.gateway, "GET", "/signed/1", headers={"X-Order": "7"}, key="shop-key", secret="shop-secret-1"
    )
    for order in ({"X-Order": "8"}, {"X-Order": None}, {"X-Order": "7, 7"}):
        headers = {name: value for name, value in (made["headers"] | order).items() if value is not None}
        assert signing.send(site.gateway, made | {"headers": headers}) == (401, "APIC.0303"), order
    lines = [f"{name}: {value}" for name, value in made["headers"].items()]
    head = "\r\n".join(["GET /signed/1 HTTP/1.1", *lines, "X-Order: 8", "Connection: close", "", ""])
    assert site.raw(head.encode("latin-1")).startswith(b"HTTP/1.1 401 ")


def test_api2_an_old_signature(site: Site) -> None:
    """Older than 15 minutes, or of as long in the future: 401, though it was right once."""
    for away, status in ((-16 * 60, 401), (16 * 60, 401), (-14 * 60, 200), (14 * 60, 200)):
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + away))
        assert site.signed("GET", "/signed/1", headers={"X-Sdk-Date": date})[0] == status, away


def test_api2_wrong_signers(site: Site) -> None:
    """A wrong secret, a key that nobody has, an empty secret, a signature of zeros."""
    assert site.signed("GET", "/signed/1", secret="wrong") == (401, "APIC.0303")
    assert site.signed("GET", "/signed/1", key="nobody") == (401, "APIC.0303")
    made = signing.signed(site.gateway, "GET", "/signed/1", key="shop-key", secret="shop-secret-1")
    right = made["headers"]["Authorization"]
    for forged in (right[:-64] + "0" * 64, right[:-1], right[:-1] + "g", right.replace("SHA256", "SHA1"), ""):
        assert signing.send(site.gateway, made | {"headers": made["headers"] | {"Authorization": forged}})[0] == 401


def test_api2_an_unsigned_payload(site: Site) -> None:
    """UNSIGNED-PAYLOAD passes only where the route allows it, and the body's hash cannot be claimed either."""
    text = {"headers": {"Content-Type": "text/plain"}, "body": b"text"}
    assert site.signed("POST", "/signed/1", **text) == (401, "APIC.0303")
    assert site.signed("POST", "/unsigned", **text) == (200, "unsigned")
    claimed = {"headers": {"X-Sdk-Content-Sha256": "0" * 64, "Content-Type": "application/json"}, "body": b"{}"}
    assert site.signed("POST", "/signed/1", **claimed) == (401, "APIC.0303")
    assert site.signed("POST", "/unsigned", **claimed) == (401, "APIC.0303")


def test_api2_tokens_that_prove_nothing(site: Site) -> None:
    """`alg: none`, a public key used as a secret, another key, another issuer or audience, too old, without an end."""
    bearer = {"Authorization": f"Bearer {site.token()}"}
    assert site.call("/tokens", headers=bearer).text == "a token"
    public = site.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = site.token()
    claims = {"iss": "https://id.example.com/", "aud": "shop", "exp": int(time.time()) + 300}
    forged = {
        "none": part({"alg": "none", "typ": "JWT"}) + "." + part(claims) + ".",
        "None": part({"alg": "NoNe", "kid": "k1"}) + "." + part(claims) + ".",
        "stripped": good.rpartition(".")[0] + ".",
        "no signature": good.rpartition(".")[0],
        "claims exchanged": ".".join([good.split(".")[0], part(claims | {"sub": "root"}), good.split(".")[2]]),
        "HMAC with the public key": hmac_token(claims, public),
        "another key": site.token(key=other),
        "key in the token": site.token(key=other, headers={"jwk": json.loads(jwk_of(other))}),
        "key at an address": site.token(key=other, headers={"jku": "http://127.0.0.1:1/", "kid": "x"}),
        "key in a file": site.token(key=other, headers={"kid": "../../../../dev/null"}),
        "another issuer": site.token(iss="https://evil.example.com/"),
        "another audience": site.token(aud="bank"),
        "no audience": site.token(aud=None),
        "expired": site.token(exp=int(time.time()) - 3600),
        "without an end": site.token(exp=None),
        "not yet": site.token(nbf=int(time.time()) + 3600),
        "end of another type": site.token(exp="9999999999x"),
        "another algorithm": site.token(algorithm="RS512"),
        "critical extension": site.token(headers={"crit": ["x"], "x": 1}),
        "noise": "a.b.c",
        "huge": "a" * 20_000,
        "deep": base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
    }
    for what, token in forged.items():
        assert site.refusal("/tokens", headers={"Authorization": f"Bearer {token}"}) == (401, "APIC.0305"), what
    assert site.refusal("/tokens", headers={"Authorization": "Bearer"}) == (401, "APIC.0305")
    assert site.refusal("/tokens") == (401, "APIC.0305")


def test_api2_two_identities_in_one_call(site: Site) -> None:
    """A credential that is told twice is none, so that nobody is asked which of the two counts."""
    first, second = basic("shop-key", "shop-secret-1"), basic("rival-key", "rival-secret-1")
    for pair in (
        [*first.items(), *second.items()],
        [("X-Apig-AppCode", "shop-code-1"), ("X-Apig-AppCode", "rival-code-1")],
        [("X-HW-ID", "shop-key"), ("X-HW-ID", "rival-key"), ("X-HW-AppKey", "shop-secret-1")],
    ):
        assert site.refusal("/orders/1", headers=pair) == (401, "APIC.0303"), pair
    bearer = f"Bearer {site.token()}"
    assert site.refusal("/tokens", headers=[("Authorization", bearer), ("Authorization", bearer)])[0] == 401


def test_api2_guesses_lock_a_users_key(site: Site) -> None:
    """Five failures lock an access key, also for who then guesses right; an app's route is not locked by it."""
    for _ in range(5):
        assert site.signed("GET", "/people", key="ada-ak", secret="guess") == (401, "APIC.0301")
    assert site.signed("GET", "/people", key="ada-ak", secret="ada-secret-1") == (401, "APIC.0301")
    assert site.signed("GET", "/signed/1") == (200, "signed")


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def hmac_token(claims: dict[str, Any], secret: bytes) -> str:
    """By hand, since libraries refuse to make one with a key like this."""
    signing = part({"alg": "HS256", "kid": "k1"}) + "." + part(claims)
    signature = hmac.digest(secret, signing.encode(), "sha256")
    return f"{signing}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def jwk_of(key: rsa.RSAPrivateKey) -> str:
    return str(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512", "RS1"])
def test_api2_algorithms_that_prove_nothing(site: Site, algorithm: str) -> None:
    """A route that would take them is refused where it is written."""
    manifest = (
        "{kind: route, app: shop, name: weak, request: {path: /weak}, backend: {mock: {}}, "
        f"auth: {{jwt: {{jwks_file: keys.json, issuer: x, audience: [x], algorithms: [{algorithm}]}}}}}}"
    )
    assert "prove" in site.apply_refused(manifest)
