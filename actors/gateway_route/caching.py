"""A route whose answers are kept: what they are kept under, which may be, and who fetches the next one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Hashable
from hashlib import blake2b
from urllib.parse import parse_qsl

import msgspec
import trio

from actors.gateway_route.backends.paging import PAGE_NUMBER, PAGE_SIZE
from actors.gateway_route.cache import AnswerCache, CacheSpace, CacheStatistics, Found
from actors.gateway_route.call import Call, Caller
from actors.gateway_route.mapping.system import system_value
from actors.gateway_route.published import Published
from actors.http_calls.errors import CallRefusedError
from actors.runtime.admission import AdmissionFullError
from actors.wire.http.messages import HeaderFields, Response
from config.resources import Cache
from config.resources.route_parts import SystemValue

Clock = Callable[[], float]
"""Seconds of a clock that never goes back."""
Answer = Callable[[Call], Awaitable[Response]]
"""Whatever answers a call, for as long as it takes."""

_KEPT_METHODS = frozenset({"GET", "HEAD"})
# Of the statuses that RFC 9110 15.1 lets be kept, those that say nothing of failures.
_KEPT_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 410})
_FAILURES = frozenset({500, 502, 503, 504})
_FORBIDDEN = ("no-store", "no-cache", "private")
_MAX_FIELDS = 1_000
# System values that are no part of the key otherwise; the second are of who calls.
_OF_CALLS = frozenset({"host"})
_OF_CALLERS = frozenset({"client_certificate", "source_address"})


class _Fetch:
    """One call that is under way to the backend; where it was cut off, whoever waited for it takes its place."""

    __slots__ = ("answered", "ended")

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.answered = True


class CachedAnswers:
    """Answers the calls of one published route from its cache, and fetches what is not there.

    One caller at a time fetches an answer: others that ask for the same wait for it, or get the stale one meanwhile
    (RFC 5861 3). Where what was fetched cannot be kept, those who waited fetch for themselves, all at once. A stale
    answer is better than none: it is given where the fetch fails (RFC 5861 4).

    Not kept: what sets cookies, what says so (`Cache-Control: no-store`, `no-cache`, `private`), what varies by a
    header that is no part of the key, and bodies of unknown length; nor what is made of the body of a request, which
    may ask for something else. What *callers* say in Cache-Control does not count, as they could do without the cache
    then. `system` are the system values that answers are made of.
    """

    __slots__ = ("_by_caller", "_cache", "_clock", "_fetching", "_headers", "_query", "_system")

    def __init__(
        self, settings: Cache, space: CacheSpace, clock: Clock, *, system: Collection[SystemValue] = ()
    ) -> None:
        self._cache = AnswerCache(
            space,
            seconds=settings.seconds,
            stale_seconds=settings.stale_seconds,
            max_bytes=settings.max_bytes,
            max_entries=settings.max_entries,
        )
        self._clock = clock
        self._query = None if settings.query is None else frozenset(settings.query)
        self._headers = tuple(sorted({name.lower() for name in settings.headers}))
        self._by_caller = settings.by_caller
        known = _OF_CALLS | _OF_CALLERS if settings.by_caller else _OF_CALLS
        self._system = tuple(system_value(name, "") for name in sorted(known.intersection(system)))
        self._fetching: dict[Hashable, _Fetch] = {}

    async def answer(self, call: Call, fetch: Answer) -> Response:
        """Answer from the cache, or by `fetch`.

        Raises:
            CallRefusedError: the fetch was refused, and nothing is kept that could be given instead.
            AdmissionFullError: likewise.
        """
        if call.request.method not in _KEPT_METHODS or call.body:
            return await fetch(call)
        key = self._key(call)
        found = self._cache.find(key, self._clock())
        while found is None and (running := self._fetching.get(key)) is not None:
            await running.ended.wait()
            found = self._cache.find(key, self._clock())
            if found is None and running.answered:
                return await self._fetch(call, key, fetch, None)
        if found is not None and (found.freshness == "fresh" or key in self._fetching):
            return _aged(found)
        mine = self._fetching[key] = _Fetch()
        try:
            return await self._fetch(call, key, fetch, found)
        except trio.Cancelled:
            mine.answered = False
            raise
        finally:
            del self._fetching[key]
            mine.ended.set()

    def clear(self) -> int:
        """Forget every answer; says how many there were."""
        return self._cache.clear()

    def close(self) -> None:
        """Keep nothing any more: the route has been replaced."""
        self._cache.close()

    def statistics(self) -> CacheStatistics:
        """What the cache has seen, and what it holds."""
        return self._cache.statistics()

    async def _fetch(self, call: Call, key: Hashable, fetch: Answer, stale: Found | None) -> Response:
        try:
            response = await fetch(call)
            if self._may_be_kept(response):
                self._cache.keep(key, response, self._clock())
            elif response.status not in _FAILURES:
                self._cache.forget(key)
        except (CallRefusedError, AdmissionFullError) as refused:
            failed = not isinstance(refused, CallRefusedError) or refused.error.status in _FAILURES
            if stale is None or not failed:
                raise
            return _aged(stale)
        else:
            return _aged(stale) if stale is not None and response.status in _FAILURES else response

    def _key(self, call: Call) -> Hashable:
        request = call.request
        values = tuple(tuple(request.header_values(name)) for name in self._headers)
        caller = _caller_key(call.caller) if self._by_caller else None
        system = tuple([value(call) for value in self._system])
        return request.method, request.path, self._query_key(request.query), values, caller, system

    def _query_key(self, query: str) -> Hashable:
        if self._query is None or not query:
            return query
        if not self._query:
            return ""
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
        except ValueError:
            return query
        return tuple(sorted(pair for pair in pairs if pair[0] in self._query))

    def _may_be_kept(self, response: Response) -> bool:
        if response.status not in _KEPT_STATUSES or not isinstance(response.body, bytes):
            return False
        return all(self._header_allows(name.lower(), value.lower()) for name, value in response.headers)

    def _header_allows(self, name: str, value: str) -> bool:
        match name:
            case "set-cookie":
                return False
            case "cache-control":
                return not any(one in value for one in _FORBIDDEN)
            case "vary":
                return all(one.strip() in {*self._headers, "accept-encoding"} for one in value.split(","))
            case _:
                return True


def answers_of(published: Published, space: CacheSpace, clock: Clock) -> CachedAnswers | None:
    """A cache for a version of a route, keyed also by what its backend takes besides; None where it has none."""
    settings, data = published.route.cache, published.backend.data
    if settings is None:
        return None
    taken = {place: [one.name for one in published.inputs if one.place == place] for place in ("query", "header")}
    if data is not None and data.paging:
        taken["query"] += PAGE_NUMBER, PAGE_SIZE
    settings = msgspec.structs.replace(
        settings,
        query=None if settings.query is None else (*settings.query, *taken["query"]),
        headers=(*settings.headers, *taken["header"]),
    )
    asked = () if data is None else data.parameters
    return CachedAnswers(settings, space, clock, system={one.system for one in asked if one.system is not None})


def _caller_key(caller: Caller) -> Hashable:
    """Not by name alone: a user may be called as an app is, and an answer may be made of anything a token claims."""
    if not caller.claims:
        return caller.kind, caller.name, caller.app or "", caller.mark
    # Half of a surrogate pair is no reason to refuse a token, and only this encoder takes it.
    claims = json.dumps(caller.claims, sort_keys=True)
    return caller.kind, caller.mark, blake2b(claims.encode(), digest_size=16).hexdigest()


def _aged(found: Found) -> Response:
    """With how long it has been kept (RFC 9111 5.1)."""
    response = found.response
    headers: HeaderFields = tuple((name, value) for name, value in response.headers if name.lower() != "age")
    return Response(response.status, (*headers, ("Age", str(int(found.age)))), response.body)
