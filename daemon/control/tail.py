"""A topic followed live over a WebSocket: `/topics/{name}/tail`.

Each text message brings lines of JSON: messages as a query shows them, and between them what the reader is told:
`{"missed": 12}` (so many gave way, because the reader did not keep up), `{"notice": "..."}` (what cannot be read), and
at the end `{"ended": "..."}`. What a client sends is not looked at. Problems before the WebSocket opens are answered as
everywhere in the API.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
import trio
from quart import Blueprint, Response, websocket

from actors.topic_query.selection import Selection, SelectionError
from actors.topic_query.shape import message
from actors.topic_tail.buffer import Batch
from actors.topic_tail.tail import From
from actors.topic_tail.tails import Tails, TooManyTailsError
from config.moments import parse_moment
from config.resources import Mask
from daemon.catalog.errors import NotFoundError
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, problem

_PARAMETERS = ("from", "partition", "key", "id", "tag")
_NORMAL_CLOSURE = 1000
# RFC 6455 7.4.1 and 5.5: a reason takes 123 bytes at most.
_REASON_BYTES = 123


def tail_family(tails: Tails, clock: Callable[[], float] = time.time) -> Family:
    """Follow a topic."""
    operation = Operation(
        "GET",
        "/api/v1/topics/{name}/tail",
        "Follow a topic over a WebSocket: lines of JSON, `from` earliest, latest or a time on",
        _PARAMETERS,
    )
    return Family(partial(_blueprint, tails, clock), (operation,), partial(tails.end_all, "the daemon stops"))


def _blueprint(tails: Tails, clock: Callable[[], float]) -> Blueprint:
    blueprint = Blueprint("tail", __name__)

    @blueprint.websocket("/topics/<name>/tail")
    async def tail(name: str) -> None:
        where, selection = _asked(dict(websocket.args.items()), clock())
        topic = tails.topic(name)
        if topic is None:
            raise NotFoundError(f"there is no topic {name}")
        try:
            with tails.open(topic, selection) as living:
                await living.begin(where)
                await websocket.accept()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_ignore_input)
                    reason = await living.follow(_send)
                    nursery.cancel_scope.cancel()
        except TooManyTailsError as error:
            raise RequestError(str(error), HTTPStatus.SERVICE_UNAVAILABLE) from error
        except SelectionError as error:
            raise _refused(error.field, str(error)) from error
        await _send_lines([msgspec.json.encode({"ended": reason})])
        await websocket.close(_NORMAL_CLOSURE, _short(reason))

    @blueprint.get("/topics/<name>/tail")
    async def no_websocket(name: str) -> Response:
        message = f"the tail of topic {name} is a WebSocket: ask with `Upgrade: websocket` (RFC 6455)"
        return problem(HTTPStatus.UPGRADE_REQUIRED, message, headers={"Upgrade": "websocket"})

    return blueprint


async def _ignore_input() -> None:
    """Take what the client sends: else its close would stand in line behind it."""
    while True:
        await websocket.receive()


async def _send(batch: Batch, mask: Mask | None) -> None:
    told: list[dict[str, Any]] = [{"missed": batch.missed}] if batch.missed else []
    told += [{"notice": notice} for notice in batch.notices]
    shown = [message(number, record, mask) for number, record in batch.messages]
    await _send_lines([msgspec.json.encode(one) for one in (*told, *shown)])


async def _send_lines(lines: list[bytes]) -> None:
    await websocket.send(b"\n".join(lines).decode())


def _asked(texts: Mapping[str, str], now: float) -> tuple[From, Selection]:
    for name in texts:
        if name not in _PARAMETERS:
            raise _refused(name, f"there is no such query parameter; there are {', '.join(_PARAMETERS)}")
    key = texts.get("key")
    selection = Selection(
        partition=_partition(texts.get("partition")),
        key=None if key is None else key.encode(),
        id=texts.get("id"),
        tag=texts.get("tag"),
    )
    return _from(texts.get("from", "latest"), now), selection


def _from(text: str, now: float) -> From:
    match text:
        case "earliest":
            return "earliest"
        case "latest":
            return "latest"
    try:
        return parse_moment(text, now)
    except ValueError as error:
        raise _refused("from", f"{error}; or earliest, or latest") from error


def _partition(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > len("999"):
        raise _refused("partition", f"expected the number of a partition, got {text!r}")
    return int(text)


def _refused(field: str, reason: str) -> RequestError:
    return RequestError("the tail cannot be had", details=[{"path": f"?{field}", "reason": reason}])


def _short(reason: str) -> str:
    return reason.encode()[:_REASON_BYTES].decode(errors="ignore")
