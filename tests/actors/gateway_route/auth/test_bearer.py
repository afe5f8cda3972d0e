from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from actors.gateway_route.auth.bearer import load_key
from actors.gateway_route.auth.jwks import KeySourceError, parse_keys
from actors.gateway_route.call import Caller
from actors.http_calls.errors import CallRefusedError
from config.resources import Auth, Jwt
from tests.actors.gateway_route.auth.people import World, route, with_headers

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC = ec.generate_private_key(ec.SECP256R1())
SETTINGS = Jwt(jwks_url="https://id.example.com/keys", issuer="https://id.example.com", audience=("lots",))


def public(key: Any, **more: str) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), **more}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def make_world(*keys: dict[str, Any]) -> World:
    world = World()
    world.server.answer = key_set(*(keys or (public(RSA, kid="a"), public(EC, kid="b"))))
    return world


def claims(world: World, **more: Any) -> dict[str, Any]:
    given = {
        "iss": "https://id.example.com", "aud": "lots", "sub": "ada", "exp": int(world.clock.now) + 300, **more,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def bearer(token: str) -> Any:
    return with_headers(authorization=f"Bearer {token}")


async def ask(world: World, token: str, settings: Jwt = SETTINGS) -> Caller:
    # A route is compiled once; the set is kept for as long as one of them uses it.
    return await world.ask(bearer(token), route(Auth(jwt=settings)))


async def refused(world: World, token: str, settings: Jwt = SETTINGS) -> tuple[str, int, str]:
    with pytest.raises(CallRefusedError) as caught:
        await ask(world, token, settings)
    return caught.value.error.code, caught.value.error.status, caught.value.detail


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"), [(RSA, "RS256", "a"), (EC, "ES256", "b"), (RSA, "RS256", None)]
)
async def test_a_good_token_names_its_subject(key: Any, algorithm: str, key_id: str | None) -> None:
    """A token that the issuer signed opens the route, and its claims come along."""
    world = make_world()
    headers = {} if key_id is None else {"kid": key_id}
    caller = await ask(world, jwt.encode(claims(world, role="clerk"), key, algorithm, headers))
    assert (caller.kind, caller.name, caller.app) == ("jwt", "ada", None)
    assert caller.claims["role"] == "clerk"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"iss": None}, "iss is missing"),
        ({"aud": "others"}, "audience"),
        ({"aud": None}, "aud is missing"),
        ({"exp": None}, "exp is missing"),
        ({"exp": 1_699_999_939}, "expired"),
        ({"exp": "soon"}, "numbers"),
        ({"exp": float("nan")}, "expired"),
        ({"nbf": 1_700_000_061}, "not valid yet"),
        ({"iat": 1_700_000_061}, "not valid yet"),
        ({"nbf": True}, "numbers"),
        ({"sub": 7}, "not valid"),
    ],
)
async def test_wrong_claims(change: dict[str, Any], reason: str) -> None:
    """A token for others, from others, of another time, or without what it must have: 401 APIC.0305."""
    world = make_world()
    code, status, detail = await refused(world, jwt.encode(claims(world, **change), RSA, "RS256", {"kid": "a"}))
    assert (code, status) == ("APIC.0305", 401)
    assert reason in detail


async def test_clocks_may_differ_a_little() -> None:
    """Times count with the leeway that the route gives them."""
    world = make_world()
    now = int(world.clock.now)
    assert (await ask(world, jwt.encode(claims(world, exp=now - 59, nbf=now + 59), RSA, "RS256"))).name == "ada"


async def test_required_claims() -> None:
    """A claim that the route asks for must be there."""
    world = make_world()
    settings = Jwt(jwks_file="keys.json", required_claims=("role",))
    assert (await refused(world, jwt.encode(claims(world), RSA, "RS256"), settings))[2] == "the claim role is missing"
    assert (await ask(world, jwt.encode(claims(world, role="x"), RSA, "RS256"), settings)).claims["role"] == "x"


async def test_no_algorithm_and_confused_algorithms_are_refused() -> None:
    """`none`, a public key as a secret of HS256, an algorithm that is not named, another key's: 401."""
    world = make_world()
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = {"kid": "a"}
    body = jwt.encode(claims(world), RSA, "RS256", header).split(".")[1]
    confused = _hs256(body, pem)
    tokens = [
        jwt.encode(claims(world), None, "none"),
        confused,
        jwt.encode(claims(world), RSA, "RS512", header),
        jwt.encode(claims(world), OTHER_RSA, "RS256", header),
        jwt.encode(claims(world), EC, "ES256", header),
        jwt.encode(claims(world), RSA, "RS256", header).rpartition(".")[0] + ".",
        "",
        "a.b.c",
        "x" * 20_000,
    ]
    for token in tokens:
        assert (await refused(world, token))[:2] == ("APIC.0305", 401)
    with pytest.raises(CallRefusedError) as caught:
        await world.ask(with_headers(), route(Auth(jwt=SETTINGS)))
    assert caught.value.headers == (("WWW-Authenticate", 'Bearer realm="penstock"'),)


def _hs256(body: str, secret: bytes) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"a"}').decode().rstrip("=")
    seal = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(seal).decode().rstrip('=')}"


async def test_a_key_is_for_its_algorithm_only() -> None:
    """A key that its set binds to one algorithm checks no other one, and one that is too short none at all."""
    world = make_world(public(RSA, kid="a", alg="PS256"))
    assert (await refused(world, jwt.encode(claims(world), RSA, "RS256", {"kid": "a"})))[0] == "APIC.0305"
    world = make_world(public(SHORT_RSA, kid="a"))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(claims(world), SHORT_RSA, "RS256", {"kid": "a"})
    assert (await refused(world, token))[0] == "APIC.0305"


async def test_keys_are_kept_and_rotated() -> None:
    """Keys are read once for many tokens, again when one is not known or they have grown old, but not in a rush."""
    world = make_world(public(RSA, kid="a"))
    route_ = route(Auth(jwt=SETTINGS))
    keep = world.identities.keys.of(SETTINGS, load_key)
    for _ in range(3):
        await world.ask(bearer(jwt.encode(claims(world), RSA, "RS256", {"kid": "a"})), route_)
    assert world.server.asked == 1
    world.server.answer = key_set(public(OTHER_RSA, kid="c"))
    new = jwt.encode(claims(world), OTHER_RSA, "RS256", {"kid": "c"})
    assert (await refused(world, new))[0] == "APIC.0305"
    assert world.server.asked == 1
    world.clock.now += 11
    assert (await world.ask(bearer(new), route_)).name == "ada"
    old = jwt.encode(claims(world), RSA, "RS256", {"kid": "a"})
    assert (await refused(world, old))[0] == "APIC.0305"
    world.clock.now += SETTINGS.cache_seconds + 1
    await world.ask(bearer(jwt.encode(claims(world), OTHER_RSA, "RS256", {"kid": "c"})), route_)
    assert world.server.asked == 3
    assert keep.fresh


async def test_keys_that_are_kept_for_less_than_the_pause_are_read_as_often_as_written() -> None:
    """A key that was withdrawn opens nothing once `cache_seconds` are over."""
    world = make_world(public(RSA, kid="a"))
    settings = msgspec.structs.replace(SETTINGS, cache_seconds=2)
    route_ = route(Auth(jwt=settings))
    keep = world.identities.keys.of(settings, load_key)
    old = jwt.encode(claims(world), RSA, "RS256", {"kid": "a"})
    assert (await world.ask(bearer(old), route_)).name == "ada"
    world.server.answer = key_set(public(OTHER_RSA, kid="c"))
    world.clock.now += 3
    assert (await refused(world, old, settings))[0] == "APIC.0305"
    assert keep.fresh


async def test_a_source_that_is_down() -> None:
    """Without keys the answer is 503; with keys that were read before, calls go on for a while."""
    world = make_world()
    keep = world.identities.keys.of(SETTINGS, load_key)
    good, world.server.answer = world.server.answer, None
    assert (await refused(world, jwt.encode(claims(world), RSA, "RS256")))[:2] == ("APIC.0613", 503)
    world.server.answer = good
    world.clock.now += 11
    assert (await ask(world, jwt.encode(claims(world), RSA, "RS256"))).name == "ada"
    world.server.answer = None
    world.clock.now += SETTINGS.cache_seconds * 11
    assert (await ask(world, jwt.encode(claims(world), RSA, "RS256"))).name == "ada"
    world.clock.now += SETTINGS.cache_seconds * 2
    assert (await refused(world, jwt.encode(claims(world), RSA, "RS256")))[:2] == ("APIC.0613", 503)
    assert not keep.fresh


def test_only_public_keys_for_signatures_are_taken() -> None:
    """Symmetric, private and encryption keys of a set are left out, and so is what cannot be understood."""
    private = {**json.loads(RSAAlgorithm.to_jwk(RSA)), "kid": "p"}
    symmetric = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
    data = key_set(
        private, symmetric, public(RSA, kid="e", use="enc"), public(RSA, kid="ok"), {"kty": "RSA", "n": "!"}, {"kty": 7}
    )
    assert [key.id for key in parse_keys(data, load_key)] == ["ok"]
    for nonsense in (b"", b"[]", b"{}", b'{"keys": 7}', b"\xff", b"[" * 100_000, key_set(*[symmetric] * 101)):
        with pytest.raises(KeySourceError):
            parse_keys(nonsense, load_key)
