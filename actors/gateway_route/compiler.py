"""From what is published to what answers: the one place that knows which steps a route has, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from actors.errors import ConfigurationError
from actors.gateway_route.auth import authentication
from actors.gateway_route.backends.base import Backend
from actors.gateway_route.backends.data import Data
from actors.gateway_route.backends.mock import Mock
from actors.gateway_route.counters import RouteCounters
from actors.gateway_route.published import Published
from actors.gateway_route.route import GatewayRoute
from actors.gateway_route.steps import NamedAfter, NamedStep, Steps
from actors.http_calls.callers import Apps
from actors.ports import ConnectionLookup, ResultLimits
from actors.runtime.log_limiter import LogLimiter


class Compiler:
    """Makes routes of versions; `apps` and `connections` are looked at call by call."""

    def __init__(self, apps: Apps, connections: ConnectionLookup, limits: ResultLimits) -> None:
        self._apps = apps
        self._connections = connections
        self._limits = limits

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
        )
        return GatewayRoute(published, steps, backend, counters, log)

    def _head(self, published: Published, *, trusted: bool) -> Iterator[NamedStep]:
        """Protocol, CORS, access lists, identity, rights, throttles: in this order."""
        authenticate = None if trusted else authentication(published.route, self._apps)
        if authenticate is not None:
            yield NamedStep("authenticate", authenticate)

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
