"""One version of a route, compiled once: its steps, admission, its backend, and what it counts."""

from __future__ import annotations

import math
from functools import partial
from time import perf_counter

import msgspec
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
    UNEXPECTED,
    CallRefusedError,
    error_of_status,
    error_response,
)
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
        self._respond = self._answered if cache is None else partial(cache.answer, fetch=self._answered)
        self._compressor = steps.compressor
        self._observer = steps.observe

    async def answer(self, call: Call) -> Response:
        """Answer a call, also one that fails."""
        counters = self.counters
        counters.in_flight += 1
        started = perf_counter()
        response = None
        try:
            response = await (self._way(call) if call.timings is None else self._traced_way(call, call.timings))
        except CallRefusedError as refused:
            response = error_response(refused.error, call.request_id, refused.detail, refused.headers)
        except AdmissionFullError:
            response = error_response(BUSY, call.request_id)
        except RequestRefusedError as refused:
            response = error_response(error_of_status(refused.status), call.request_id, refused.reason)
        except Exception as error:  # noqa: BLE001 - a crash is this call's alone
            counters.crashed += 1
            name = self.published.route.name
            self._log.warning("Route crashed", route=name, request_id=call.request_id, exc_info=error)
            response = error_response(UNEXPECTED, call.request_id)
        finally:
            counters.in_flight -= 1
            if response is None:
                counters.abandoned += 1
        if call.debug is not None:
            call.debug.append(latency(LATENCY_HEADER, perf_counter() - started))
            response = msgspec.structs.replace(response, headers=(*response.headers, *call.debug))
        seconds = perf_counter() - started
        counters.answered(response.status, seconds)
        observer = self._observer
        if observer is not None and (
            response.status >= FIRST_ERROR or seconds >= observer.slow or next(observer.sampled)
        ):
            observer.tell(call, response, seconds)
        return response

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
        response = await self._respond(call)
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
            response = await self._respond(call)
        for name, after in self._steps.after:
            with _Timed(timings, name):
                changed = after(call, response)
                response = changed if isinstance(changed, Response) else await changed
        if self._compressor is not None:
            with _Timed(timings, "compress"):
                response = await self._compressor.compress(call.request, response)
        return response

    async def _answered(self, call: Call) -> Response:
        if not self._backend.waits:
            return await self._admitted(call)
        # A scope costs 15 us: nothing beside a query, half a call's worth where the answer is ready.
        with trio.move_on_after(self._timeout):
            return await self._admitted(call)
        raise CallRefusedError(BACKEND_TIMEOUT)

    async def _admitted(self, call: Call) -> Response:
        if not self._admission.enter_nowait():
            await self._admission.enter()
        try:
            return await (self._backend.answer(call) if call.debug is None else self._debugged(call, call.debug))
        finally:
            self._admission.leave()

    async def _debugged(self, call: Call, headers: list[tuple[str, str]]) -> Response:
        started = perf_counter()
        try:
            return await self._backend.answer(call)
        finally:
            headers.append(latency(UPSTREAM_LATENCY_HEADER, perf_counter() - started))


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
