"""One version of a route, compiled once: its steps, admission, its backend, and what it counts."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import repeat
from time import perf_counter

import trio

from actors.gateway_route.access_log import FIRST_ERROR
from actors.gateway_route.backends.base import Backend
from actors.gateway_route.cache import CacheStatistics
from actors.gateway_route.call import Call
from actors.gateway_route.counters import RouteCounters
from actors.gateway_route.debugging import LATENCY_HEADER, UPSTREAM_LATENCY_HEADER, latency
from actors.gateway_route.published import Published
from actors.gateway_route.steps import Steps
from actors.http_calls.errors import (
    BACKEND_TIMEOUT,
    BUSY,
    METHOD_NOT_ALLOWED,
    UNEXPECTED,
    CallRefusedError,
    error_of_status,
    error_response,
)
from actors.http_calls.request_ids import HEADER
from actors.runtime.admission import Admission, AdmissionFullError, AdmissionStatistics
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import Response


class GatewayRoute:
    """Answers the calls of one version; whatever happens in it becomes an answer of its own calls and nobody else's.

    `counters` are those of the route, whatever version of it is served. Calls in flight keep the instance that they
    began with.
    """

    def __init__(
        self, published: Published, steps: Steps, backend: Backend, counters: RouteCounters, log: LogLimiter
    ) -> None:
        self.published = published
        self.group = published.group
        self.counters = counters
        self._steps = steps
        self._head = tuple(step for _, step in steps.head)
        self._body = tuple(step for _, step in steps.body)
        self._after = tuple(after for _, after in steps.after)
        self._takes_body = backend.takes_body or bool(steps.body)
        self._backend = backend
        self._log = log
        route = published.route
        patience = math.inf if route.queue_ms is None else route.queue_ms / 1000
        self._admission = Admission(route.concurrency, route.queue, patience)
        self._timeout = route.timeout_ms / 1000
        cache = steps.cache
        fetch: Callable[[Call], Awaitable[Response]] = self._in_time if backend.waits else self._admitted
        self._respond: Callable[[Call], Response | Awaitable[Response]]
        if cache is not None:
            self._respond = partial(cache.answer, fetch=fetch)
        else:
            self._respond = fetch if backend.waits else self._at_once
        self._compressor = steps.compressor
        self._cross_origin = steps.cross_origin
        observe = steps.observe
        self._tell = None if observe is None else observe.tell
        self._slow = math.inf if observe is None else observe.slow
        self._sampled = repeat(False) if observe is None else observe.sampled  # noqa: FBT003 - what is repeated

    async def answer(self, call: Call, *, preflight: bool = False) -> Response:
        """Answer a call, also one that fails, or the preflight of one; the answer has the call's id."""
        counters = self.counters
        counters.in_flight += 1
        started = perf_counter()
        response = None
        try:
            if preflight:
                response = self._asked(call)
            else:
                response = await (self._way(call) if call.timings is None else self._traced_way(call, call.timings))
        except Exception as error:  # noqa: BLE001 - a crash is this call's alone
            response = self._refused(call, error)
        finally:
            counters.in_flight -= 1
            if response is None:
                counters.abandoned += 1
        seconds = perf_counter() - started
        if self._cross_origin is not None and not preflight:
            response = self._cross_origin.tagged(call.request, response)
        if call.debug is not None:
            call.debug.append(latency(LATENCY_HEADER, seconds))
            response = Response(response.status, (*response.headers, *call.debug), response.body)
        status = response.status
        counters.answered(status, seconds)
        tell = self._tell
        if tell is not None and (status >= FIRST_ERROR or seconds >= self._slow or next(self._sampled)):
            tell(call, response, seconds)
        return Response(status, (*response.headers, (HEADER, call.request_id)), response.body)

    @property
    def answers_preflights(self) -> bool:
        """Whether it says itself which pages of other origins may call."""
        return self._cross_origin is not None

    def retire(self) -> None:
        """Another version has taken its place: nothing more is kept of it."""
        if self._steps.cache is not None:
            self._steps.cache.close()

    def cached(self) -> CacheStatistics | None:
        """What its cache has seen; None where it has none."""
        return None if self._steps.cache is None else self._steps.cache.statistics()

    def admission(self) -> AdmissionStatistics:
        """How many calls run and wait."""
        return self._admission.statistics()

    async def _way(self, call: Call) -> Response:
        for step in self._head:
            answer = step(call)
            if answer is not None:
                if isinstance(answer, Response):
                    return answer
                await answer
        if self._takes_body and call.request.body:
            call.body = await call.request.read()
        for step in self._body:
            answer = step(call)
            if answer is not None:
                if isinstance(answer, Response):
                    return answer
                await answer
        made = self._respond(call)
        response = made if isinstance(made, Response) else await made
        for after in self._after:
            changed = after(call, response)
            response = changed if isinstance(changed, Response) else await changed
        if self._compressor is not None:
            return await self._compressor.compress(call.request, response)
        return response

    async def _traced_way(self, call: Call, timings: list[tuple[str, float]]) -> Response:
        """The same way, and how long each part of it took, also the one that ended it."""
        for name, step in self._steps.head:
            with _Timed(timings, name):
                answer = step(call)
                if answer is not None and not isinstance(answer, Response):
                    await answer
                    answer = None
            if answer is not None:
                return answer
        if self._takes_body and call.request.body:
            with _Timed(timings, "read body"):
                call.body = await call.request.read()
        for name, step in self._steps.body:
            with _Timed(timings, name):
                answer = step(call)
                if answer is not None and not isinstance(answer, Response):
                    await answer
                    answer = None
            if answer is not None:
                return answer
        with _Timed(timings, "backend"):
            made = self._respond(call)
            response = made if isinstance(made, Response) else await made
        for name, after in self._steps.after:
            with _Timed(timings, name):
                changed = after(call, response)
                response = changed if isinstance(changed, Response) else await changed
        if self._compressor is not None:
            with _Timed(timings, "compress"):
                response = await self._compressor.compress(call.request, response)
        return response

    def _asked(self, call: Call) -> Response:
        if self._cross_origin is None:
            raise CallRefusedError(METHOD_NOT_ALLOWED)
        return self._cross_origin.preflight(call.request)

    def _refused(self, call: Call, error: Exception) -> Response:
        """The answer to a call that failed."""
        match error:
            case CallRefusedError():
                if call.reasons is not None and error.reason:
                    call.reasons.append(error.reason)
                return error_response(error.error, call.request_id, error.detail, error.headers)
            case AdmissionFullError():
                return error_response(BUSY, call.request_id)
            case RequestRefusedError():
                return error_response(error_of_status(error.status), call.request_id, error.reason)
            case _:
                self.counters.crashed += 1
                if call.reasons is not None:
                    call.reasons.append(f"it crashed: {error!r}; the daemon's log says where")
                name = self.published.route.name
                self._log.warning("Route crashed", route=name, request_id=call.request_id, exc_info=error)
                return error_response(UNEXPECTED, call.request_id)

    def _at_once(self, call: Call) -> Response | Awaitable[Response]:
        """Of a backend that does not wait: nobody can come between, so that there always is a place."""
        if call.debug is not None:
            return self._admitted(call)
        self._admission.passed()
        return self._backend.answer(call)

    async def _in_time(self, call: Call) -> Response:
        # A scope costs 15 us: nothing beside a query, half a call's worth where the answer is ready.
        with trio.move_on_after(self._timeout):
            return await self._admitted(call)
        raise CallRefusedError(BACKEND_TIMEOUT)

    async def _admitted(self, call: Call) -> Response:
        if not self._admission.enter_nowait():
            await self._admission.enter()
        started = perf_counter()
        try:
            made = self._backend.answer(call)
            return made if isinstance(made, Response) else await made
        finally:
            self._admission.leave()
            if call.debug is not None:
                call.debug.append(latency(UPSTREAM_LATENCY_HEADER, perf_counter() - started))


class _Timed:
    """Adds how long its block took, however it ended."""

    __slots__ = ("_name", "_started", "_timings")

    def __init__(self, timings: list[tuple[str, float]], name: str) -> None:
        self._timings = timings
        self._name = name
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._timings.append((self._name, perf_counter() - self._started))
