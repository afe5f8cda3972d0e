from __future__ import annotations

import pytest

from actors.directory.lockout import FAILURES, LOCKED_SECONDS
from actors.gateway_route.call import Caller
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request
from tests.actors.gateway_route.auth.people import World, route, user, with_headers

ADA = Caller("user", "ada")


async def refused(world: World, request: Request) -> tuple[str, int, str]:
    with pytest.raises(CallRefusedError) as caught:
        await world.ask(request, route("iam"))
    return caught.value.error.code, caught.value.error.status, caught.value.detail


def token(world: World, seconds: float = 60) -> str:
    return world.users.issue(user(), int(world.clock.now + seconds))


async def test_a_token_stands_for_its_user_until_it_expires() -> None:
    """A token of the control plane opens routes with `iam`; afterwards the answer is 401 APIC.0307."""
    world = World()
    request = with_headers(x_auth_token=token(world))
    assert await world.ask(request, route("iam")) == ADA
    world.clock.now += 61
    assert (await refused(world, request))[:2] == ("APIC.0307", 401)


async def test_a_token_ends_with_its_password_and_its_user() -> None:
    """Another password, a disabled or a deleted user: the token is worth nothing."""
    for change in (user(password="another"), user(enabled=False), None):
        world = World()
        request = with_headers(x_auth_token=token(world))
        if change is None:
            world.users.remove("ada")
        else:
            world.users.put(change)
        assert (await refused(world, request))[:2] == ("APIC.0301", 401)


async def test_tokens_cannot_be_made_up() -> None:
    """Whatever is not a token of this instance is 401 APIC.0301."""
    world = World()
    real = token(world)
    payload, _, seal = real.partition(".")
    later = world.users.issue(user(), int(world.clock.now + 10_000)).partition(".")[0]
    made_up = ["", ".", "a.b", payload, f"{payload}.", f"{later}.{seal}", f"{payload}.{seal[:-2]}AA", "é.é", "x" * 5000]
    for text in made_up:
        assert (await refused(world, with_headers(x_auth_token=text)))[:2] == ("APIC.0301", 401)
    twice = Request("GET", "/lots", "", [("x-auth-token", real), ("x-auth-token", real)])
    assert (await refused(world, twice))[0] == "APIC.0301"
    assert (await refused(world, with_headers()))[0] == "APIC.0301"


async def test_a_user_signs_as_apps_do() -> None:
    """An access key signs for its user; an app's key opens nothing here."""
    world = World()
    assert await world.ask(world.signed(key="ada-ak", secret=b"ada-sk"), route("iam")) == ADA
    assert (await refused(world, world.signed()))[:2] == ("APIC.0301", 401)
    world.users.put(user(enabled=False))
    assert (await refused(world, world.signed(key="ada-ak", secret=b"ada-sk")))[0] == "APIC.0301"


async def test_five_failures_lock_an_access_key_for_five_minutes() -> None:
    """After five wrong signatures the right one is refused, too, for five minutes; a right one before forgets them."""
    world = World()
    right = world.signed(key="ada-ak", secret=b"ada-sk")
    wrong = world.signed(key="ada-ak", secret=b"wrong")
    for _ in range(2):
        for _ in range(FAILURES - 1):
            await refused(world, wrong)
        assert await world.ask(right, route("iam")) == ADA
    for _ in range(FAILURES):
        await refused(world, wrong)
    code, status, detail = await refused(world, right)
    assert (code, status) == ("APIC.0301", 401)
    assert "too many failures" in detail
    world.clock.now += LOCKED_SECONDS + 1
    assert await world.ask(right, route("iam")) == ADA


async def test_unknown_keys_are_not_remembered() -> None:
    """Failures of keys that nobody has leave nothing behind, so nobody can fill the memory with them."""
    world = World()
    for number in range(50):
        await refused(world, world.signed(key=f"nobody-{number}", secret=b"wrong"))
    assert not world.users.keys._failures
