"""The step of a route that reads what its callers send, and refuses what does not fit."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import trio

from actors.gateway_route.call import Call
from actors.gateway_route.codings import check_uncompressed
from actors.gateway_route.parameters.checks import Check, check_of
from actors.gateway_route.parameters.reading import JsonText, read_body, read_query
from actors.http_calls.errors import BAD_REQUEST, CallRefusedError
from config.resources import BackendInput, Parameter

# A body of more bytes is read in a thread: it could take a tenth of a second, in which no device would be answered.
_BYTES_HERE = 64 * 1024
_LONGEST_NAME = 128
_PLACES = {"path": "in the path", "query": "in the query", "header": "among the headers", "body": "in the body"}


class _Declared(NamedTuple):
    name: str
    key: str
    place: str
    required: bool
    default: str | int | float | bool | None
    check: Check


class ParameterStep:
    """Fills in a call's `parameters`.

    Declared ones are read from their places alone, and have their types; what is optional and was not given has its
    default, or is None. What is not declared goes on as well, the path's before the query's, the query's before the
    body's: as text, and as it is where it comes from a JSON body, a list or object of which comes as JSON text. No
    undeclared value takes the name of a declared one. With `refuse_undeclared` a query or a body with anything else in
    it is refused.

    `reads_body` is to be true where the body is one of parameters.
    """

    def __init__(self, declared: Iterable[Parameter], *, reads_body: bool, refuse_undeclared: bool = False) -> None:
        self._declared = tuple(_compiled(one) for one in declared)
        self._names = frozenset(one.name for one in self._declared)
        self.reads_body = reads_body or any(one.place == "body" for one in self._declared)
        self._refuse = refuse_undeclared
        self._allowed = {
            place: frozenset(one.key for one in self._declared if one.place == place) for place in ("query", "body")
        }
        self._reading = trio.CapacityLimiter(1)

    def __call__(self, call: Call) -> Awaitable[None] | None:
        """Read and check; only a large body is to be waited for.

        Raises:
            CallRefusedError: 400, and the parameter's name; 415 for a compressed body.
        """
        if self.reads_body and len(call.body) > _BYTES_HERE:
            return self._read_aside(call)
        self._read(call)
        return None

    async def _read_aside(self, call: Call) -> None:
        await trio.to_thread.run_sync(self._read, call, limiter=self._reading, abandon_on_cancel=True)

    def _read(self, call: Call) -> None:
        request = call.request
        if self.reads_body:
            check_uncompressed(request)
        body = read_body(call.body, request.header("content-type")) if self.reads_body else {}
        query = read_query(request.query)
        if self._refuse:
            _refuse_others("query", query, self._allowed["query"])
            _refuse_others("body", body, self._allowed["body"])
        values: dict[str, Any] = {
            name: str(value) if type(value) is JsonText else value for name, value in body.items()
        }
        values |= query
        values |= call.path
        if self._declared:
            found: Mapping[str, Mapping[str, Any]] = {"path": call.path, "query": query, "body": body}
            for name in self._names:
                values.pop(name, None)
            for one in self._declared:
                values[one.name] = _value(one, _given(one, call, found))
        call.parameters = values


def inputs_as_parameters(inputs: Iterable[BackendInput], declared: Collection[Parameter]) -> tuple[Parameter, ...]:
    """What a backend takes from its caller, where the route does not say it in more words."""
    said = {_place_and_key(one.place, one.name) for one in declared}
    return tuple(
        Parameter(name=one.name, place=one.place, required=one.required, description=one.description)
        for one in inputs
        if _place_and_key(one.place, one.name) not in said
    )


def _place_and_key(place: str, name: str) -> tuple[str, str]:
    return place, name.lower() if place == "header" else name


def _compiled(parameter: Parameter) -> _Declared:
    return _Declared(
        name=parameter.name,
        key=_place_and_key(parameter.place, parameter.name)[1],
        place=parameter.place,
        required=parameter.required or parameter.place == "path",
        default=parameter.default,
        check=check_of(parameter),
    )


def _given(one: _Declared, call: Call, found: Mapping[str, Mapping[str, Any]]) -> Any:
    """What the caller wrote; None for nothing, and for JSON's null."""
    if one.place != "header":
        return found[one.place].get(one.key)
    values = call.request.header_values(one.key)
    if len(values) > 1:
        raise _bad(one, "is given twice")
    return values[0] if values else None


def _value(one: _Declared, given: Any) -> Any:
    if given is None:
        if one.required:
            raise _bad(one, "is missing")
        return one.default
    try:
        return one.check(given)
    except ValueError as error:
        raise _bad(one, str(error)) from None


def _bad(one: _Declared, reason: str) -> CallRefusedError:
    return CallRefusedError(BAD_REQUEST, f"parameter {one.name} {_PLACES[one.place]} {reason}")


def _refuse_others(place: str, given: Mapping[str, Any], allowed: frozenset[str]) -> None:
    for name in given:
        if name not in allowed:
            shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
            raise CallRefusedError(BAD_REQUEST, f"{shown} {_PLACES[place]} is no parameter of this API")
