"""The steps of a route that ask an authorizer: who calls (`front`), and whom the backend is told of (`back`)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, Literal

import msgspec

from actors.errors import PenstockError
from actors.gateway_route.auth.authorizers import Authorizers, RunningAuthorizer, Subject
from actors.gateway_route.auth.decisions import Decision, UnusableDecisionError, decision_of
from actors.gateway_route.call import Call, Caller
from actors.gateway_route.functions.caller import RouteFunction
from actors.gateway_route.functions.requests import body_fields, header_fields, hidden_headers, query_fields
from actors.http_calls.errors import BAD_TOKEN, NOT_LOADED, CallRefusedError
from actors.runtime.log_limiter import LogLimiter
from config.resources import IdentitySource, Route

Side = Literal["front", "back"]

_CHALLENGE = (("WWW-Authenticate", 'Custom realm="penstock"'),)
_NAMES: Mapping[Side, str] = {"front": "frontend authorizer", "back": "backend authorizer"}


class AuthorizeStep:
    """Asks one authorizer about each call, and puts what it says of the caller into the call.

    A call that lacks one of the authorizer's identities is denied without asking. The authorizer is looked up by name
    call by call, so that it may change, and its function too, while the route stays.
    """

    def __init__(
        self, authorizers: Authorizers, name: str, side: Side, *, route: Route, environment: str, log: LogLimiter
    ) -> None:
        self._authorizers = authorizers
        self._name = name
        self._side = side
        self._route = route.name
        # An authorizer in front is what credentials are for; one behind need not see those that were checked already.
        self._hidden = hidden_headers(route) if side == "back" else frozenset[str]()
        self._place = f"{environment} {route.name}"
        self._use = _NAMES[side]
        self._log = log

    def __call__(self, call: Call) -> Awaitable[None] | None:
        """See Step; only a function that is to be asked, or a body for it, is to be waited for.

        Raises:
            CallRefusedError: 401, it is denied; 5xx, the authorizer brought no decision.
        """
        authorizer = self._authorizers.get(self._name)
        if authorizer is None or authorizer.settings.type != self._side:
            self._log.warning("Authorizer is not there", route=self._route, authorizer=self._name, type=self._side)
            raise CallRefusedError(NOT_LOADED, self._use)
        identity: tuple[Any, ...] = tuple(_found(source, call) for source in authorizer.settings.identities)
        if not all(identity):
            authorizer.denied += 1
            raise self._denied()
        if self._side == "back":
            # What it says of one caller, whom the gateway knows, is nothing about another.
            caller = call.caller
            identity = (caller.kind, caller.name, caller.app, *identity)
        if authorizer.settings.send_body and call.request.body and not call.body:
            return self._with_body(call, authorizer, identity)
        return self._decided(call, authorizer, identity)

    async def _with_body(self, call: Call, authorizer: RunningAuthorizer, identity: tuple[Any, ...]) -> None:
        call.body = await call.request.read()
        waited_for = self._decided(call, authorizer, identity)
        if waited_for is not None:
            await waited_for

    def _decided(self, call: Call, authorizer: RunningAuthorizer, identity: tuple[Any, ...]) -> Awaitable[None] | None:
        # The function may decide by method and path: who may read is not for that let to delete.
        place = f"{self._place} {call.request.method} {call.request.path}"
        subject = Subject(place, partial(self._data, call, authorizer), identity)
        key = authorizer.key(subject)
        known = authorizer.known(key)
        if known is None:
            return self._ask(call, authorizer, subject, key)
        self._apply(call, authorizer, known)
        return None

    async def _ask(self, call: Call, authorizer: RunningAuthorizer, subject: Subject, key: bytes) -> None:
        try:
            decision = await authorizer.decide(key, partial(self._question, authorizer, subject, key))
        except PenstockError:
            authorizer.failed += 1
            raise
        self._apply(call, authorizer, decision)

    async def _question(self, authorizer: RunningAuthorizer, subject: Subject, key: bytes) -> Decision:
        settings = authorizer.settings
        function = RouteFunction(
            self._authorizers.functions,
            settings.function,
            settings.app,
            route=self._route,
            use=self._use,
            log=self._log,
            called_by=f"authorizer {settings.name}",
            failures=authorizer.failures,
            where=f"route {self._route}",
        )
        answer = await function({"body": subject.data()})
        try:
            return decision_of(answer, key)
        except UnusableDecisionError as error:
            raise function.refuse(str(error)) from error

    def _data(self, call: Call, authorizer: RunningAuthorizer) -> dict[str, Any]:
        request, settings = call.request, authorizer.settings
        data: dict[str, Any] = {
            "method": request.method,
            "path": request.path,
            "path_parameters": dict(call.path),
            "query": query_fields(request.query),
            "headers": header_fields(request.headers, self._hidden),
            "source_address": call.peer_ip or request.peer,
            "user_data": settings.user_data,
            "route": self._route,
            "stage": call.stage,
        }
        if settings.send_body:
            data |= body_fields(call.body)
        if self._side == "back":
            caller = call.caller
            data["caller"] = {"kind": caller.kind, "name": caller.name, "app": caller.app}
        return data

    def _apply(self, call: Call, authorizer: RunningAuthorizer, decision: Decision) -> None:
        if not decision.allowed:
            authorizer.denied += 1
            raise self._denied()
        authorizer.allowed += 1
        if self._side == "front":
            call.caller = Caller("custom", claims=decision.context, mark=decision.mark)
            return
        caller = call.caller
        call.caller = msgspec.structs.replace(
            caller, claims={**caller.claims, **decision.context}, mark=f"{caller.mark} {decision.mark}"
        )

    def _denied(self) -> CallRefusedError:
        return CallRefusedError(BAD_TOKEN, self._use, _CHALLENGE if self._side == "front" else ())


def _found(source: IdentitySource, call: Call) -> Any:
    """What a request has there; nothing, and an empty text, is nothing."""
    if source.place == "header":
        values = call.request.header_values(source.name.lower())
        return values if any(values) else None
    return query_fields(call.request.query).get(source.name)
