"""All that the routes of a gateway share of flow control and observation."""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from actors.gateway_route.access_log import AccessLog
from actors.gateway_route.cache import CacheSpace
from actors.gateway_route.caching import CachedAnswers, answers_of
from actors.gateway_route.call import Call, Step
from actors.gateway_route.compression import Compressor
from actors.gateway_route.flow.quotas import Quotas
from actors.gateway_route.flow.throttles import Throttles
from actors.gateway_route.published import Published
from config.resources import Compression, Route
from config.settings import GatewaySettings

# Long answers that are compressed at a time; whoever comes then waits, holding no place of its route.
_THREADS = 2


class FlowControl:
    """Throttles and quotas, the bytes of all caches, the threads that compress, and the access log."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        clock: Callable[[], float] = trio.current_time,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.throttles = Throttles(settings.throttle_keys, clock)
        self.quotas = Quotas(wall_clock)
        self.access_log = AccessLog(settings.access_log)
        self._space = CacheSpace(settings.cache_bytes)
        self._compressing = trio.CapacityLimiter(_THREADS)
        self._clock = clock

    def limits(self, route: Route, environment: str) -> tuple[str, Step] | None:
        """What limits how often a route is called, under the name that traces tell it by; None where nothing does.

        A call that one of them refuses counts for none: all are asked before any counts.

        Raises:
            ConfigurationError: the route names a throttle that is not there.
        """
        throttle = self.throttles.step(route, environment)
        quotas = self.quotas
        if route.auth == "none":
            return None if throttle is None else ("throttle", throttle)
        if throttle is None:
            return "quota", quotas.step

        def both(call: Call) -> None:
            asked = throttle.check(call)
            quotas.check(call)
            throttle.count(call, asked)
            quotas.count(call)

        return "throttle and quota", both

    def cache(self, published: Published) -> CachedAnswers | None:
        """A cache for a version of a route; None where it has none."""
        return answers_of(published, self._space, self._clock)

    def compressor(self, route: Route) -> Compressor | None:
        """What makes a route's answers smaller; None where they go as they are."""
        settings = Compression() if route.compression is True else route.compression
        return Compressor(settings, self._compressing) if settings else None
