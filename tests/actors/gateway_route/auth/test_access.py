from __future__ import annotations

from ipaddress import ip_address

import pytest

from actors.gateway_route.auth.access_lists import AddressSet
from actors.gateway_route.auth.compile import compile_identity
from actors.gateway_route.call import NOBODY, Call, Caller
from actors.http_calls.errors import CallRefusedError
from config.resources import RELEASE, AccessList, RouteGrant
from tests.actors.gateway_route.auth.people import World, route, with_headers

OPEN = with_headers()


async def refused(world: World, *lists: str, peer: str = "192.0.2.1", auth: str = "none") -> str:
    request = with_headers(x_apig_appcode="owner-code")
    with pytest.raises(CallRefusedError) as caught:
        await world.ask(request, route(auth, access_lists=lists), peer=peer)
    assert caught.value.error.status == 403
    return caught.value.error.code


def test_addresses() -> None:
    """An address is in a set of networks of both versions when one of them contains it."""
    networks = AddressSet(["10.0.0.0/8", "192.0.2.7", "192.168.1.9/24", "2001:db8::/32", "0.0.0.0/32"])
    for text in ("10.255.0.1", "192.0.2.7", "192.168.1.200", "2001:db8:1::1", "0.0.0.0"):
        assert ip_address(text) in networks
    for text in ("11.0.0.0", "192.0.2.8", "2001:db9::", "::", "::10.0.0.1"):
        assert ip_address(text) not in networks
    assert ip_address("203.0.113.5") in AddressSet(["0.0.0.0/0"])
    with pytest.raises(ValueError, match="nonsense"):
        AddressSet(["nonsense"])


async def test_lists_by_address() -> None:
    """`allow` takes only whom it names and `deny` everybody else; every list of a route must agree."""
    world = World()
    world.lists.put(AccessList(name="inside", app="owner", action="allow", addresses=("10.0.0.0/8", "::1")))
    world.lists.put(AccessList(name="rogue", app="owner", action="deny", addresses=("10.6.6.6",)))
    both = route("none", access_lists=("inside", "rogue"))
    assert await world.ask(OPEN, both, peer="10.1.2.3") == NOBODY
    assert await world.ask(OPEN, both, peer="::ffff:10.1.2.3") == NOBODY
    assert await refused(world, "inside", "rogue", peer="192.0.2.1") == "APIC.0402"
    assert await refused(world, "inside", "rogue", peer="10.6.6.6") == "APIC.0402"
    assert await refused(world, "inside", peer="") == "APIC.0401"


async def test_lists_by_app() -> None:
    """An app that its owner shut out is refused although it has the right; who is no app is on no list."""
    world = World()
    world.lists.put(AccessList(name="only-friend", app="owner", action="allow", apps=("friend",)))
    world.lists.put(AccessList(name="not-owner", app="owner", action="deny", apps=("owner",)))
    for name in ("only-friend", "not-owner"):
        assert await refused(world, name, auth="app") == "APIC.0306"
    assert await refused(world, "only-friend") == "APIC.0306"
    assert await world.ask(OPEN, route("none", access_lists=("not-owner",))) == NOBODY
    friends = route(access_lists=("only-friend",), shared_with=("friend",))
    assert (await world.ask(with_headers(x_apig_appcode="friend-code"), friends)).name == "friend"


async def test_lists_change_under_a_route() -> None:
    """A list that changes or goes counts at once; a list that is missing lets nobody through."""
    world = World()
    assert await refused(world, "inside") == "APIC.0402"
    world.lists.put(AccessList(name="inside", app="owner", action="allow", addresses=("192.0.2.1",)))
    assert await world.ask(OPEN, route("none", access_lists=("inside",))) == NOBODY
    world.lists.put(AccessList(name="inside", app="owner", action="deny", addresses=("192.0.2.1",)))
    assert await refused(world, "inside") == "APIC.0402"


async def test_what_a_route_does_not_ask_has_no_step() -> None:
    """An open route without lists has no step of identity at all."""
    identity = compile_identity(route("none"), RELEASE, World().identities)
    assert identity.address is None
    assert identity.identify is None


def test_the_right_to_debug() -> None:
    """The route's own app and users may debug, another app by a grant that says so, nobody else."""
    world = World()
    may_debug = compile_identity(route(), RELEASE, world.identities).may_debug

    def asks(caller: Caller) -> bool:
        return may_debug(Call(OPEN, caller=caller))

    assert asks(Caller("app", "owner", "owner"))
    assert asks(Caller("user", "ada"))
    assert not asks(NOBODY)
    assert not asks(Caller("jwt", "owner"))
    world.grants.put(RouteGrant(name="g", app="owner", to="friend", routes=("lots",)))
    assert not asks(Caller("app", "friend", "friend"))
    world.grants.put(RouteGrant(name="g", app="owner", to="friend", routes=("lots",), debug=True))
    assert asks(Caller("app", "friend", "friend"))
