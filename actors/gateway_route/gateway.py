"""All routes of an instance behind one handler."""

from __future__ import annotations

from dataclasses import dataclass

from actors.errors import ConfigurationError
from actors.gateway_route.auth import authentication
from actors.gateway_route.backends.base import Backend
from actors.gateway_route.backends.data import Data
from actors.gateway_route.backends.mock import Mock
from actors.gateway_route.counters import RouteCounters, RouteStatistics
from actors.gateway_route.paths import parse_route
from actors.gateway_route.route import GatewayRoute
from actors.gateway_route.router import Match, Router, RouteTakenError
from actors.http_calls.callers import Apps
from actors.http_calls.errors import BAD_REQUEST, METHOD_NOT_ALLOWED, NO_ROUTE, error_of_status, error_response
from actors.http_calls.request_ids import HEADER, RequestIds
from actors.ports import ConnectionLookup, ResultLimits
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.checks import METHODS
from actors.wire.http.messages import Request, Response
from config.resources import Route
from config.settings import GatewaySettings

# The published messages for these say it all; the reason adds something to the others.
_SAID_BY_MESSAGE = frozenset({413, 414, 494, 500})


@dataclass(frozen=True, slots=True)
class GatewayStatistics:
    """What the gateway has done so far: route by route, and the requests that came to none."""

    routes: dict[str, RouteStatistics]
    not_found: int
    method_not_allowed: int
    malformed: int
    refused: int


class Gateway:
    """Matches requests with routes; routes come, change and go without a request in flight noticing.

    `handle` and `refuse` are what an HTTP listener asks for. `apps` is the directory, `connections` finds the living
    connectors that data routes query.
    """

    def __init__(self, apps: Apps, connections: ConnectionLookup, settings: GatewaySettings) -> None:
        self._apps = apps
        self._connections = connections
        self._limits = ResultLimits(settings.max_rows, settings.max_result_bytes)
        self._router: Router[GatewayRoute] = Router()
        self._routes: dict[str, GatewayRoute] = {}
        self._ids = RequestIds()
        self._not_found = 0
        self._method_not_allowed = 0
        self._malformed = 0
        self._refused = 0

    def put_route(self, resource: Route) -> None:
        """Add a route, or replace the one of that name; one that is disabled or not published is kept but not served.

        Raises:
            ConfigurationError: the route cannot be served; what was served before still is.
        """
        path = parse_route(resource.request.path)
        before = self._routes.get(resource.name)
        route = self._compile(resource, before.counters if before is not None else RouteCounters())
        if before is not None:
            self._withdraw(before)
        if route.published:
            try:
                self._router.add(resource.request.method, path, route)
            except RouteTakenError as error:
                if before is not None:
                    self._serve(before)
                raise ConfigurationError(_collision(resource, error)) from error
        self._routes[resource.name] = route

    def remove_route(self, name: str) -> None:
        """Serve a route no more, and forget its counters; a name that is not known is no error."""
        route = self._routes.pop(name, None)
        if route is not None:
            self._withdraw(route)

    async def handle(self, request: Request) -> Response:
        """Answer a request; raises nothing but cancellation."""
        request_id = self._ids.choose(request)
        try:
            match = self._router.match(request.method, request.path)
        except ValueError as error:
            self._malformed += 1
            return _tagged(error_response(BAD_REQUEST, request_id, str(error)), request_id)
        route = match.value
        if route is None:
            return _tagged(self._unrouted(request, match, request_id), request_id)
        return _tagged(await route.answer(request, match.parameters, request_id), request_id)

    def refuse(self, status: int, reason: str) -> Response:
        """The answer to what never became a request: malformed, too large, too slow."""
        self._refused += 1
        request_id = self._ids.new()
        detail = "" if status in _SAID_BY_MESSAGE else reason
        return _tagged(error_response(error_of_status(status), request_id, detail), request_id)

    def statistics(self) -> GatewayStatistics:
        """What the gateway has done so far."""
        return GatewayStatistics(
            routes={name: route.statistics() for name, route in self._routes.items()},
            not_found=self._not_found,
            method_not_allowed=self._method_not_allowed,
            malformed=self._malformed,
            refused=self._refused,
        )

    def _compile(self, resource: Route, counters: RouteCounters) -> GatewayRoute:
        log = LogLimiter(per_second=1)
        backend = self._backend(resource, log)
        return GatewayRoute(resource, authentication(resource, self._apps), backend, counters, log)

    def _backend(self, resource: Route, log: LogLimiter) -> Backend:
        if resource.backend.data is not None:
            return Data(resource.name, resource.backend.data, self._connections, self._limits, log)
        if resource.backend.mock is not None:
            return Mock(resource.backend.mock)
        raise ConfigurationError(f"route {resource.name}: has no backend")

    def _serve(self, route: GatewayRoute) -> None:
        if route.published:
            self._router.add(route.resource.request.method, parse_route(route.resource.request.path), route)

    def _withdraw(self, route: GatewayRoute) -> None:
        if route.published:
            self._router.remove(route.resource.request.method, parse_route(route.resource.request.path))

    def _unrouted(self, request: Request, match: Match[GatewayRoute], request_id: str) -> Response:
        allowed = tuple(sorted(METHODS)) if request.path == "*" else match.allowed
        if not allowed:
            self._not_found += 1
            return error_response(NO_ROUTE, request_id)
        allow = (("Allow", ", ".join(allowed)),)
        if request.method == "OPTIONS":
            return Response(204, allow)
        self._method_not_allowed += 1
        return error_response(METHOD_NOT_ALLOWED, request_id, headers=allow)


def _tagged(response: Response, request_id: str) -> Response:
    return Response(response.status, (*response.headers, (HEADER, request_id)), response.body)


def _collision(resource: Route, error: RouteTakenError) -> str:
    holder = error.holder.resource.name if isinstance(error.holder, GatewayRoute) else "another route"
    wanted = f"{resource.request.method} {resource.request.path}"
    return (
        f"route {resource.name}: {wanted} is served by route {holder} already; give one of them another path or method"
    )
