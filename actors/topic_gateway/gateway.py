"""The topic gateway: every call that comes to its listener, from the path to the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

import msgspec

from actors.http_calls.callers import Apps, calling_app
from actors.http_calls.errors import (
    METHOD_NOT_ALLOWED,
    UNEXPECTED,
    CallRefusedError,
    error_of_status,
    error_response,
    malformed_response,
)
from actors.http_calls.request_ids import HEADER, RequestIds
from actors.runtime.log_limiter import LogLimiter
from actors.topic_gateway.access import TopicLookup, permitted
from actors.topic_gateway.consume import ConsumeCalls
from actors.topic_gateway.errors import PartlyStoredError
from actors.topic_gateway.fetch import FetchCalls
from actors.topic_gateway.publish import Publish
from actors.topic_gateway.requests import Target, ToGroup, ToRecords, ToTopic, target
from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import Request, Response

_SERVER_ERROR = 500


@dataclass(slots=True)
class TopicGatewayStatistics:
    """What the topic gateway has done so far: calls by what they asked for, and answers by class of status."""

    published: int = 0
    bulks: int = 0
    taken: int = 0
    confirmed: int = 0
    fetched: int = 0
    crashed: int = 0
    answers: list[int] = field(default_factory=lambda: [0] * 6)


class TopicGateway:
    """Answers calls; `handle` and `refuse` are what an HTTP listener asks for."""

    def __init__(
        self, apps: Apps, topics: TopicLookup, publish: Publish, consume: ConsumeCalls, fetch: FetchCalls
    ) -> None:
        self.statistics = TopicGatewayStatistics()
        self._apps = apps
        self._topics = topics
        self._publish = publish
        self._consume = consume
        self._fetch = fetch
        self._ids = RequestIds()
        self._log = LogLimiter(per_second=1)

    async def handle(self, request: Request) -> Response:
        """Answer a call; raises nothing but cancellation."""
        request_id = self._ids.choose(request)
        try:
            response = await self._answer(request)
        except PartlyStoredError as partly:
            response = _partly_stored(partly, request_id)
        except CallRefusedError as refused:
            self._tell_operator(request, request_id, refused)
            response = error_response(refused.error, request_id, refused.detail, refused.headers)
        except RequestRefusedError as refused:
            response = error_response(error_of_status(refused.status), request_id, refused.reason)
        except Exception as error:  # noqa: BLE001 - a crash is this call's alone
            self.statistics.crashed += 1
            self._log.warning("Topic call crashed", path=request.path, request_id=request_id, exc_info=error)
            response = error_response(UNEXPECTED, request_id)
        return self._tagged(response, request_id)

    def refuse(self, status: int, reason: str) -> Response:
        """The answer to what never became a request: malformed, too large, too slow."""
        request_id = self._ids.new()
        return self._tagged(malformed_response(status, reason, request_id), request_id)

    def drain(self) -> None:
        """Let nobody wait any longer for messages to come."""
        self._consume.drain()

    def open(self) -> None:
        """Let consumers wait again: the listener has come back."""
        self._consume.open()

    def _tell_operator(self, request: Request, request_id: str, refused: CallRefusedError) -> None:
        """What is behind an error of the daemon's own: callers are not told about stores and files."""
        if refused.error.status >= _SERVER_ERROR and refused.__cause__ is not None:
            reason = str(refused.__cause__)
            self._log.warning("Topic call refused", path=request.path, request_id=request_id, reason=reason)

    async def _answer(self, request: Request) -> Response:
        at = target(request.path)
        app = calling_app(request, self._apps)
        match request.method:
            case "POST":
                return await self._post(request, at, app)
            case "GET":
                return await self._get(request, at, app)
            case _:
                raise _not_allowed(at)

    async def _post(self, request: Request, at: Target, app: str) -> Response:
        match at:
            case ToTopic():
                self.statistics.published += 1
                return await self._publish.messages(request, permitted(at.topic, app, "publish", self._topics), app)
            case ToRecords():
                self.statistics.bulks += 1
                return await self._publish.records(request, permitted(at.topic, app, "publish", self._topics), app)
            case ToGroup():
                self.statistics.confirmed += 1
                permitted(at.topic, app, "subscribe", self._topics)
                return await self._consume.confirm(request, at)
            case _:
                assert_never(at)

    async def _get(self, request: Request, at: Target, app: str) -> Response:
        match at:
            case ToTopic():
                raise _not_allowed(at)
            case ToRecords():
                self.statistics.fetched += 1
                return await self._fetch.read(request, permitted(at.topic, app, "subscribe", self._topics), app)
            case ToGroup():
                self.statistics.taken += 1
                topic = permitted(at.topic, app, "subscribe", self._topics)
                return await self._consume.take(request, at, topic, app)
            case _:
                assert_never(at)

    def _tagged(self, response: Response, request_id: str) -> Response:
        self.statistics.answers[response.status // 100] += 1
        return Response(response.status, (*response.headers, (HEADER, request_id)), response.body)


def _not_allowed(at: Target) -> CallRefusedError:
    allowed = "POST" if isinstance(at, ToTopic) else "GET, POST"
    return CallRefusedError(METHOD_NOT_ALLOWED, headers=(("Allow", allowed),))


def _partly_stored(partly: PartlyStoredError, request_id: str) -> Response:
    """The error shape, and beside it what was stored all the same."""
    response = error_response(partly.error, request_id, partly.detail, partly.headers)
    shape = msgspec.json.decode(response.body) if isinstance(response.body, bytes) else {}
    return Response(response.status, response.headers, msgspec.json.encode({**shape, **partly.stored}))
