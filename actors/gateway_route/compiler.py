"""From what is published to what answers: the one place that knows which steps a route has, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from actors.errors import ConfigurationError
from actors.functions.failures import Failures
from actors.functions.messages import FunctionCalls
from actors.gateway_route.auth.compile import Identities, asking, check_binding, compile_identity
from actors.gateway_route.backends.base import Backend
from actors.gateway_route.backends.data import Data
from actors.gateway_route.backends.function import FunctionAnswer
from actors.gateway_route.backends.mock import Mock
from actors.gateway_route.backends.topic import Records, TopicProducer
from actors.gateway_route.counters import RouteCounters
from actors.gateway_route.cross_origin import CrossOrigin
from actors.gateway_route.debugging import debugging
from actors.gateway_route.flow.control import FlowControl
from actors.gateway_route.functions.caller import RouteFunction
from actors.gateway_route.mapping.functions import RequestFunction, ResponseFunction
from actors.gateway_route.mapping.headers import HeaderChanges
from actors.gateway_route.mapping.response import ResponseMap
from actors.gateway_route.parameters.compile import parameter_step
from actors.gateway_route.published import Published
from actors.gateway_route.route import GatewayRoute
from actors.gateway_route.steps import NamedAfter, NamedStep, Steps
from actors.gateway_route.transport import protocol_step
from actors.ports import ConnectionLookup, ResultLimits
from actors.runtime.log_limiter import LogLimiter
from config.resources import ResponseMapping, Route

_Functions = Callable[[str, str], RouteFunction]
"""Makes a function of the route out of its name and its use, which is empty for the backend."""


class Compiler:
    """Makes routes of versions; `identities`, `connections` and `functions` are looked at call by call."""

    def __init__(
        self,
        identities: Identities,
        connections: ConnectionLookup,
        limits: ResultLimits,
        flow: FlowControl,
        records: Records | None = None,
        *,
        functions: FunctionCalls | None = None,
    ) -> None:
        self._identities = identities
        self._connections = connections
        self._limits = limits
        self._flow = flow
        self._records = records
        self._functions = functions

    def compile(self, published: Published, counters: RouteCounters, *, trusted: bool = False) -> GatewayRoute:
        """A route that answers calls as one version says; `trusted` calls are not asked who they are.

        Raises:
            ConfigurationError: the version cannot be served.
        """
        check_binding(published)
        log = LogLimiter(per_second=1)
        function = partial(self._function, published, counters.failures, log)
        backend = self._backend(published, function, log)
        parameters = parameter_step(published, self._limits)
        read = () if parameters is None else (NamedStep("parameters", parameters),)
        late = parameters is not None and parameters.reads_body
        cors = published.route.cors
        steps = Steps(
            head=(*self._head(published, trusted=trusted), *(() if late else read)),
            body=(*(read if late else ()), *self._towards_backend(published, function)),
            after=tuple(self._after(published.route, function)),
            cache=None if trusted else self._flow.cache(published),
            compressor=self._flow.compressor(published.route),
            cross_origin=None if cors is None else CrossOrigin(cors, published.route.request.method),
            observe=None if trusted else self._flow.access_log.observer(published.route.name, published.version),
        )
        return GatewayRoute(published, steps, backend, counters, log)

    def _head(self, published: Published, *, trusted: bool) -> Iterator[NamedStep]:
        """Protocol, access lists, identity, rights, throttles: in this order."""
        protocol = protocol_step(published.route.request.protocol)
        if protocol is not None and not trusted:
            yield NamedStep("protocol", protocol)
        identity = compile_identity(published.route, published.environment, self._identities)
        if identity.address is not None and not trusted:
            yield NamedStep("access lists", identity.address)
        if identity.identify is not None and not trusted:
            yield NamedStep("authenticate", identity.identify)
            yield NamedStep("debug", debugging(identity.may_debug))
        if not trusted:
            yield from self._limits_of(published)

    def _limits_of(self, published: Published) -> Iterator[NamedStep]:
        """Throttles and quotas, once it is known who calls."""
        limits = self._flow.limits(published.route, published.environment)
        if limits is not None:
            yield NamedStep(*limits)

    def _towards_backend(self, published: Published, function: _Functions) -> Iterator[NamedStep]:
        """What functions make of a request, once it is read: the route's own mapping, then the back authorizer."""
        route, name = published.route, published.backend_authorizer
        if route.request.function is not None:
            asked = function(route.request.function, "request mapping")
            yield NamedStep("request function", RequestFunction(route, asked))
        if name is not None:
            yield NamedStep("authorizer", asking(self._identities, name, "back", route, published.environment))

    @staticmethod
    def _after(route: Route, function: _Functions) -> Iterator[NamedAfter]:
        """Response mapping: by a function, then as it is written."""
        if route.response.function is not None:
            asked = function(route.response.function, "response mapping")
            yield NamedAfter("response function", ResponseFunction(route, asked))
        if msgspec.structs.replace(route.response, function=None) != ResponseMapping():
            yield NamedAfter("response mapping", ResponseMap(route.response, route.name))
        if route.response_headers:
            yield NamedAfter("response headers", HeaderChanges(route.response_headers))

    def _backend(self, published: Published, function: _Functions, log: LogLimiter) -> Backend:
        """What answers, with what stands closest around it: request mapping, retries."""
        name, backend = published.route.name, published.backend
        if backend.data is not None:
            return Data(published.route, backend.data, self._connections, self._limits, log)
        if backend.mock is not None:
            return Mock(backend.mock)
        if backend.function is not None:
            return FunctionAnswer(backend.function, published.route, function(backend.function.name, ""))
        if backend.topic is not None and self._records is not None:
            return TopicProducer(backend.topic, self._records)
        raise ConfigurationError(f"route {name}: its backend cannot be served by this version")

    def _function(
        self, published: Published, failures: Failures, log: LogLimiter, name: str, use: str
    ) -> RouteFunction:
        """A function that is called as the app that names it: the backend's is the app that the backend is of."""
        route = published.route
        if self._functions is None:
            raise ConfigurationError(f"route {route.name}: it calls function {name}, and none can be called here")
        app = route.app if use else published.backend_app or route.app
        return RouteFunction(self._functions, name, app, route=route.name, use=use, log=log, failures=failures)
