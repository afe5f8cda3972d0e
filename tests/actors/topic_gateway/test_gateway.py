"""What the gateway before the topics tells callers, and what it tells operators instead."""

from __future__ import annotations

import base64
from typing import cast

from structlog.testing import capture_logs

from actors.directory.identities import AppIdentity
from actors.errors import GroupConflictError, PenstockError, StorageError
from actors.http_calls.callers import Apps
from actors.topic_gateway.consume import ConsumeCalls
from actors.topic_gateway.fetch import FetchCalls
from actors.topic_gateway.gateway import TopicGateway
from actors.topic_gateway.publish import Publish
from actors.wire.http.messages import Request, Response
from config.resources import Topic

BASIC = "Basic " + base64.b64encode(b"house:secret").decode()


class OneApp:
    def app_by_code(self, code: str) -> None:
        raise AssertionError(code)

    def authenticate(self, username: str, password: bytes) -> AppIdentity:
        assert (username, password) == ("house", b"secret")
        return AppIdentity("house")


class NoGroups:
    """Groups that cannot be had."""

    def __init__(self, error: PenstockError) -> None:
        self._error = error

    async def open(self, *_: str) -> None:
        raise self._error


def gateway(error: PenstockError) -> TopicGateway:
    consume = ConsumeCalls(NoGroups(error), b"key")  # type: ignore[arg-type]
    return TopicGateway(
        cast("Apps", OneApp()),
        lambda name: Topic(name=name, app="house"),
        cast("Publish", None),
        consume,
        cast("FetchCalls", None),
    )


async def take(error: PenstockError) -> Response:
    request = Request("GET", "/v1/topic/t/group/g/messages", headers=[("authorization", BASIC)])
    return await gateway(error).handle(request)


async def test_operators_are_told_what_callers_are_not() -> None:
    """A store that fails is 503 without its files; the log has them, under the call's id."""
    with capture_logs() as told:
        response = await take(StorageError("/var/penstock.db: disk I/O error"))
    assert response.status == 503
    assert b"/var" not in bytes(response.body)
    request_id = dict(response.headers)["X-Request-Id"]
    assert [(event["reason"], event["request_id"]) for event in told] == [
        ("/var/penstock.db: disk I/O error", request_id)
    ]


async def test_a_callers_own_fault_is_not_logged() -> None:
    """Whoever calls wrongly can read why, and cannot fill the log."""
    with capture_logs() as told:
        response = await take(GroupConflictError("group g is a task's"))
    assert response.status == 409
    assert told == []
