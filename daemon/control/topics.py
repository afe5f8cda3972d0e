"""Messages of topics: `/topics/{name}/messages`, `/topics/{name}/replay`, `/topics/{name}/verify`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, get_args

from quart import Blueprint, Response, request

from actors.errors import ActorGone
from actors.topic_query.query import MAX_LIMIT
from actors.topic_query.selection import Order, Selection, SelectionError
from config.moments import parse_moment
from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, answer
from daemon.messages import ReplayOrder

DEFAULT_LIMIT = 20
_SELECTORS = ("partition", "offset", "from", "to", "key", "id", "tag")
_PAGE = ("order", "limit", "cursor")
_REPLAY = ("target", "limit", "dry_run")


class MessageEngine(Protocol):
    """What the API asks of messages; each raises PenstockError with a text for a person."""

    async def query(self, name: str, selection: Selection, order: Order, limit: int) -> Mapping[str, Any]:
        """The first page of what a selection finds; nothing is consumed."""

    async def resume(self, name: str, cursor: str, limit: int) -> Mapping[str, Any]:
        """The next page of a query."""

    async def replay(self, name: str, order: ReplayOrder) -> Mapping[str, Any]:
        """Send chosen messages again."""

    async def verify(self, name: str) -> Mapping[str, Any]:
        """Check the files of a topic."""


def topics_family(engine: MessageEngine, clock: Callable[[], float] = time.time) -> Family:
    """Query, replay and verify."""
    return Family(
        partial(_blueprint, engine, clock),
        (
            Operation(
                "GET",
                "/api/v1/topics/{name}/messages",
                "Messages by partition and offset, time, key, id or tag; nothing is consumed",
                (*_SELECTORS, *_PAGE),
            ),
            Operation(
                "POST", "/api/v1/topics/{name}/replay", "Send chosen messages again, to the same or another topic"
            ),
            Operation("POST", "/api/v1/topics/{name}/verify", "Check every CRC, index entry and offset of its files"),
        ),
    )


def _blueprint(engine: MessageEngine, clock: Callable[[], float]) -> Blueprint:
    blueprint = Blueprint("topics", __name__)

    @blueprint.get("/topics/<name>/messages")
    async def messages(name: str) -> Response:
        requests.only((*_SELECTORS, *_PAGE))
        texts = dict(request.args.items())
        with _problems("?", "the query cannot be used"):
            limit = _number(texts, "limit", 1, MAX_LIMIT) or DEFAULT_LIMIT
            cursor = texts.get("cursor")
            if cursor is not None:
                _alone(texts)
                return answer(await engine.resume(name, cursor, limit))
            selection = _selection(texts, clock())
            return answer(await engine.query(name, selection, _order(texts, selection), limit))

    @blueprint.post("/topics/<name>/replay")
    async def replay(name: str) -> Response:
        requests.only(())
        with _problems("$.", "the body cannot be used"):
            return answer(await engine.replay(name, _replay(await requests.json_body(), name, clock())))

    @blueprint.post("/topics/<name>/verify")
    async def verify(name: str) -> Response:
        requests.only(())
        with _problems("", "the topic cannot be checked"):
            return answer(await engine.verify(name))

    return blueprint


@contextmanager
def _problems(prefix: str, message: str) -> Iterator[None]:
    """Tell what is wrong with a selection at its place, and that a partition is not there for now."""
    try:
        yield
    except SelectionError as error:
        raise RequestError(message, details=[{"path": f"{prefix}{error.field}", "reason": str(error)}]) from error
    except ActorGone as gone:
        raise RequestError(str(gone), HTTPStatus.SERVICE_UNAVAILABLE) from gone


def _replay(body: Mapping[str, Any], name: str, now: float) -> ReplayOrder:
    for field, value in body.items():
        if field not in (*_SELECTORS, *_REPLAY):
            raise SelectionError(field, f"there is no such field; there are {', '.join((*_SELECTORS, *_REPLAY))}")
        wanted = bool if field == "dry_run" else (str, int)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise SelectionError(field, "expected true or false" if wanted is bool else "expected text or a number")
    texts = {field: str(value) for field, value in body.items() if field != "dry_run"}
    limit = _number(texts, "limit", 1, 2**53) if "limit" in texts else None
    dry_run = body.get("dry_run", False)
    return ReplayOrder(texts.get("target", name), _selection(texts, now), limit, dry_run)


def _selection(texts: Mapping[str, str], now: float) -> Selection:
    key = texts.get("key")
    return Selection(
        partition=_number(texts, "partition", 0, 49),
        offset=_number(texts, "offset", 0, 2**63 - 1),
        since=_moment(texts, "from", now),
        until=_moment(texts, "to", now),
        key=key.encode() if key is not None else None,
        id=texts.get("id"),
        tag=texts.get("tag"),
    )


def _order(texts: Mapping[str, str], selection: Selection) -> Order:
    """As asked; else onwards from an offset or a time, and back from the newest where neither is given."""
    asked = texts.get("order")
    if asked is None:
        return "newest" if selection.offset is None and selection.since is None else "oldest"
    for order in get_args(Order):
        if asked == order:
            return order  # type: ignore[no-any-return]  # one of the literal's own
    raise SelectionError("order", f"expected newest or oldest, got {asked!r}")


def _alone(texts: Mapping[str, str]) -> None:
    for name in texts:
        if name not in ("cursor", "limit"):
            raise SelectionError(name, "the cursor says already what is looked for; only `limit` goes with it")


def _number(texts: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = texts.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or not least <= int(text) <= most:
        raise SelectionError(name, f"expected a number from {least} to {most}, got {text!r}")
    return int(text)


def _moment(texts: Mapping[str, str], name: str, now: float) -> int | None:
    text = texts.get(name)
    if text is None:
        return None
    try:
        return parse_moment(text, now)
    except ValueError as error:
        raise SelectionError(name, str(error)) from error
