"""Calls of consumers: messages of a group with their handlers, and what became of them."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn, Protocol

import msgspec
import trio

from actors.errors import GroupConflictError, PenstockError
from actors.http_calls.errors import UNSUPPORTED_ENCODING, CallRefusedError
from actors.runtime.mailbox import Mailbox
from actors.topic_gateway.access import shown_to
from actors.topic_gateway.deliveries import Handed, Verdict
from actors.topic_gateway.encodings import content_encoding
from actors.topic_gateway.errors import CONFLICT, UNAVAILABLE, bad, retry_after_header, unknown
from actors.topic_gateway.handlers import BadHandlerError, Handlers
from actors.topic_gateway.messages import HttpGroupMessage, Settle, Take
from actors.topic_gateway.requests import ToGroup, ToldVerdict, confirm, consume
from actors.wire.http.messages import Request, Response
from config.resources import Topic

_JSON = (("Content-Type", "application/json"),)
_ENCODER = msgspec.json.Encoder()


class ConsumerGroups(Protocol):
    """The groups of HTTP consumers, by name."""

    async def open(self, group: str, topic: str) -> Mailbox[HttpGroupMessage]:
        """The group of this name, which is made where there is none.

        Raises:
            GroupConflictError: the name is taken otherwise.
            PenstockError: it cannot be had now.
        """

    def knows(self, group: str, topic: str) -> bool:
        """Whether there is such a group; GroupConflictError where the name is taken otherwise."""


class _Content(msgspec.Struct, frozen=True, gc=False):
    content: str


class _Delivery(msgspec.Struct, frozen=True, gc=False):
    handler: str
    message: _Content


class _Withdrawn(PenstockError):  # noqa: N818 - a state of the world: nobody waits any more
    """The consumer waits no longer."""


class ConsumeCalls:
    """Answers consumers; `key` is what handlers are made with."""

    def __init__(self, groups: ConsumerGroups, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._groups = groups
        self._clock = clock
        self._key = key
        self._patience: set[trio.CancelScope] = set()
        self._draining = False

    def drain(self) -> None:
        """Let nobody wait any longer for messages to come."""
        self._draining = True
        for patience in self._patience:
            patience.cancel()

    def open(self) -> None:
        """Let consumers wait again."""
        self._draining = False

    async def take(self, request: Request, at: ToGroup, topic: Topic, app: str) -> Response:
        """`GET .../group/{group}/messages`: what is there, or comes within `time_wait`."""
        asked = consume(request.query)
        mailbox = await self._open(at)
        take = Take(asked.max_messages, asked.max_bytes, asked.ack_wait)
        try:
            await mailbox.put(take)
            await self._wait(take, asked.time_wait)
            handed = [] if take.reply.withdraw(_Withdrawn()) else take.reply.value()
        except PenstockError as error:
            _refuse(error)
        finally:
            # Also where the call is cut off, since its consumer has left: what nobody takes is not handed out.
            take.reply.withdraw(_Withdrawn())
        return Response(200, _JSON, self._encoded(handed, at, topic, app))

    async def _wait(self, take: Take, seconds: float) -> None:
        """Return once there is an answer or the time is up."""
        with trio.move_on_after(0 if self._draining else seconds) as patience:
            self._patience.add(patience)
            try:
                with suppress(PenstockError):  # read by who asked
                    await take.reply.wait()
            finally:
                self._patience.remove(patience)

    async def confirm(self, request: Request, at: ToGroup) -> Response:
        """`POST .../group/{group}/messages`: what became of messages, stored before the answer."""
        if content_encoding(request.header("content-encoding")) != "identity":
            raise CallRefusedError(UNSUPPORTED_ENCODING, "what became of messages is taken uncompressed")
        told = confirm(await request.read())
        if not self._known(at):
            raise unknown(f"there is no group {at.group} of HTTP consumers")
        settle = Settle(self._verdicts(told, at), int(self._clock() * 1000))
        try:
            await (await self._open(at)).put(settle)
            success, fail = await settle.reply.wait()
        except PenstockError as error:
            _refuse(error)
        return Response(200, _JSON, _ENCODER.encode({"success": success, "fail": fail}))

    async def _open(self, at: ToGroup) -> Mailbox[HttpGroupMessage]:
        try:
            return await self._groups.open(at.group, at.topic)
        except PenstockError as error:
            _refuse(error)

    def _known(self, at: ToGroup) -> bool:
        try:
            return self._groups.knows(at.group, at.topic)
        except PenstockError as error:
            _refuse(error)

    def _verdicts(self, told: Sequence[ToldVerdict], at: ToGroup) -> list[Verdict]:
        """All of them, or none: a handler that was made up spoils the call."""
        handlers = Handlers(self._key, at.topic, at.group)
        verdicts = []
        for number, one in enumerate(told, 1):
            try:
                verdicts.append(Verdict(handlers.read(one.handler), one.status == "success"))
            except BadHandlerError as error:
                raise bad(f"handler {number}: {error}") from error
        return verdicts

    def _encoded(self, handed: Sequence[Handed], at: ToGroup, topic: Topic, app: str) -> bytes:
        if not handed:
            return b"[]"
        handlers = Handlers(self._key, at.topic, at.group)
        shown = shown_to(app, topic)
        return _ENCODER.encode(
            [
                _Delivery(
                    handlers.issue(one.handler),
                    _Content(base64.b64encode(shown(one.record.value or b"")).decode("ascii")),
                )
                for one in handed
            ]
        )


def _refuse(error: PenstockError) -> NoReturn:
    if isinstance(error, GroupConflictError):
        raise CallRefusedError(CONFLICT, str(error)) from error
    # Stores and actors that are being restarted: their texts name files, which are the operator's affair.
    raise CallRefusedError(UNAVAILABLE, "the group cannot be reached", retry_after_header(1)) from error
