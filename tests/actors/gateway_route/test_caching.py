"""Routes whose answers are kept. Times are handed in, or virtual."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.gateway_route.cache import CacheSpace
from actors.gateway_route.caching import CachedAnswers
from actors.gateway_route.call import NOBODY, Call, Caller
from actors.http_calls.errors import BACKEND_UNAVAILABLE, BAD_REQUEST, CallRefusedError
from actors.runtime.admission import AdmissionFullError
from actors.wire.http.messages import HeaderFields, Request, Response
from config.resources import Cache


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Backend:
    """Answers with a number that tells which fetch it was."""

    def __init__(self) -> None:
        self.fetches = 0
        self.status = 200
        self.headers: HeaderFields = ()
        self.error: Exception | None = None
        self.delay = 0.0

    async def __call__(self, _call: Call) -> Response:
        self.fetches += 1
        number = self.fetches
        await trio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return Response(self.status, self.headers, str(number).encode())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend() -> Backend:
    return Backend()


def answers(clock: Clock, **settings: Any) -> CachedAnswers:
    return CachedAnswers(Cache(**{"seconds": 10, **settings}), CacheSpace(1_000_000), clock)


def call(path: str = "/r", query: str = "", method: str = "GET", caller: Caller = NOBODY, **headers: str) -> Call:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Call(Request(method, path, query, fields), caller=caller)


async def test_an_answer_to_a_token_is_that_tokens_alone(clock: Clock, backend: Backend) -> None:
    """Answers are made of what tokens claim: another one of the same subject, or one without any, gets none of them."""
    cached = answers(clock)
    claims = {"sub": "ann", "role": "admin", "exp": 1}
    tokens = [claims, {**claims, "role": "guest"}, {**claims, "iss": "other"}, {"role": "admin", "exp": 1}, {"exp": 1}]
    callers = [Caller("jwt", str(one.get("sub", "")), None, one) for one in tokens]
    bodies = [(await cached.answer(call(caller=caller), backend)).body for caller in callers]
    assert bodies == [b"1", b"2", b"3", b"4", b"5"]
    same = Caller("jwt", "ann", None, {"exp": 1, "role": "admin", "sub": "ann"})
    assert (await cached.answer(call(caller=same), backend)).body == b"1"
    odd = Caller("jwt", "ann", None, {"sub": "ann", "nick": "\ud800"})
    assert (await cached.answer(call(caller=odd), backend)).body == b"6"


async def test_an_answer_is_fetched_once(clock: Clock, backend: Backend) -> None:
    """Until its time is over; what is kept says how old it is."""
    cached = answers(clock)
    first = await cached.answer(call(), backend)
    clock.now = 7.5
    second = await cached.answer(call(), backend)
    assert (first.body, second.body, second.headers) == (b"1", b"1", (("Age", "7"),))
    clock.now = 10
    assert (await cached.answer(call(), backend)).body == b"2"


@pytest.mark.parametrize(
    ("settings", "one", "other", "apart"),
    [
        ({}, call("/a"), call("/b"), True),
        ({}, call(query="x=1"), call(query="x=2"), True),
        ({}, call(method="GET"), call(method="HEAD"), True),
        ({"query": ()}, call(query="x=1"), call(query="x=2"), False),
        ({"query": ("x",)}, call(query="x=1&y=1"), call(query="y=2&x=1"), False),
        ({"query": ("x",)}, call(query="x=1&y=1"), call(query="x=2&y=1"), True),
        ({"query": ("x",)}, call(query="x=a%26b"), call(query="x=a&b="), True),
        ({"query": ("x",)}, call(query="x=1"), call(query="x=1&x=2"), True),
        ({"query": ("x",)}, call(query="x=%ff"), call(query="x=%fe"), True),
        ({}, call(accept_language="de"), call(accept_language="en"), False),
        ({"headers": ("Accept-Language",)}, call(accept_language="de"), call(accept_language="en"), True),
        ({"headers": ("Accept-Language",)}, call(accept_language="de"), call(), True),
        ({}, call(caller=Caller("app", "a", "a")), call(caller=Caller("app", "b", "b")), True),
        ({}, call(caller=Caller("app", "a", "a")), call(caller=Caller("user", "a")), True),
        ({}, call(caller=Caller("user", "a")), call(caller=Caller("jwt", "a")), True),
        ({"by_caller": False}, call(caller=Caller("app", "a", "a")), call(caller=Caller("app", "b", "b")), False),
    ],
)
async def test_answers_are_kept_apart_by_what_is_declared(
    clock: Clock, backend: Backend, settings: dict[str, Any], one: Call, other: Call, *, apart: bool
) -> None:
    """And by who calls, unless the route says that callers share: nobody else's answer is ever given otherwise."""
    cached = answers(clock, **settings)
    await cached.answer(one, backend)
    assert (await cached.answer(other, backend)).body == (b"2" if apart else b"1")


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (404, ()),
        (429, ()),
        (500, ()),
        (302, ()),
        (200, (("Set-Cookie", "a=b"),)),
        (200, (("Cache-Control", "max-age=5, Private"),)),
        (200, (("cache-control", "no-store"),)),
        (200, (("Cache-Control", "no-cache"),)),
        (200, (("Vary", "*"),)),
        (200, (("Vary", "Accept-Encoding, Cookie"),)),
    ],
)
async def test_some_answers_are_not_kept(clock: Clock, backend: Backend, status: int, headers: HeaderFields) -> None:
    """Failures, what is one caller's alone, and what varies by more than the key tells."""
    backend.status, backend.headers = status, headers
    cached = answers(clock, headers=("Accept-Language",))
    assert [(await cached.answer(call(), backend)).body for _ in range(2)] == [b"1", b"2"]


async def test_what_varies_by_the_key_is_kept(clock: Clock, backend: Backend) -> None:
    """A header that is part of the key, and Accept-Encoding, which is the gateway's own concern."""
    backend.headers = (("Vary", "accept-language, Accept-Encoding"), ("Cache-Control", "max-age=60"))
    cached = answers(clock, headers=("Accept-Language",))
    assert [(await cached.answer(call(), backend)).body for _ in range(2)] == [b"1", b"1"]


async def test_what_changes_something_goes_to_the_backend(clock: Clock, backend: Backend) -> None:
    """Only GET and HEAD are answered from the cache; and no caller can get round it for those."""
    cached = answers(clock)
    assert [(await cached.answer(call(method="POST"), backend)).body for _ in range(2)] == [b"1", b"2"]
    asked = [call(cache_control="no-cache", pragma="no-cache") for _ in range(2)]
    assert [(await cached.answer(one, backend)).body for one in asked] == [b"3", b"3"]


async def test_a_stale_answer_is_given_while_one_fetches(autojump_clock: MockClock, backend: Backend) -> None:
    """RFC 5861 3: one caller waits for the next answer, all others have the old one at once."""
    cached = CachedAnswers(Cache(seconds=10, stale_seconds=10), CacheSpace(1_000_000), trio.current_time)
    await cached.answer(call(), backend)
    await trio.sleep(12)
    backend.delay = 1.0
    got: list[tuple[bytes, float]] = []
    began = trio.current_time()

    async def ask() -> None:
        response = await cached.answer(call(), backend)
        got.append((response.body, trio.current_time() - began))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert backend.fetches == 2
    assert sorted(got) == [(b"1", 0.0)] * 49 + [(b"2", 1.0)]
    assert cached.statistics().stale_hits == 50


async def test_those_who_miss_wait_for_one_fetch(autojump_clock: MockClock, backend: Backend) -> None:
    """A crowd that comes to an empty cache is one call to the backend."""
    cached = CachedAnswers(Cache(seconds=10), CacheSpace(1_000_000), trio.current_time)
    backend.delay = 1.0
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(cached.answer, call(), backend)
    assert (backend.fetches, trio.current_time()) == (1, pytest.approx(1.0))


async def test_what_cannot_be_kept_is_fetched_side_by_side(autojump_clock: MockClock, backend: Backend) -> None:
    """Those who waited in vain go on all at once, not one after the other."""
    cached = CachedAnswers(Cache(seconds=10), CacheSpace(1_000_000), trio.current_time)
    backend.delay, backend.status = 1.0, 404
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(cached.answer, call(), backend)
    assert (backend.fetches, trio.current_time()) == (50, pytest.approx(2.0))


async def test_a_fetch_that_is_cut_off_holds_up_nobody(autojump_clock: MockClock, backend: Backend) -> None:
    """A caller who leaves takes nobody along: one of those who waited fetches for all the others."""
    cached = CachedAnswers(Cache(seconds=10), CacheSpace(1_000_000), trio.current_time)
    backend.delay = 5.0
    async with trio.open_nursery() as nursery:
        cut_off = trio.CancelScope()

        async def leaving() -> None:
            with cut_off:
                await cached.answer(call(), backend)

        nursery.start_soon(leaving)
        await wait_all_tasks_blocked()
        for _ in range(20):
            nursery.start_soon(cached.answer, call(), backend)
        await wait_all_tasks_blocked()
        cut_off.cancel()
    assert backend.fetches == 2
    assert (await cached.answer(call(), backend)).body == b"2"


@pytest.mark.parametrize(
    "failure", [503, CallRefusedError(BACKEND_UNAVAILABLE), AdmissionFullError("busy")], ids=["503", "refused", "busy"]
)
async def test_a_stale_answer_is_better_than_none(clock: Clock, backend: Backend, failure: Any) -> None:
    """RFC 5861 4: where the backend fails; but for no longer than it may be stale."""
    cached = answers(clock, stale_seconds=10)
    await cached.answer(call(), backend)
    backend.status = failure if isinstance(failure, int) else 200
    backend.error = failure if isinstance(failure, Exception) else None
    clock.now = 15
    for _ in range(2):
        assert (await cached.answer(call(), backend)).body == b"1"
    clock.now = 20
    if isinstance(failure, int):
        assert (await cached.answer(call(), backend)).status == 503
    else:
        with pytest.raises(type(failure)):
            await cached.answer(call(), backend)


async def test_a_callers_own_mistake_is_told(clock: Clock, backend: Backend) -> None:
    """A refusal that is not a failure of the backend is not hidden behind a stale answer."""
    cached = answers(clock, stale_seconds=10)
    await cached.answer(call(), backend)
    clock.now = 15
    backend.error = CallRefusedError(BAD_REQUEST)
    with pytest.raises(CallRefusedError):
        await cached.answer(call(), backend)


async def test_an_answer_that_may_not_be_kept_any_more_is_forgotten(clock: Clock, backend: Backend) -> None:
    """A resource that is gone, or has become private, is not given for stale afterwards."""
    cached = answers(clock, stale_seconds=10)
    await cached.answer(call(), backend)
    clock.now = 15
    backend.status = 404
    assert (await cached.answer(call(), backend)).status == 404
    assert cached.statistics().entries == 0
