from __future__ import annotations

from hashlib import sha256

import pytest

from actors.gateway_route.auth.signature import UNSIGNED_PAYLOAD
from actors.gateway_route.call import Caller
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import Request
from config.resources import Auth, RouteGrant
from config.resources.route_parts import APP_METHODS, AppMethod
from tests.actors.gateway_route.auth.people import World, app, basic, route, with_headers

OWNER = Caller("app", "owner", "owner")


def takes(*methods: AppMethod, **more: bool) -> Auth:
    return Auth(app=methods, **more)


async def refused(world: World, request: Request, auth: Auth | str = "app", **more: object) -> tuple[str, int, str]:
    with pytest.raises(CallRefusedError) as caught:
        await world.ask(request, route(auth), **more)  # type: ignore[arg-type]
    return caught.value.error.code, caught.value.error.status, caught.value.detail


def shown(world: World, method: AppMethod, name: str = "owner") -> Request:
    match method:
        case "signature":
            return world.signed(key=f"{name}-key", secret=f"{name}-secret".encode())
        case "appcode":
            return with_headers(x_apig_appcode=f"{name}-code")
        case "secret":
            return with_headers(x_hw_id=f"{name}-key", x_hw_appkey=f"{name}-secret")
        case "basic":
            return basic(f"{name}-key", f"{name}-secret")


@pytest.mark.parametrize("method", APP_METHODS)
async def test_a_route_takes_the_methods_it_names_and_no_other(method: AppMethod) -> None:
    """Each way of showing an app opens the routes that name it, and no other route."""
    world = World()
    assert await world.ask(shown(world, method), route(takes(method)), secure=True) == OWNER
    assert await world.ask(shown(world, method), route("app")) == OWNER
    others = tuple(one for one in APP_METHODS if one != method)
    assert (await refused(world, shown(world, method), takes(*others)))[:2] == ("APIC.0303", 401)


@pytest.mark.parametrize("method", APP_METHODS)
async def test_another_app_needs_a_grant_for_the_environment(method: AppMethod) -> None:
    """A stranger with its own key is refused with 403, unless it was granted this route in this environment."""
    world = World()
    request = shown(world, method, "stranger")
    assert (await refused(world, request))[:2] == ("APIC.0304", 403)
    world.grants.put(RouteGrant(name="g", app="owner", to="stranger", routes=("lots",), environment="TEST"))
    assert (await refused(world, request))[:2] == ("APIC.0304", 403)
    assert await world.ask(request, route(), environment="TEST") == Caller("app", "stranger", "stranger")
    world.grants.remove("g")
    assert (await refused(world, request, environment="TEST"))[:2] == ("APIC.0304", 403)


async def test_only_the_owner_grants() -> None:
    """A grant that another app wrote for a route grants nothing; sharing the route does."""
    world = World()
    world.grants.put(RouteGrant(name="g", app="stranger", to="stranger", routes=("lots",)))
    assert (await refused(world, shown(world, "secret", "stranger")))[0] == "APIC.0304"
    friends = route(shared_with=("friend",))
    assert (await world.ask(shown(world, "secret", "friend"), friends)).app == "friend"


@pytest.mark.parametrize(
    "request_",
    [
        with_headers(),
        with_headers(x_apig_appcode="wrong"),
        with_headers(x_apig_appcode="owner-key"),
        with_headers(x_hw_id="owner-key", x_hw_appkey="wrong"),
        with_headers(x_hw_id="owner-key"),
        with_headers(x_hw_appkey="owner-secret"),
        with_headers(x_hw_id="nobody", x_hw_appkey="owner-secret"),
        with_headers(x_hw_id="product/device", x_hw_appkey="owner-secret"),
        basic("owner-key", "wrong"),
        basic("owner", "owner-secret"),
        with_headers(authorization="Basic %%%"),
        with_headers(authorization="Bearer owner-code"),
        Request("GET", "/lots", "", [("x-apig-appcode", "owner-code"), ("x-apig-appcode", "owner-code")]),
    ],
)
async def test_wrong_credentials(request_: Request) -> None:
    """Whatever is wrong with a credential, the answer is 401 APIC.0303 with a challenge (RFC 9110 11.6.1)."""
    world = World()
    with pytest.raises(CallRefusedError) as caught:
        await world.ask(request_, route())
    assert (caught.value.error.code, caught.value.error.status) == ("APIC.0303", 401)
    assert caught.value.headers[0][0] == "WWW-Authenticate"
    assert "owner-secret" not in str(caught.value)


async def test_appcode_in_clear_only_where_the_route_says_so() -> None:
    """An AppCode over plain HTTP is refused, even a right one, unless the route allows it."""
    world = World()
    request = shown(world, "appcode")
    code, status, detail = await refused(world, request, takes("appcode"))
    assert (code, status) == ("APIC.0303", 401)
    assert "HTTPS only" in detail
    assert await world.ask(request, route(takes("appcode")), secure=True) == OWNER
    assert await world.ask(request, route(takes("appcode", appcode_over_http=True))) == OWNER


async def test_a_body_is_signed() -> None:
    """The body's hash is part of the signature, whether a header says it or not."""
    world = World()
    body = b'{"plate": "B-X 1"}'
    auth = takes("signature")
    plain = world.signed("POST", body=body)
    assert await world.ask(plain, route(auth)) == OWNER
    said = world.signed("POST", body=body, payload=sha256(body).hexdigest())
    assert await world.ask(said, route(auth)) == OWNER
    for signed in (plain, said):
        moved = Request(signed.method, signed.path, signed.query, signed.headers, b"another body")
        assert (await refused(world, moved, auth))[:2] == ("APIC.0303", 401)
        emptied = Request(signed.method, signed.path, signed.query, signed.headers, b"")
        assert (await refused(world, emptied, auth))[:2] == ("APIC.0303", 401)


async def test_a_large_body_is_signed_too() -> None:
    """A body that is hashed beside the others is judged alike."""
    world = World()
    signed = world.signed("POST", body=b"x" * 1_000_000)
    assert await world.ask(signed, route(takes("signature"))) == OWNER
    moved = Request("POST", "/lots", "", signed.headers, b"y" * 1_000_000)
    assert (await refused(world, moved, takes("signature")))[0] == "APIC.0303"


async def test_unsigned_payload_only_where_the_route_says_so() -> None:
    """UNSIGNED-PAYLOAD with a body is refused unless the route takes it."""
    world = World()
    request = world.signed("POST", body=b"anything", payload=UNSIGNED_PAYLOAD)
    code, status, detail = await refused(world, request, takes("signature"))
    assert (code, status) == ("APIC.0303", 401)
    assert UNSIGNED_PAYLOAD in detail
    assert await world.ask(request, route(takes("signature", unsigned_payload=True))) == OWNER


class Body:
    """A body on its way, which tells whether it was asked for."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        if self.data is None:
            raise RequestRefusedError(413, "too large")
        return self.data


async def test_the_body_is_read_only_for_callers_who_may_be_right() -> None:
    """An unknown key, an old date or a wrong signature over a said hash is refused without reading the body."""
    world = World()
    payload = sha256(b"data").hexdigest()
    wrong = [
        world.signed("POST", key="nobody", body=b"data"),
        world.signed("POST", secret=b"wrong", body=b"data", payload=payload),
        world.signed("POST", body=b"data", payload=UNSIGNED_PAYLOAD),
    ]
    world.clock.now += 1000
    old = world.signed("POST", body=b"data")
    world.clock.now -= 1000
    for request in (*wrong, old):
        body = Body(b"data")
        coming = Request("POST", "/lots", "", request.headers, body)
        assert (await refused(world, coming, takes("signature")))[:2] == ("APIC.0303", 401)
        assert body.reads == 0


async def test_a_body_beyond_the_limits_ends_the_call() -> None:
    """What the listener refuses while the body is read comes through as it is."""
    world = World()
    request = world.signed("POST", body=b"data")
    with pytest.raises(RequestRefusedError, match="too large"):
        await world.ask(Request("POST", "/lots", "", request.headers, Body(None)), route(takes("signature")))


async def test_a_forgotten_secret_signs_nothing() -> None:
    """An app whose secret was forgotten cannot be signed for, not even with an empty secret."""
    world = World()
    lost = app("lost")
    world.directory.put_app(type(lost)(lost.name, lost.key, lost.secret, lost.codes))
    request = world.signed(key="lost-key", secret=b"")
    assert (await refused(world, request, takes("signature")))[:2] == ("APIC.0303", 401)


def test_entries_show_no_secret() -> None:
    """What is logged of an app does not have its secret."""
    assert "owner-secret" not in repr(app("owner"))
