"""Throttles as routes are bound to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call
from actors.gateway_route.flow.keys import key_of
from actors.gateway_route.flow.window import Rate
from actors.gateway_route.flow.windows import Windows
from actors.http_calls.errors import THROTTLED, CallRefusedError
from config.resources import Route, Throttle
from config.resources.topics import duration_seconds

Clock = Callable[[], float]
"""Seconds of a clock that never goes back."""

_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
# How callers know the throttles of the field's gateways in `X-Apig-RateLimit-<this>`.
_HEADERS = {"route": "api", "app": "app", "user": "user", "address": "ip", "parameter": "parameter"}


@dataclass(frozen=True, slots=True)
class ThrottleStatistics:
    """What a throttle has seen: calls that passed and were refused, callers it knows and those of them at their end."""

    passed: int
    refused: int
    keys: int
    exhausted: int


class Meter:
    """One throttle, and what has passed it; a change of its limits is in force at once, and forgets nothing."""

    __slots__ = ("passed", "period", "rate", "refused", "resource", "specials", "windows")

    def __init__(self, resource: Throttle, most_keys: int) -> None:
        self.windows = Windows(most_keys)
        self.passed = 0
        self.refused = 0
        self._set(resource)

    def change(self, resource: Throttle) -> None:
        """Go on as this throttle says; what it counts by another name, or for another time, begins anew."""
        before = self.resource
        self._set(resource)
        if (before.by, before.parameter, before.shared, before.period) != (
            resource.by, resource.parameter, resource.shared, resource.period,
        ):  # fmt: skip
            self.windows.clear()

    def statistics(self) -> ThrottleStatistics:
        """What it has seen so far."""
        return ThrottleStatistics(self.passed, self.refused, len(self.windows), self.windows.exhausted)

    def _set(self, resource: Throttle) -> None:
        seconds = duration_seconds(resource.period)
        self.resource = resource
        self.period = f"{resource.period[:-1]} {_UNITS[resource.period[-1]]}"
        self.rate = Rate(resource.limit, seconds, resource.burst)
        self.specials: Mapping[str, Rate] = {one.app: Rate(one.limit, seconds) for one in resource.special}


class _Bound:
    """A throttle of one route, in one environment."""

    __slots__ = ("_key_of", "_resource", "_route", "_where", "meter")

    def __init__(self, meter: Meter, route: Route, environment: str) -> None:
        self.meter = meter
        self._route = route
        self._where = (route.name, environment)
        self._resource = meter.resource
        self._key_of = key_of(self._resource, route)

    def place(self, call: Call) -> tuple[Hashable, Rate]:
        """Where a call counts, and what applies there; an app with a limit of its own counts by itself."""
        meter = self.meter
        if meter.resource is not self._resource:
            self._follow(meter.resource)
        where = None if meter.resource.shared else self._where
        special = meter.specials.get(call.caller.app or "") if meter.specials else None
        if special is not None:
            return (where, True, call.caller.app), special
        return (where, False, self._key_of(call)), meter.rate

    def _follow(self, resource: Throttle) -> None:
        """Count by what the throttle has come to say; all together where that cannot be had here."""
        self._resource = resource
        self._key_of = _nobody
        with suppress(ConfigurationError):
            self._key_of = key_of(resource, self._route)


Asked = tuple[list[tuple[Meter, Hashable, Rate]], float]
"""Where a call counts, and when it came."""


class ThrottleStep:
    """Lets a call pass all throttles of its route, or none: what one of them refuses counts for no other."""

    __slots__ = ("_bound", "_clock")

    def __init__(self, bound: tuple[_Bound, ...], clock: Clock) -> None:
        self._bound = bound
        self._clock = clock

    def __call__(self, call: Call) -> None:
        """Count a call, or refuse it with 429.

        Raises:
            CallRefusedError: APIC.0308, with Retry-After in seconds (RFC 9110 10.2.3, RFC 6585 4).
        """
        self.count(call, self.check(call))

    def check(self, call: Call) -> Asked:
        """See that a call may pass, and count nothing; what is returned is what it is to be counted by.

        Raises:
            CallRefusedError: it may not.
        """
        now = self._clock()
        placed = [(bound.meter, *bound.place(call)) for bound in self._bound]
        for meter, key, rate in placed:
            wait = meter.windows.wait(key, now, rate)
            if wait > 0:
                meter.refused += 1
                _tell(call, placed, now)
                raise _refused(meter, rate, wait)
        return placed, now

    @staticmethod
    def count(call: Call, asked: Asked) -> None:
        """Count a call that was just let pass."""
        placed, now = asked
        for meter, key, rate in placed:
            meter.passed += 1
            meter.windows.count(key, now, rate)
        _tell(call, placed, now)


class Throttles:
    """The throttles of an instance, by name; each remembers at most `most_keys` callers."""

    def __init__(self, most_keys: int, clock: Clock) -> None:
        self._most_keys = most_keys
        self._clock = clock
        self._meters: dict[str, Meter] = {}

    def put(self, resource: Throttle) -> None:
        """Add a throttle, or change the one of that name; routes that are bound to it need not be made anew."""
        meter = self._meters.get(resource.name)
        if meter is None:
            self._meters[resource.name] = Meter(resource, self._most_keys)
        else:
            meter.change(resource)

    def remove(self, name: str) -> None:
        """Forget a throttle; one that is not known is no error."""
        self._meters.pop(name, None)

    def step(self, route: Route, environment: str) -> ThrottleStep | None:
        """What a route's calls have to pass; None where nothing is asked of them.

        Raises:
            ConfigurationError: the route names a throttle that is not there.
        """
        if not route.throttles:
            return None
        missing = [name for name in route.throttles if name not in self._meters]
        if missing:
            raise ConfigurationError(f"route {route.name}: throttle {missing[0]} does not exist; apply it first")
        bound = tuple(_Bound(self._meters[name], route, environment) for name in dict.fromkeys(route.throttles))
        return ThrottleStep(bound, self._clock)

    def all_statistics(self) -> Mapping[str, ThrottleStatistics]:
        """What each has seen, by name."""
        return {name: meter.statistics() for name, meter in self._meters.items()}

    def statistics(self, name: str) -> ThrottleStatistics | None:
        """What a throttle has seen; None where there is none."""
        meter = self._meters.get(name)
        return None if meter is None else meter.statistics()


def _tell(call: Call, placed: list[tuple[Meter, Hashable, Rate]], now: float) -> None:
    """`X-Apig-RateLimit-api: remain:9,limit:10,time:10 second` and its like, for a caller who may debug."""
    if call.debug is None:
        return
    for meter, key, rate in placed:
        remain = meter.windows.remaining(key, now, rate)
        name = f"X-Apig-RateLimit-{_HEADERS[meter.resource.by]}"
        call.debug.append((name, f"remain:{remain},limit:{rate.limit},time:{meter.period}"))


def _nobody(_call: Call) -> str:
    return ""


def _refused(meter: Meter, rate: Rate, wait: float) -> CallRefusedError:
    seconds = max(1, math.ceil(wait))
    calls = "1 call" if rate.limit == 1 else f"{rate.limit} calls"
    period = meter.period if meter.period.startswith("1 ") else f"{meter.period}s"
    detail = f"at most {calls} in {period}; try again in {seconds} s"
    return CallRefusedError(THROTTLED, detail, (("Retry-After", str(seconds)),))
