"""One route, compiled once: authenticate, admit, answer, count."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

import trio

from actors.gateway_route.admission import Admission, AdmissionFullError
from actors.gateway_route.auth import Authenticate
from actors.gateway_route.backends.base import Backend, Call
from actors.gateway_route.counters import RouteCounters, RouteStatistics
from actors.http_calls.errors import (
    BACKEND_TIMEOUT,
    BUSY,
    UNEXPECTED,
    CallRefusedError,
    error_of_status,
    error_response,
)
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import Request, Response
from config.resources import Route


class GatewayRoute:
    """Answers the calls of one route; whatever happens in it becomes an answer of its own calls and nobody else's.

    `counters` are those of the route it replaces, if any. Calls in flight keep the instance that they began with.
    """

    def __init__(
        self, resource: Route, authenticate: Authenticate, backend: Backend, counters: RouteCounters, log: LogLimiter
    ) -> None:
        self.resource = resource
        self._authenticate = authenticate
        self._backend = backend
        self.counters = counters
        self._log = log
        self._admission = Admission(resource.concurrency)
        self._timeout = resource.timeout_ms / 1000

    async def answer(self, request: Request, parameters: Mapping[str, str], request_id: str) -> Response:
        """Answer a call, also one that fails."""
        counters = self.counters
        counters.in_flight += 1
        started = perf_counter()
        response = None
        try:
            response = await self._answer(request, parameters)
        except CallRefusedError as refused:
            response = error_response(refused.error, request_id, refused.detail, refused.headers)
        except AdmissionFullError:
            response = error_response(BUSY, request_id)
        except RequestRefusedError as refused:
            response = error_response(error_of_status(refused.status), request_id, refused.reason)
        except Exception as error:  # noqa: BLE001 - a crash is this call's alone
            counters.crashed += 1
            self._log.warning("Route crashed", route=self.resource.name, request_id=request_id, exc_info=error)
            response = error_response(UNEXPECTED, request_id)
        finally:
            counters.in_flight -= 1
            if response is None:
                counters.abandoned += 1
        counters.answered(response.status, perf_counter() - started)
        return response

    def statistics(self) -> RouteStatistics:
        """What the route has done so far."""
        return self.counters.statistics(self._admission.statistics(), published=self.published)

    @property
    def published(self) -> bool:
        """Whether callers may see it."""
        return self.resource.enabled and self.resource.publish

    async def _answer(self, request: Request, parameters: Mapping[str, str]) -> Response:
        app = self._authenticate(request)
        backend = self._backend
        body = await request.read() if request.body and backend.takes_body else b""
        call = Call(request, parameters, body, app)
        if not backend.waits:
            return await self._admitted(call)
        # A scope costs 15 us: nothing beside a query, half a call's worth where the answer is ready.
        with trio.move_on_after(self._timeout):
            return await self._admitted(call)
        raise CallRefusedError(BACKEND_TIMEOUT)

    async def _admitted(self, call: Call) -> Response:
        await self._admission.enter()
        try:
            return await self._backend.answer(call)
        finally:
            self._admission.leave()
