"""All routes of an instance behind one handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from actors.errors import ConfigurationError
from actors.gateway_route.admission import AdmissionStatistics
from actors.gateway_route.auth.compile import Identities
from actors.gateway_route.backends.topic import Records
from actors.gateway_route.cache import CacheStatistics
from actors.gateway_route.call import Call
from actors.gateway_route.compiler import Compiler
from actors.gateway_route.counters import RouteCounters, RouteStatistics
from actors.gateway_route.cross_origin import asked_by
from actors.gateway_route.domains import BoundDomain, check_connection, host_name
from actors.gateway_route.flow.control import FlowControl
from actors.gateway_route.paths import Segment, parse_route
from actors.gateway_route.published import Published
from actors.gateway_route.route import GatewayRoute
from actors.gateway_route.router import Match, Router, RouteTakenError
from actors.gateway_route.spaces import Spaces
from actors.http_calls.errors import (
    BAD_REQUEST,
    METHOD_NOT_ALLOWED,
    NO_ROUTE,
    CallRefusedError,
    error_response,
    malformed_response,
)
from actors.http_calls.request_ids import HEADER, RequestIds
from actors.ports import ConnectionLookup, ResultLimits
from actors.wire.http.checks import METHODS
from actors.wire.http.messages import Request, Response
from config.resources import RELEASE, ApiGroup
from config.settings import GatewaySettings

STAGE_HEADER = "x-stage"
"""Which environment a call is for; RELEASE where it is not there."""

_READ_HERE = frozenset({STAGE_HEADER, HEADER.lower()})


@dataclass(frozen=True, slots=True)
class GatewayStatistics:
    """What the gateway has done so far: route by route, and the requests that came to none.

    `redirected` were sent to https, `misdirected` came by a connection that is no good for their domain.
    """

    routes: dict[str, RouteStatistics]
    not_found: int
    method_not_allowed: int
    malformed: int
    refused: int
    redirected: int
    misdirected: int


class RouteCollisionError(ConfigurationError):
    """Two routes want the same method and path of one environment: `wanted`, and `holder`, which has it; both names."""

    def __init__(self, wanted: Published, holder: str) -> None:
        request = wanted.route.request
        super().__init__(
            f"route {wanted.route.name}: {request.method} {request.path} is served by route {holder} already; "
            "give one of them another path or method"
        )
        self.wanted = wanted.route.name
        self.holder = holder


@dataclass(slots=True)
class _Route:
    """A route that is known: what it counted, and what of it is served, by environment."""

    counters: RouteCounters = field(default_factory=RouteCounters)
    served: dict[str, GatewayRoute] = field(default_factory=dict)


class Gateway:
    """Matches requests with routes; routes come, change and go without a request in flight noticing.

    `handle` and `refuse` are what an HTTP listener asks for. `identities` are those who call, `connections` finds the
    living connectors that data routes query. `flow` has throttles and quotas, the caches and the access log;
    `measured_routes` of them have numbers of their own on the metrics page. `https_port` tells where https is spoken
    now, if it is.
    """

    def __init__(
        self,
        identities: Identities,
        connections: ConnectionLookup,
        settings: GatewaySettings,
        flow: FlowControl | None = None,
        records: Records | None = None,
        *,
        https_port: Callable[[], int | None] = lambda: None,
    ) -> None:
        limits = ResultLimits(settings.max_rows, settings.max_result_bytes)
        self.measured_routes = settings.measured_routes
        self.flow = flow if flow is not None else FlowControl(settings)
        self._compiler = Compiler(identities, connections, limits, self.flow, records)
        self._observer = self.flow.access_log.observer()
        self._https_port = https_port
        self._spaces: Spaces[GatewayRoute] = Spaces()
        self._stages = self._spaces.everywhere
        self._nowhere: Router[GatewayRoute] = Router()
        self._routes: dict[str, _Route] = {}
        self._ids = RequestIds()
        self._not_found = 0
        self._method_not_allowed = 0
        self._malformed = 0
        self._refused = 0
        self._redirected = 0
        self._misdirected = 0

    def put_route(self, name: str, versions: Sequence[Published]) -> None:
        """Serve exactly these versions of a route, at most one an environment; none of them: it is known, no more.

        Raises:
            RouteCollisionError: another route has a method and path already; what was served before still is.
            ConfigurationError: a version cannot be served; likewise.
        """
        self.put_routes({name: versions})

    def put_routes(
        self, wanted: Mapping[str, Sequence[Published]], groups: Mapping[str, ApiGroup | None] | None = None
    ) -> None:
        """Put several routes at one moment, as when they swap their paths; all of it is done, or nothing.

        `groups` are those whose domains have changed, None for one that is gone: all of their routes move along.
        """
        groups = groups or {}
        before = {name: self._routes[name].served for name in self._affected(wanted, groups)}
        routes = {name: self._routes.get(name) or _Route() for name in wanted}
        after = before | {name: self._compiled(routes[name], versions) for name, versions in wanted.items()}
        for served in before.values():
            self._withdraw(served.values())
        known = self._spaces.bind(groups)
        try:
            self._serve(after)
        except RouteCollisionError:
            self._spaces.bind(known)
            self._serve(before)
            raise
        for name, route in routes.items():
            route.served = after[name]
        self._routes.update(routes)
        kept = {id(one) for served in after.values() for one in served.values()}
        _retire(one for served in before.values() for one in served.values() if id(one) not in kept)

    def remove_route(self, name: str) -> None:
        """Serve a route no more, and forget its counters; a name that is not known is no error."""
        route = self._routes.pop(name, None)
        if route is not None:
            self._withdraw(route.served.values())
            _retire(route.served.values())

    def trial(self, published: Published) -> GatewayRoute:
        """A route that nobody can call but who asked for it: its counters count for nobody, its callers are trusted.

        Raises:
            ConfigurationError: the version cannot be served.
        """
        return self._compiler.compile(published, RouteCounters(), trusted=True)

    def handle(self, request: Request) -> Awaitable[Response]:
        """Answer a request; what is awaited raises nothing but cancellation."""
        given = stage = None
        for name, value in request.headers:
            if name in _READ_HERE:
                if name == STAGE_HEADER:
                    stage = stage or value
                else:
                    given = given or value
        request_id = self._ids.take_over(given)
        stage = stage or RELEASE
        stages, domain = self._stages, None
        if self._spaces.domains is not None:
            domain = self._spaces.domains.find(host_name(request.header("host") or ""))
            if domain is not None:
                stages = self._spaces.stages(domain.group)
        router = stages.get(stage, self._nowhere)
        try:
            match = router.match(request.method, request.path)
            asked = _asked(router, request) if request.method == "OPTIONS" else None
        except ValueError as error:
            self._malformed += 1
            return self._unserved(request, request_id, error_response(BAD_REQUEST, request_id, str(error)))
        route = match.value if asked is None else asked
        if domain is not None:
            response = self._elsewhere(domain, request, request_id, route)
            if response is not None:
                return self._unserved(request, request_id, response)
        if route is None:
            return self._unserved(request, request_id, self._unrouted(request, match, request_id))
        call = Call(request, request_id, stage, route.group, request.peer, path=match.parameters, rest=match.rest)
        return route.answer(call) if asked is None else route.answer(call, preflight=True)

    def refuse(self, status: int, reason: str) -> Response:
        """The answer to what never became a request: malformed, too large, too slow."""
        self._refused += 1
        request_id = self._ids.new()
        return _tagged(malformed_response(status, reason, request_id), request_id)

    def statistics_of(self, name: str) -> RouteStatistics | None:
        """What one route has done so far, or None where it is not known."""
        route = self._routes.get(name)
        return None if route is None else _statistics(route)

    def statistics(self) -> GatewayStatistics:
        """What the gateway has done so far."""
        return GatewayStatistics(
            routes={name: _statistics(route) for name, route in self._routes.items()},
            not_found=self._not_found,
            method_not_allowed=self._method_not_allowed,
            malformed=self._malformed,
            refused=self._refused,
            redirected=self._redirected,
            misdirected=self._misdirected,
        )

    def _compiled(self, route: _Route, versions: Iterable[Published]) -> dict[str, GatewayRoute]:
        """What has not changed stays, with the calls that it is at."""
        served = {}
        for published in versions:
            before = route.served.get(published.environment)
            same = before is not None and before.published == published
            served[published.environment] = (
                before if before is not None and same else self._compiler.compile(published, route.counters)
            )
        return served

    def _affected(self, wanted: Iterable[str], groups: Mapping[str, object]) -> list[str]:
        """Which known routes move; only a group that has changed makes it look at all of them."""
        found = [name for name in wanted if name in self._routes]
        if groups:
            of_groups = (
                name
                for name, route in self._routes.items()
                if any(one.group in groups for one in route.served.values())
            )
            found = list(dict.fromkeys((*found, *of_groups)))
        return found

    def _serve(self, routes: Mapping[str, Mapping[str, GatewayRoute]]) -> None:
        """Add them all to their routers, or none."""
        added: list[GatewayRoute] = []
        for route in (one for served in routes.values() for one in served.values()):
            published = route.published
            router = self._spaces.stages(published.group).setdefault(published.environment, Router())
            try:
                router.add(*_place(published), route, prefix=_is_prefix(published))
            except RouteTakenError as error:
                self._withdraw(added)
                holder = error.holder.published.route.name if isinstance(error.holder, GatewayRoute) else "another"
                raise RouteCollisionError(published, holder) from error
            added.append(route)

    def _withdraw(self, routes: Iterable[GatewayRoute]) -> None:
        for route in routes:
            published = route.published
            router = self._spaces.stages(published.group)[published.environment]
            router.remove(*_place(published), prefix=_is_prefix(published))

    def _elsewhere(
        self, domain: BoundDomain, request: Request, request_id: str, route: GatewayRoute | None
    ) -> Response | None:
        """The answer to a call that did not come as its domain wants it."""
        protocol = None if route is None else route.published.route.request.protocol
        try:
            response = check_connection(domain, request, protocol, self._https_port())
        except CallRefusedError as refused:
            self._misdirected += 1
            return error_response(refused.error, request_id, refused.detail)
        self._redirected += response is not None
        return response

    async def _unserved(self, request: Request, request_id: str, response: Response) -> Response:
        if self._observer is not None:
            self._observer.tell(Call(request, request_id), response, 0.0)
        return _tagged(response, request_id)

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


def _place(published: Published) -> tuple[str, tuple[Segment, ...]]:
    request = published.route.request
    return request.method, parse_route(request.path)


def _is_prefix(published: Published) -> bool:
    return published.route.request.match == "prefix"


def _asked(router: Router[GatewayRoute], request: Request) -> GatewayRoute | None:
    """The route that the page behind a preflight is about to call, where it says itself who may (Fetch 3.2.2)."""
    method = asked_by(request)
    route = None if method is None else router.match(method, request.path).value
    return route if route is not None and route.answers_preflights else None


def _tagged(response: Response, request_id: str) -> Response:
    return Response(response.status, (*response.headers, (HEADER, request_id)), response.body)


def _retire(routes: Iterable[GatewayRoute]) -> None:
    for route in routes:
        route.retire()


def _statistics(route: _Route) -> RouteStatistics:
    """Of a route as a whole: what its environments admit is summed up."""
    each = [served.admission() for served in route.served.values()]
    admission = AdmissionStatistics(
        running=sum(one.running for one in each),
        waiting=sum(one.waiting for one in each),
        capacity=sum(one.capacity for one in each),
        high_water=max((one.high_water for one in each), default=0),
        admitted=sum(one.admitted for one in each),
        refused=sum(one.refused for one in each),
        waited=sum(one.waited for one in each),
    )
    caches = [cache for served in route.served.values() if (cache := served.cached()) is not None]
    cached = CacheStatistics(*map(sum, zip(*caches, strict=True))) if caches else None
    return route.counters.statistics(admission, published=bool(route.served), cache=cached)
