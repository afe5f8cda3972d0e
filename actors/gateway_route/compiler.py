"""From what is published to what answers: the one place that knows which steps a route has, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from actors.errors import ConfigurationError
from actors.gateway_route.auth.compile import Identities, compile_identity
from actors.gateway_route.backends.base import Backend
from actors.gateway_route.backends.data import Data
from actors.gateway_route.backends.mock import Mock
from actors.gateway_route.counters import RouteCounters
from actors.gateway_route.debugging import debugging
from actors.gateway_route.flow.control import FlowControl
from actors.gateway_route.published import Published
from actors.gateway_route.route import GatewayRoute
from actors.gateway_route.steps import NamedAfter, NamedStep, Steps
from actors.ports import ConnectionLookup, ResultLimits
from actors.runtime.log_limiter import LogLimiter


class Compiler:
    """Makes routes of versions; `identities` and `connections` are looked at call by call."""

    def __init__(
        self, identities: Identities, connections: ConnectionLookup, limits: ResultLimits, flow: FlowControl
    ) -> None:
        self._identities = identities
        self._connections = connections
        self._limits = limits
        self._flow = flow

    def compile(self, published: Published, counters: RouteCounters, *, trusted: bool = False) -> GatewayRoute:
        """A route that answers calls as one version says; `trusted` calls are not asked who they are.

        Raises:
            ConfigurationError: the version cannot be served.
        """
        log = LogLimiter(per_second=1)
        backend = self._backend(published, log)
        steps = Steps(
            head=tuple(self._head(published, trusted=trusted)),
            body=tuple(self._body(published)),
            after=tuple(self._after(published)),
            cache=None if trusted else self._flow.cache(published.route),
            compressor=self._flow.compressor(published.route),
            observe=None if trusted else self._flow.access_log.observer(published.route.name, published.version),
        )
        return GatewayRoute(published, steps, backend, counters, log)

    def _head(self, published: Published, *, trusted: bool) -> Iterator[NamedStep]:
        """Protocol, CORS, access lists, identity, rights, throttles: in this order."""
        identity = compile_identity(published.route, published.environment, self._identities)
        if identity.address is not None and not trusted:
            yield NamedStep("access lists", identity.address)
        if identity.identify is not None and not trusted:
            yield NamedStep("authenticate", identity.identify)
            yield NamedStep("debug", debugging(identity.may_debug))
        if not trusted:
            yield from self._limits_of(published)

    def _limits_of(self, published: Published) -> Iterator[NamedStep]:
        """Throttles, then quotas, once it is known who calls: what is refused counts for no quota."""
        throttle = self._flow.throttles.step(published.route, published.environment)
        if throttle is not None:
            yield NamedStep("throttle", throttle)
        if published.route.auth != "none":
            yield NamedStep("quota", self._flow.quotas.step)

    def _body(self, _published: Published) -> Iterator[NamedStep]:
        """Parameters, request mapping."""
        yield from ()

    def _after(self, _published: Published) -> Iterator[NamedAfter]:
        """Response mapping, compression, response headers."""
        yield from ()

    def _backend(self, published: Published, log: LogLimiter) -> Backend:
        """What answers, with what stands closest around it: retries, the cache."""
        name, backend = published.route.name, published.backend
        if backend.data is not None:
            return Data(name, backend.data, self._connections, self._limits, log)
        if backend.mock is not None:
            return Mock(backend.mock)
        raise ConfigurationError(f"route {name}: its backend cannot be served by this version")
