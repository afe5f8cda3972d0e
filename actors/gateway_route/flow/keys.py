"""By what a throttle counts: the part of a call that tells its callers apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import AddressValueError, IPv6Address
from typing import assert_never
from urllib.parse import parse_qsl

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call
from config.resources import Route, Throttle

KeyOf = Callable[[Call], str]
"""Who a call counts for."""

_LONGEST = 64
# As many fields as a query may have anywhere in the gateway.
_MAX_FIELDS = 1_000


def key_of(throttle: Throttle, route: Route) -> KeyOf:
    """What tells the callers of a route apart, for a throttle.

    Who is not known by name where apps or users are counted counts by address.

    Raises:
        ConfigurationError: the throttle counts by a parameter that is in the body, which is read later.
    """
    match throttle.by:
        case "route":
            return _everybody
        case "app":
            return _app
        case "user":
            return _user
        case "address":
            return _address
        case "parameter":
            return _parameter(throttle, route)
        case _:
            assert_never(throttle.by)


def network(address: str) -> str:
    """The address that one subscriber has: an IPv4 address, or the /64 of an IPv6 one, in which one may pick any."""
    return _network(address) if ":" in address else address


def _everybody(_call: Call) -> str:
    return ""


def _app(call: Call) -> str:
    return call.caller.app or _address(call)


def _user(call: Call) -> str:
    caller = call.caller
    return f"{caller.kind} {caller.name}" if caller.kind in {"user", "jwt"} else _address(call)


def _address(call: Call) -> str:
    return "@" + network(call.peer_ip or call.request.peer)


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    try:
        parsed = IPv6Address(address)
    except AddressValueError:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


def _parameter(throttle: Throttle, route: Route) -> KeyOf:
    name = throttle.parameter or ""
    place = next((one.place for one in route.request.parameters if one.name == name), None)
    if place is None:
        place = "path" if f"{{{name}}}" in route.request.path else "query"
    match place:
        case "path":
            return lambda call: _short(call.path.get(name, ""))
        case "query":
            return lambda call: _short(_of_query(call.request.query, name))
        case "header":
            lower = name.lower()
            return lambda call: _short(call.request.header(lower) or "")
        case "body":
            raise ConfigurationError(
                f"route {route.name}: throttle {throttle.name} counts by {name}, which is in the body; throttles are "
                "asked before the body is read: take it from path, query or header"
            )
        case _:
            assert_never(place)


def _of_query(query: str, name: str) -> str:
    """A query that cannot be read counts as one without the parameter; whoever reads it next refuses it."""
    if not query:
        return ""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return ""
    return next((value for key, value in pairs if key == name), "")


def _short(value: str) -> str:
    """A key of bounded length that is still the value's own."""
    return (
        value
        if len(value) <= _LONGEST
        else "#" + blake2b(value.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    )
