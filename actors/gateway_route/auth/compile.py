"""From what a published route asks of its callers to the steps that see to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import time
from typing import NamedTuple

from actors.directory.users import Users
from actors.errors import ConfigurationError
from actors.gateway_route.auth.access_lists import AccessLists, parse_address
from actors.gateway_route.auth.app_methods import AppMethods
from actors.gateway_route.auth.authorize import AuthorizeStep, Side
from actors.gateway_route.auth.authorizers import Authorizers
from actors.gateway_route.auth.grants import Grants
from actors.gateway_route.auth.identify import Identify, Read
from actors.gateway_route.auth.jwks import KeySets
from actors.gateway_route.auth.user_methods import UserMethods
from actors.gateway_route.call import Call, Caller, Step
from actors.gateway_route.published import Published
from actors.http_calls.callers import Apps
from actors.http_calls.errors import (
    ACCESS_DENIED,
    ADDRESS_NOT_AUTHORIZED,
    APP_NOT_AUTHORIZED,
    UNKNOWN_ADDRESS,
    CallRefusedError,
)
from actors.runtime.log_limiter import LogLimiter
from config.resources import Auth, Jwt, Route
from config.resources.route_parts import APP_METHODS

# The short form has always meant: however the app comes.
_ANY_APP = Auth(app=APP_METHODS, appcode_over_http=True)
_NAMED: dict[str, Auth] = {"app": _ANY_APP, "iam": Auth(iam=True)}


@dataclass(frozen=True, slots=True)
class Identities:
    """Everybody who may call, as they are now; `clock` is the wall clock, in seconds.

    Without `authorizers` no route can be served that asks one.
    """

    apps: Apps
    users: Users
    grants: Grants
    access_lists: AccessLists
    keys: KeySets
    clock: Callable[[], float] = time
    authorizers: Authorizers | None = None


class RouteIdentity(NamedTuple):
    """What one route asks of its callers; None is what it does not ask.

    `address` goes before everything that costs more. `identify` finds out who calls, and whether they may.
    `may_debug` tells, of a call that was let through, whether its caller may see how it went.
    """

    address: Step | None
    identify: Identify | None
    may_debug: Callable[[Call], bool]


def compile_identity(route: Route, environment: str, world: Identities) -> RouteIdentity:
    """What a route asks of its callers in one environment."""
    rights = _Rights(route, environment, world)
    return RouteIdentity(
        _addresses(route, world.access_lists) if route.access_lists else None,
        _identify(route, environment, rights, world),
        rights.may_debug,
    )


def check_binding(published: Published) -> None:
    """See that a backend with a signature key answers only routes that are bound to it.

    Raises:
        ConfigurationError: the route is bound to another key, or to none.
    """
    key, bound = published.backend_key, published.route.signature_key
    if key not in (None, bound):
        raise ConfigurationError(
            f"route {published.route.name}: its backend {published.route.backend.name} answers only routes bound to "
            f"signature_key {key}, and this one is bound to {bound or 'none'}"
        )


class _Rights:
    """Who may call one route in one environment: its owner, those it is shared with, and those with a grant."""

    __slots__ = ("_environment", "_grants", "_lists", "_owner", "_owner_and_friends", "_route", "lists")

    def __init__(self, route: Route, environment: str, world: Identities) -> None:
        self._owner = route.app
        self._owner_and_friends = frozenset({route.app, *route.shared_with})
        self._route = route.name
        self._environment = environment
        self._grants = world.grants
        self._lists = world.access_lists
        self.lists = route.access_lists

    def admit_app(self, call: Call, app: str) -> None:
        """Let an app through, or refuse it."""
        if app not in self._owner_and_friends and not self._grants.allow(
            app, self._owner, self._route, self._environment
        ):
            raise CallRefusedError(APP_NOT_AUTHORIZED)
        if self.lists:
            self.check_lists(app)
        call.caller = Caller("app", app, app)

    def admit_user(self, call: Call, user: str) -> None:
        """Let a user through, or refuse them."""
        if self.lists:
            self.check_lists(None)
        call.caller = Caller("user", user)

    def check_lists(self, app: str | None) -> None:
        """Refuse who is not let pass by the route's lists of apps; None is a caller that is no app."""
        if not self._lists.admit_app(self.lists, app):
            raise CallRefusedError(ACCESS_DENIED)

    def may_debug(self, call: Call) -> bool:
        """Users may, and the route's own app; another one by a grant that says so."""
        caller = call.caller
        if caller.kind != "app":
            return caller.kind == "user"
        return caller.name == self._owner or self._grants.allow_debugging(
            caller.name, self._owner, self._route, self._environment
        )


def _addresses(route: Route, lists: AccessLists) -> Step:
    names = route.access_lists

    def check(call: Call) -> None:
        address = parse_address(call.peer_ip)
        if address is None:
            raise CallRefusedError(UNKNOWN_ADDRESS)
        if not lists.admit_address(names, address):
            raise CallRefusedError(ADDRESS_NOT_AUTHORIZED)

    return check


def _identify(route: Route, environment: str, rights: _Rights, world: Identities) -> Identify | None:
    if route.auth == "none":
        return _anonymous(rights) if rights.lists else None
    auth = route.auth if isinstance(route.auth, Auth) else _NAMED[route.auth]
    if auth.jwt is not None:
        return _bearer(auth.jwt, rights, world)
    if auth.custom is not None:
        return _custom(asking(world, auth.custom, "front", route, environment), rights)
    if auth.app is not None:
        methods = AppMethods(
            world.apps,
            world.clock,
            appcode_over_http=auth.appcode_over_http,
            unsigned_payload=auth.unsigned_payload,
        )
        return _named(*methods.compile(auth.app), rights.admit_app)
    users = UserMethods(world.users, world.clock, unsigned_payload=auth.unsigned_payload)
    return _named(*users.compile(), rights.admit_user)


def _anonymous(rights: _Rights) -> Identify:
    def identify(_call: Call) -> None:
        rights.check_lists(None)

    return identify


def asking(world: Identities, name: str, side: Side, route: Route, environment: str) -> AuthorizeStep:
    """The step that asks an authorizer.

    Raises:
        ConfigurationError: there are no authorizers here.
    """
    if world.authorizers is None:
        raise ConfigurationError(f"route {route.name}: it asks authorizer {name}, and none can be asked here")
    return AuthorizeStep(
        world.authorizers, name, side, route=route, environment=environment, log=LogLimiter(per_second=1)
    )


def _custom(ask: AuthorizeStep, rights: _Rights) -> Identify:
    def identify(call: Call) -> Awaitable[None] | None:
        if rights.lists:
            rights.check_lists(None)
        return ask(call)

    return identify


def _bearer(settings: Jwt, rights: _Rights, world: Identities) -> Identify:
    # The library for tokens is loaded where a route asks for them.
    from actors.gateway_route.auth.bearer import BearerTokens, load_key  # noqa: PLC0415

    tokens = BearerTokens(settings, world.keys.of(settings, load_key), world.clock)

    def identify(call: Call) -> Awaitable[None] | None:
        if rights.lists:
            rights.check_lists(None)
        return tokens(call)

    return identify


def _named(
    readers: tuple[Read, ...], refuse: Callable[[], CallRefusedError], admit: Callable[[Call, str], None]
) -> Identify:
    """The first reader that finds something decides: who shows a wrong AppCode is not asked for more."""

    def identify(call: Call) -> Awaitable[None] | None:
        for read in readers:
            found = read(call)
            if found is None:
                continue
            if isinstance(found, str):
                admit(call, found)
                return None
            return later(call, found)
        raise refuse()

    async def later(call: Call, found: Awaitable[str]) -> None:
        admit(call, await found)

    return identify
